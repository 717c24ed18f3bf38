"""What was done to a cluster besides migrations, as it is written down for the audit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..model.cluster import NOWHERE, Inventory

TICK_SECONDS = 60.0


class Operation(StrEnum):
    """Kinds of task. Migrations have records of their own (`MoveRecord`)."""

    PLACE = "place"  # a VM that arrived starts on its first host
    RESTART = "restart"  # a VM whose host failed starts on another
    POWER_OFF = "power-off"  # a VM left the cluster
    FAIL = "fail"  # a host failed
    MAINTENANCE = "maintenance"  # a host is to be emptied, and is serviced then
    RECOVER = "recover"  # a host is up again
    SESSION = "session"  # an iSCSI session is directed to a storage controller
    RESIZE = "resize"  # physical memory of an overcommit VM is set by a plan


class TaskOutcome(StrEnum):
    """What became of a task."""

    DONE = "done"
    REJECTED = "rejected"  # asked again when there may be room


@dataclass(frozen=True)
class TaskRecord:
    """One task; times in seconds since the start of the day.

    Attributes:
        operation: what was done.
        id: of the VM, session or host it was done to.
        source, target: hosts before and after; "" where there is none.
        start_seconds, end_seconds: from the request to the end; a VM that waited for a host was down in between.
        outcome: what became of it.
        detail: why, with figures.
        plan: running number of the executed plan it belongs to, 0 for none.
    """

    operation: Operation
    id: str
    source: str
    target: str
    start_seconds: float
    end_seconds: float
    outcome: TaskOutcome = TaskOutcome.DONE
    detail: str = ""
    plan: int = 0


class TaskLog:
    """The tasks of a day so far.

    Args:
        inventory: names of hosts and movables.

    Attributes:
        records: in the order in which they were written down.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.records: list[TaskRecord] = []
        self._inventory = inventory

    def movable(
        self,
        operation: Operation,
        m: int,
        hosts: tuple[int, int],
        minutes: tuple[int, int],
        detail: str = "",
        outcome: TaskOutcome = TaskOutcome.DONE,
        plan: int = 0,
    ) -> None:
        """Writes down what was done to a VM or session.

        Args:
            hosts: indices before and after, -1 for nowhere.
            minutes: of the day, from the request to the end.
        """
        source, target = (self._inventory.hosts[h].id if h != NOWHERE else "" for h in hosts)
        start, end = (minute * TICK_SECONDS for minute in minutes)
        name = self._inventory.movable_id(m)
        self.records.append(TaskRecord(operation, name, source, target, start, end, outcome, detail, plan))

    def host(self, operation: Operation, h: int, minutes: tuple[int, int], detail: str = "") -> None:
        """Writes down what happened to a host."""
        start, end = (minute * TICK_SECONDS for minute in minutes)
        name = self._inventory.hosts[h].id
        self.records.append(TaskRecord(operation, name, name, "", start, end, detail=detail))

    def is_rejected(self, m: int) -> bool:
        """Whether it is written down already that a VM found no host."""
        name = self._inventory.movable_id(m)
        return any(task.outcome is TaskOutcome.REJECTED and task.id == name for task in self.records)
