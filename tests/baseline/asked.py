"""A planner that counts how often it is asked."""

from __future__ import annotations

from quell.env.model.cluster import Cluster
from quell.env.model.plan import Plan, Status


class Asked:
    """Wants nothing."""

    name, observes_after_plan = "asked", False

    def __init__(self) -> None:
        self.times = 0

    def plan(self, cluster: Cluster) -> Plan:
        """No move."""
        self.times += 1
        return Plan(cluster.name, self.name, Status.NO_CONTENTION, "")
