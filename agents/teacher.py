"""The teacher: what every move on the shortlist is really worth, told by the future of a training day.

The student sees history features only; what of the future shows in them is what it can learn. Worth is counted in
host-minutes: core-minutes of overload, unserved demand and swap avoided, net of what the move itself costs, per mean
CPU capacity of a host, so that clusters of all sizes speak in one scale. *stop* is worth 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..baseline.foresight import Foresight, foresee
from ..env.gym.shortlist import Shortlist
from ..env.gym.view import PlanView
from ..env.model.cluster import CPU, Array, Inventory
from ..env.world.migration import WorldSettings
from ..env.world.price import move_price_M
from ..env.world.workload import Episode

HORIZON_MINUTES = 60  # the clairvoyant planner does best with it, and students too (of 15 to 240)


@dataclass(frozen=True, eq=False)
class Teacher:
    """The true worth of moves from one moment of an episode on; follows a plan as it grows.

    Attributes:
        foresight: the hour to come, everything where the plan so far puts it; demand of clumps is their leads'.
        price_M: what each move must bring, core-minutes: what it costs by itself, and its charge; shape (M,).
        host_cores: mean CPU capacity of a host: the unit of worth.
    """

    foresight: Foresight
    price_M: Array
    host_cores: float

    @staticmethod
    def at(
        episode: Episode,
        minute: int,
        view: PlanView,
        world: WorldSettings,
        horizon_minutes: int = HORIZON_MINUTES,
        *,
        charge: float = 0.0,
    ) -> Teacher:
        """The teacher for a round that starts with this view.

        Args:
            episode: the day, with its future.
            minute: of it.
            view: the cluster.
            world: constants of migration.
            horizon_minutes: that worth is counted for.
            charge: core-minutes that each move must bring besides its price, as in `LookaheadSettings`.
        """
        before, clumps = view.round.before, view.round.clumps
        foresight = foresee(episode, minute, before, horizon_minutes).gathered(clumps)
        price_M = clumps.gathered(move_price_M(before, world) + charge)
        return Teacher(foresight, price_M, mean_host_cores(before.inventory))

    def worth_S(self, listed: Shortlist) -> npt.NDArray[np.float32]:
        """Worth of each slot, host-minutes; 0 for stop and for slots that are not allowed; shape (S,)."""
        return single_worth_S(listed, self.foresight, self.price_M, self.host_cores)

    def after(self, m: int, target: int) -> Teacher:
        """The teacher once the plan also has this move."""
        return Teacher(self.foresight.moved(m, target), self.price_M, self.host_cores)


def single_worth_S(
    listed: Shortlist, foresight: Foresight, price_M: Array, host_cores: float
) -> npt.NDArray[np.float32]:
    """What each move wins by itself net of its price, host-minutes; 0 for stop and empty slots; shape (S,)."""
    worth_S = np.zeros(listed.mask_S.size, dtype=np.float32)
    slots = np.flatnonzero(listed.mask_S[1:])
    movables, targets = listed.movable_K[slots], listed.target_K[slots]
    if slots.size:
        worth_S[slots + 1] = (foresight.relief(movables, targets) - price_M[movables]) / host_cores
    return worth_S


def mean_host_cores(inventory: Inventory) -> float:
    """Mean CPU capacity of a host, cores: the unit of worth."""
    return float(inventory.capacity_HR[:, CPU].mean())
