"""How good a policy is: the true simulated cost of fixed days of the validation part."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..baseline.nothing import Nothing
from ..baseline.placement import place_with_room
from ..env.world.rounds import run_episode
from ..env.world.split import TracePart
from ..env.world.workload import ClusterSpec, Episode, build_episode
from .config import TrainConfig
from .days import Scores
from .forecaster import Forecaster
from .imitation import scores_of
from .network import CandidateScorer
from .planner import LearnedPlanner, Proposal

SEED = 7_000_000  # of the validation days: the same ones for every training
GAIN_SEED = 7_500_000  # of those that nothing is chosen by


@dataclass(frozen=True, eq=False)
class Trainee:
    """A network in training as a policy to plan with.

    Attributes:
        scores: of the slots.
        slots: K, the length of its shortlist.
        forecaster: what it looks ahead with.
    """

    scores: Scores
    slots: int
    forecaster: Forecaster | None = None

    def logits(
        self, candidates: npt.NDArray[np.float32], context: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], /
    ) -> npt.NDArray[np.float32]:
        """The score of each slot; shape (S,)."""
        return np.asarray(self.scores(candidates, context, mask), dtype=np.float32)


class Validation:
    """Fixed days, and what they cost when nothing is done.

    Args:
        part: VMs and days to judge by.
        config: size, load and number of the days.
        seed: of the first day.
    """

    def __init__(self, part: TracePart, config: TrainConfig, seed: int = SEED) -> None:
        size = config.validation_hosts, config.validation_vms_per_host, config.validation_load
        spec = ClusterSpec(*size, scenario=config.scenario)
        self._slots = config.slots
        self._episodes: list[Episode] = [build_episode(part, spec, seed + n) for n in range(config.validation_episodes)]
        self._nothing = 0.0
        self.seconds = 0.0  # the last validation took

    def prepare(self) -> None:
        """Meters the days with nothing done."""
        self._nothing = float(np.sum([run_episode(e, Nothing()).costs.total for e in self._episodes]))

    def cost_ratio(
        self,
        scorer: CandidateScorer,
        forecaster: Forecaster | None = None,
        proposals: tuple[Proposal, ...] = (Proposal.POLICY,),
    ) -> tuple[float, float]:
        """Cost of all days under the scorer as a planner, as a share of doing nothing; and GiB moved a day.

        Args:
            scorer: the policy.
            forecaster: what it looks ahead with.
            proposals: the plans to choose from; by default the policy's own, taken as they are.
        """
        started = time.monotonic()
        device = next(scorer.parameters()).device
        planner = LearnedPlanner(Trainee(scores_of(scorer.cpu()), self._slots, forecaster), proposals=proposals)
        results = [run_episode(episode, planner, placer=place_with_room) for episode in self._episodes]
        scorer.to(device)
        self.seconds = time.monotonic() - started
        cost = float(np.sum([r.costs.total for r in results]))
        return cost / max(self._nothing, 1e-9), float(np.mean([r.costs.migration_gib for r in results]))
