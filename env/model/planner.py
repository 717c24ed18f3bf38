"""What a planner is: anything with a name and `plan(cluster)`."""

from __future__ import annotations

from typing import Protocol

from .cluster import Cluster
from .plan import Plan


class Planner(Protocol):
    """Looks at a cluster and answers with a plan; keeps every rule R1-R8.

    Attributes:
        name: what tables and plan documents call it.
        observes_after_plan: whether it sits out the observation period after a plan of its own; the simulator and the
            daemon then do not ask it.
    """

    @property
    def name(self) -> str: ...

    @property
    def observes_after_plan(self) -> bool: ...

    def plan(self, cluster: Cluster) -> Plan:
        """The moves this planner wants now, in order, or the reason why there are none."""
        ...
