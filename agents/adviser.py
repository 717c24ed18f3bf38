"""The adviser: what the lookahead holds every move on the shortlist to be worth, to learn from.

It knows no more than the student: telemetry and forecast. Labels by the future of training days (`teacher.py`) teach
the habits of the VMs in them as well, of which there are some 280; policies that learned from the adviser alone did
better on VMs they had never seen (see `agents/README.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..baseline.worth_search import WorthLimits, choose_deeds
from ..env.gym.shortlist import Shortlist
from ..env.gym.view import PlanView
from ..env.model.clumps import Clumps
from ..env.model.cluster import Cluster
from ..env.world.migration import WorldSettings
from .lookahead import Lookahead, LookaheadSettings, Quantiles
from .teacher import mean_host_cores, single_worth_S

ONE_DEED = WorthLimits(deeds=1)  # a single move or a pair


@dataclass(frozen=True, eq=False)
class Adviser:
    """The worth of moves by what can be known now; follows a plan as it grows.

    Attributes:
        ahead: the hour to come in scenarios, everything where the plan so far puts it.
        host_cores: mean CPU capacity of a host: the unit of worth.
        clumps: VMs that move as one.
        settled: movables that the plan has moved.
    """

    ahead: Lookahead
    host_cores: float
    clumps: Clumps = Clumps()
    settled: frozenset[int] = frozenset()

    @staticmethod
    def at(
        cluster: Cluster,
        view: PlanView,
        forecaster: Quantiles | None,
        world: WorldSettings,
        settings: LookaheadSettings | None = None,
    ) -> Adviser:
        """The adviser for a round that starts with this view.

        Args:
            cluster: what telemetry shows.
            view: the same, before any move.
            forecaster: what to look ahead with; None: the last hour.
            world: constants of migration.
            settings: how moves are judged; default: as when the policy is served.
        """
        ahead = Lookahead.at(cluster, view.round.before, forecaster, settings or LookaheadSettings(), world)
        return Adviser(ahead, mean_host_cores(cluster.inventory), view.round.clumps)

    def worth_S(self, listed: Shortlist) -> npt.NDArray[np.float32]:
        """Worth of each slot, host-minutes; 0 for stop and for slots that are not allowed; shape (S,).

        Where a swap or a pair that makes room is worth more than any single move, its first move is worth the whole of
        it: by itself it may lose, and once it is made, the second one shows what it wins. (A clump is a single move.)
        """
        ahead, clumps = self.ahead, self.clumps
        alone = ahead.foresight.gathered(clumps), clumps.gathered(ahead.price_M)
        worth_S = single_worth_S(listed, *alone, self.host_cores)
        if listed.is_empty:
            return worth_S
        deed = choose_deeds(ahead.state, ahead.foresight, ahead.price_M, ONE_DEED, self.settled)
        if len(deed) > 1:
            is_first_K = listed.mask_S[1:] & (listed.movable_K == deed[0].m) & (listed.target_K == deed[0].target)
            first = np.flatnonzero(is_first_K) + 1
            worth_S[first] = np.maximum(worth_S[first], deed[0].worth / self.host_cores)
        return worth_S

    def after(self, m: int, target: int) -> Adviser:
        """The adviser once the plan also has this move."""
        moves = self.clumps.moves(m, target)
        settled = self.settled | {v for v, _ in moves}
        return replace(self, ahead=self.ahead.after_all(moves), settled=settled)
