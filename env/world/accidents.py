"""What happens to hosts during a day: failures that nobody expects, and maintenance that somebody asks for.

Shapes: H hosts.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import BoolArray, Host
from .events import Event, EventKind
from .trace import SAMPLE_MINUTES, SAMPLES_PER_DAY

DAY_MINUTES = SAMPLES_PER_DAY * SAMPLE_MINUTES
FAILURE_MINUTES = (30, 240)  # a failed host is down for, from and to; assumed
MAINTENANCE_MINUTES = (30, 120)  # of service, once the host is empty; assumed
EMPTYING_MINUTES = 60  # allowed for emptying a host; assumed, as how long it takes depends on the planner
EMPTIED_LOAD = 0.82  # mean utilization of the other hosts at which a host can still be emptied; assumed
FIRST_FAILURE_MINUTE = 30  # so that a day has begun before something breaks
DOWN_SHARE = 0.25  # of hosts, and at least one, may be failed or in maintenance at the same time; assumed
TRIES = 20  # draws of a failure before it is left out: too many hosts are down already


def can_be_emptied(hosts: tuple[Host, ...], load: float) -> bool:
    """Whether the other hosts can bear the CPU demand of the largest one, at the mean load of the day."""
    cores_H = np.array([host.cpu_cores for host in hosts])
    return bool(load * cores_H.sum() <= EMPTIED_LOAD * (cores_H.sum() - cores_H.max()))


def draw_accidents(
    generator: np.random.Generator, is_spare_H: BoolArray, failures: int, maintenances: int
) -> list[Event]:
    """Failures and maintenance of a day; a cluster of one host has neither.

    Args:
        generator: of the accidents alone.
        is_spare_H: hosts that can be emptied whatever happens, such as those without GPUs; maintenance is asked for
            these, or for any if there is none; shape (H,).
        failures: how many hosts fail.
        maintenances: how many are to be serviced, one after another.
    """
    if len(is_spare_H) == 1:
        return []
    planned = _maintenances(generator, is_spare_H, maintenances)
    return _failures(generator, len(is_spare_H), failures, planned) + planned


def _failures(generator: np.random.Generator, hosts: int, count: int, planned: list[Event]) -> list[Event]:
    """Failures at any minute of the day, only a part of the hosts down at a time, planned maintenance included."""
    most = max(1, int(DOWN_SHARE * hosts))
    found: list[Event] = []
    for _ in range(count):
        for _ in range(TRIES):
            minutes = int(generator.integers(FAILURE_MINUTES[0], FAILURE_MINUTES[1] + 1))
            minute, h = int(generator.integers(FIRST_FAILURE_MINUTE, DAY_MINUTES)), int(generator.integers(hosts))
            event = Event(minute, EventKind.FAILURE, h, minutes)
            meanwhile = [other for other in [*found, *planned] if _overlap(event, other)]
            if len(meanwhile) < most and all(other.subject != h for other in meanwhile):
                found.append(event)
                break
    return found


def _overlap(one: Event, other: Event) -> bool:
    """Whether two hosts are out of service at the same time, or one just after the other."""
    return one.minute <= _end(other) and other.minute <= _end(one)


def _end(event: Event) -> int:
    """Minute from which a host is back, as far as it can be known."""
    emptying = EMPTYING_MINUTES if event.kind is EventKind.MAINTENANCE else 0
    return event.minute + emptying + event.duration_minutes


def _maintenances(generator: np.random.Generator, is_spare_H: BoolArray, count: int) -> list[Event]:
    """Requests spread over the day, each on another host as long as there are others."""
    if count == 0:
        return []
    spare = np.flatnonzero(is_spare_H) if is_spare_H.any() else np.arange(len(is_spare_H))
    hosts = np.resize(generator.permutation(spare), count)
    slot = DAY_MINUTES // count
    found = []
    for n, h in enumerate(hosts):
        minutes = int(generator.integers(MAINTENANCE_MINUTES[0], MAINTENANCE_MINUTES[1] + 1))
        latest = slot - minutes - EMPTYING_MINUTES  # at least an hour, as there are six a day at most
        found.append(Event(n * slot + int(generator.integers(latest)), EventKind.MAINTENANCE, int(h), minutes))
    return found
