"""What was done to a cluster besides migrations, as it is written down for the audit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
