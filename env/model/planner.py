"""What a planner is: anything with a name and `plan(cluster)`; some learn from what their plans achieved."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

from .cluster import Cluster
from .effectiveness import PlanOutcome
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


@runtime_checkable
class Learner(Protocol):
    """A planner that is told what came of its plans."""

    def learn(self, outcome: PlanOutcome) -> None:
        """Takes over the verdict on one of its plans."""
        ...

    def unlearned(self) -> Self:
        """The same planner before it has learned anything: every day starts with one, so that days can be repeated."""
        ...
