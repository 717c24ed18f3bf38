"""The planner that moves nothing: what a cluster costs when it is left alone."""

from __future__ import annotations

from dataclasses import dataclass

from ..env.model.cluster import Cluster
from ..env.model.contention import contentions
from ..env.model.plan import Plan, Status
from ..env.model.state import state_of


@dataclass(frozen=True)
class Nothing:
    """Sees the contentions and leaves them."""

    name: str = "none"
    observes_after_plan: bool = False

    def plan(self, cluster: Cluster) -> Plan:
        """No move, ever."""
        found = contentions(state_of(cluster))
        if not found:
            return Plan(cluster.name, self.name, Status.NO_CONTENTION, "no host is contended")
        return Plan(cluster.name, self.name, Status.REFUSED, "this planner moves nothing", found)
