"""Events and their consequences: VMs that come and go, hosts that fail or are serviced, sessions that are directed.

When a host fails, its `ha` VMs restart at once, most constrained first; what finds no room, and what is not `ha`, waits
(`waiting.py`). A host in maintenance is serviced as soon as it is empty, and at the end of the notice with what is
still on it: those VMs are stopped and wait until it is back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.cluster import NOWHERE, HostState
from ..model.memory import Resize
from ..model.restart import restarts
from ..model.sessions import balanced_sessions, regrouped_sessions
from .events import Event, EventKind
from .migration import WorldSettings
from .migrations import Migrations
from .present import Present
from .tasks import TICK_SECONDS, Operation, TaskLog
from .waiting import Waiting, WaitingQueue


@dataclass(frozen=True)
class _Maintenance:
    """A host that is to be emptied: by when at the latest it is serviced, and for how long."""

    deadline_minute: int
    service_minutes: int


class Lifecycle:
    """Lets events happen.

    Args:
        present: what they change.
        migrations: what they cut off.
        waiting: where VMs without a host stand.
        world: how long a host in maintenance is waited for.
        tasks: where it is written down.
    """

    def __init__(
        self,
        present: Present,
        migrations: Migrations,
        waiting: WaitingQueue,
        world: WorldSettings,
        tasks: TaskLog,
    ) -> None:
        self._present, self._migrations, self._waiting = present, migrations, waiting
        self._world, self._tasks = world, tasks
        self._events = list(present.episode.events)
        self._to_empty: dict[int, _Maintenance] = {}  # by host
        self._recoveries: list[tuple[int, int]] = []  # (minute, host)

    def next_minute(self, now: int, period_minutes: int) -> int | None:
        """The next minute after `now` in which something happens by itself, or None.

        Args:
            period_minutes: how often VMs that wait are tried again.
        """
        times = [event.minute for event in self._events] + [minute for minute, _ in self._recoveries]
        times += [asked.deadline_minute for asked in self._to_empty.values()]
        if self._waiting:
            times.append((now // period_minutes + 1) * period_minutes)
        times += [int(minute) for minute in np.unique(self._present.ready_minute_V)]
        return min((minute for minute in times if minute > now), default=None)

    @property
    def waiting_count(self) -> int:
        """How many VMs wait for a host."""
        return len(self._waiting)

    @property
    def to_empty_count(self) -> int:
        """How many hosts in maintenance wait to be emptied."""
        return len(self._to_empty)

    @property
    def is_watching(self) -> bool:
        """Whether the end of a move may let something happen: a host is empty, or there is room for a VM."""
        return bool(self._to_empty) or self._waiting.has_pending

    def happen(self, minute: int, period_minutes: int) -> None:
        """Everything that happens at the start of a minute."""
        is_room_new = minute % period_minutes == 0
        while self._events and self._events[0].minute <= minute:
            is_room_new |= self._happens(self._events.pop(0), minute)
        for due, h in [r for r in self._recoveries if r[0] <= minute]:
            self._recover(due, h)
            is_room_new = True
        self._service(minute)
        is_room_new |= self._waiting.start_pending(minute)
        if is_room_new and self._waiting:
            self._waiting.serve(minute)

    def note_resize(self, resize: Resize, minute: int, plan: int) -> None:
        """Writes down that a plan has set the physical memory of a VM."""
        v, h = self._present.inventory.vm_index[resize.vm], self._present.inventory.host_index[resize.host]
        detail = f"{resize.memory_gib:.2f} GiB of physical memory"
        self._tasks.movable(Operation.RESIZE, v, (h, h), (minute, minute), detail, plan=plan)

    def _happens(self, event: Event, minute: int) -> bool:
        """One event; whether VMs that wait should be tried now."""
        if event.kind is EventKind.ARRIVAL:
            self._present.set_on(event.subject, True)
            self._waiting.add([Waiting(event.subject, minute)])
        elif event.kind is EventKind.DEPARTURE:
            self._depart(event.subject, minute)
        elif event.kind is EventKind.FAILURE:
            self._fail(event.subject, event.duration_minutes, minute)
        elif event.kind is EventKind.MAINTENANCE:
            self._request_maintenance(event.subject, event.duration_minutes, minute)
        else:
            self._present.set_on(event.subject, True)
            found = regrouped_sessions(self._present.state(minute), [event.subject])
            self._direct(found, minute, "the volume group was created or grew")
        return event.kind is not EventKind.MAINTENANCE

    def _depart(self, v: int, minute: int) -> None:
        """A VM leaves the cluster."""
        inventory = self._present.inventory
        source = self._present.host_of_M[v]
        self._migrations.cut_off(minute * TICK_SECONDS, f"{inventory.vms[v].id} was powered off", m=v)
        self._waiting.forget(v)
        self._present.set_on(v, False)
        self._tasks.movable(Operation.POWER_OFF, v, (int(source), NOWHERE), (minute, minute))

    def _fail(self, h: int, duration_minutes: int, minute: int) -> None:
        """A host fails: its `ha` VMs restart at once where there is room."""
        present, host = self._present, self._present.inventory.hosts[h]
        if present.host_state(h) is HostState.DOWN:
            return
        before = present.state(minute)
        self._to_empty.pop(h, None)
        detail = f"down for {duration_minutes} minutes"
        self._tasks.host(Operation.FAIL, h, (minute, minute + duration_minutes), detail)
        lost = self._take_down(h, duration_minutes, minute, f"{host.id} failed")
        found = {
            v: target
            for v, target in restarts(before, (h,), present.state(minute)).items()
            if not self._migrations.may_crowd_gpus(v, target)
        }
        for v, target in found.items():
            self._waiting.restart(Waiting(v, minute, h), target, minute)
        self._waiting.add([Waiting(v, minute, h, not present.inventory.vms[v].is_ha) for v in lost if v not in found])

    def _take_down(self, h: int, duration_minutes: int, minute: int, why: str) -> list[int]:
        """A host goes down for a while: its VMs (returned) are nowhere, its sessions are directed elsewhere."""
        present, V = self._present, self._present.inventory.vm_count
        self._migrations.cut_off(minute * TICK_SECONDS, why, host=h)
        hit = np.flatnonzero((present.host_of_M == h) & present.is_on_M)
        present.set_host_state(h, HostState.DOWN)
        present.host_of_M[hit] = NOWHERE
        self._recoveries.append((minute + duration_minutes, h))
        self._direct_sessions([int(m) for m in hit if m >= V], minute, why)
        return [int(m) for m in hit if m < V]

    def _request_maintenance(self, h: int, duration_minutes: int, minute: int) -> None:
        """A host is to be emptied by the planner; one that is not up is not asked for."""
        if self._present.host_state(h) is HostState.UP:
            self._present.set_host_state(h, HostState.MAINTENANCE)
            notice = self._world.maintenance_notice_minutes
            self._to_empty[h] = _Maintenance(minute + notice, duration_minutes)
            detail = f"{duration_minutes} minutes of service once it is empty, in {notice} minutes at the latest"
            self._tasks.host(Operation.MAINTENANCE, h, (minute, minute), detail)

    def _service(self, minute: int) -> None:
        """Hosts in maintenance that are empty by now, or whose notice is over, go down for their service."""
        for h, asked in list(self._to_empty.items()):
            is_empty = not (self._present.is_on_M & (self._present.host_of_M == h)).any()
            if (is_empty and not self._migrations.touches(h)) or minute >= asked.deadline_minute:
                del self._to_empty[h]
                why = f"{self._present.inventory.hosts[h].id} is serviced"
                stopped = self._take_down(h, asked.service_minutes, minute, why)
                self._waiting.add([Waiting(v, minute, h, is_bound=True) for v in stopped])

    def _recover(self, due_minute: int, h: int) -> None:
        """A host is up again, and empty."""
        self._recoveries.remove((due_minute, h))
        self._present.set_host_state(h, HostState.UP)
        self._tasks.host(Operation.RECOVER, h, (due_minute, due_minute))
        present, V = self._present, self._present.inventory.vm_count
        lost = np.flatnonzero(present.is_on_M[V:] & (present.host_of_M[V:] == NOWHERE)) + V
        self._direct_sessions(lost.tolist(), due_minute, "a host is up again")

    def _direct_sessions(self, sessions: list[int], minute: int, why: str) -> None:
        """Sessions are spread over the controllers of the hosts that are up."""
        self._direct(balanced_sessions(self._present.state(minute), sessions), minute, why)

    def _direct(self, found: dict[int, int], minute: int, why: str) -> None:
        """Directs sessions to the controllers found for them."""
        for m, h in found.items():
            source = int(self._present.host_of_M[m])
            self._present.host_of_M[m] = h
            self._tasks.movable(Operation.SESSION, m, (source, h), (minute, minute), why)
