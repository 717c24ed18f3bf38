"""What happens to a cluster during a day, besides demand: who comes and goes, what breaks or is taken out of service.

Events are part of the episode and never depend on what planners do; their consequences do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """Kinds of event; `subject` is an index of what it happens to."""

    ARRIVAL = "arrival"  # VM: it is powered on and asks for a host
    DEPARTURE = "departure"  # VM: it is powered off and gone
    FAILURE = "failure"  # host: down for `duration_minutes`, then up again, empty
    MAINTENANCE = "maintenance"  # host: to be emptied, then serviced for `duration_minutes`, then up again
    SESSION_OPENED = "session-opened"  # session (movable index): its volume group was created or grew


@dataclass(frozen=True, order=True)
class Event:
    """One event at the start of a minute of the day.

    Attributes:
        minute: 0 to 1439.
        kind: what happens.
        subject: index of the VM, host or movable it happens to.
        duration_minutes: of a failure or a maintenance, else 0.
    """

    minute: int
    kind: EventKind
    subject: int
    duration_minutes: int = 0
