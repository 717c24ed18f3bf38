"""How good a policy is: the true simulated cost of fixed days of the validation part."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..baseline.ads import Ads
from ..baseline.nothing import Nothing
from ..baseline.placement import place_with_room
from ..env.gym.view import look_at
from ..env.model.cluster import Cluster
from ..env.model.plan import Plan
from ..env.world.rounds import run_episode
from ..env.world.split import TracePart
from ..env.world.workload import ClusterSpec, Episode, build_episode
from .config import TrainConfig
from .days import Scores
from .evacuation import evacuation_plan
from .imitation import scores_of
from .network import CandidateScorer
from .planner import choose_moves

SEED = 7_000_000  # of the validation days: the same ones for every training


@dataclass(frozen=True, eq=False)
class ScoredPlanner:
    """The greedy policy of a scorer in training; served policies are `LearnedPlanner`s.

    As there, a host in maintenance is emptied by the rules.
    """

    scores: Scores
    slots: int
    name: str = "learned"
    observes_after_plan: bool = False

    def plan(self, cluster: Cluster) -> Plan:
        """The moves with the best scores."""
        before = look_at(cluster)
        ordered = evacuation_plan(cluster, before.state, Ads())
        return ordered or choose_moves(before, self.scores, slots=self.slots)[0].plan(self.name)


class Validation:
    """Fixed days, and what they cost when nothing is done."""

    def __init__(self, part: TracePart, config: TrainConfig) -> None:
        size = config.validation_hosts, config.validation_vms_per_host, config.validation_load
        spec = ClusterSpec(*size, scenario=config.scenario)
        self._slots = config.slots
        self._episodes: list[Episode] = [build_episode(part, spec, SEED + n) for n in range(config.validation_episodes)]
        self._nothing = 0.0
        self.seconds = 0.0  # the last validation took

    def prepare(self) -> None:
        """Meters the days with nothing done."""
        self._nothing = float(np.sum([run_episode(e, Nothing()).costs.total for e in self._episodes]))

    def cost_ratio(self, scorer: CandidateScorer) -> tuple[float, float]:
        """Cost of all days under the greedy policy as a share of doing nothing, and GiB moved a day."""
        started = time.monotonic()
        device = next(scorer.parameters()).device
        planner = ScoredPlanner(scores_of(scorer.cpu()), self._slots)
        results = [run_episode(episode, planner, placer=place_with_room) for episode in self._episodes]
        scorer.to(device)
        self.seconds = time.monotonic() - started
        cost = float(np.sum([r.costs.total for r in results]))
        return cost / max(self._nothing, 1e-9), float(np.mean([r.costs.migration_gib for r in results]))
