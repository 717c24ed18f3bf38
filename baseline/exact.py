"""The cheapest plan with its proof, as a planner; `exact_proof.py` tells how both are found."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from ..env.model.cluster import Cluster
from ..env.model.contention import contentions
from ..env.model.demand import Estimator, trend_estimate
from ..env.model.plan import Plan
from ..env.model.state import State, state_of
from .ads import planned, uncontended, unresolved
from .exact_limits import ExactLimits
from .exact_order import Orders
from .exact_proof import prove
from .search import SearchLimits
from .search_board import board_of
from .warm_up import warm_up

PROOF_FACTOR = 4.0  # how many times longer than for a plan alone somebody waits who wants the proof


@dataclass(frozen=True)
class Exact:
    """The least-cost remediation of contention with its proof, all or nothing; it does not learn.

    Attributes:
        estimate: demand from samples.
        limits: when the proof is given up; by default after an amount of work, the same on every machine.
        is_interactive: whether somebody waits: work on for `PROOF_FACTOR` times `Settings.solve_limit_seconds` instead.
    """

    estimate: Estimator = trend_estimate
    limits: ExactLimits = field(default_factory=ExactLimits)
    is_interactive: bool = False
    name: str = "exact"
    observes_after_plan: bool = True

    def plan(self, cluster: Cluster) -> Plan:
        """The cheapest plan that resolves every contention, or why there is none."""
        state = state_of(cluster, self.estimate)
        if self.is_interactive:  # compiling kernels must not come out of the seconds the proof is allowed
            warm_up()
            Orders(board_of(state)).warm_up()
        started = time.perf_counter()
        found = contentions(state)
        if not found:
            return uncontended(self.name, cluster, started)
        result = prove(state, self._limits(state))
        if result.moves is None:
            return unresolved(self.name, cluster, found, result.reason, started, proven=result.is_proven)
        return planned(self.name, cluster, state, found, result.moves, result.reason, started, proven=result.is_proven)

    def _limits(self, state: State) -> ExactLimits:
        """The limits of this proof."""
        if not self.is_interactive:
            return self.limits
        seconds = PROOF_FACTOR * state.inventory.settings.solve_limit_seconds
        return ExactLimits(np.inf, seconds, SearchLimits(seconds=seconds / PROOF_FACTOR))
