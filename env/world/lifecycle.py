"""Events and their consequences: VMs that come and go, hosts that fail or are serviced, sessions that are directed.

VMs that ask for a host stand in a queue. Those of a failed host come first, the `ha` ones most constrained first, and
are restarted without asking whether memory is reserved: for that it was reserved. VMs that are not `ha` wait until
their host is back. VMs that arrive are placed by the placer; one that is rejected is tried again every contention
period, and whenever room comes back. A placement that has to make room first is carried out like any plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..model.cluster import NOWHERE, Cluster, HostState
from ..model.memory import Resize
from ..model.plan import Plan, Status
from ..model.restart import restart_in_order, restarts
from ..model.rules import check_placement, is_ha_binding
from ..model.sessions import balanced_sessions
from .events import Event, EventKind
from .migration import WorldSettings
from .migrations import TICK_SECONDS, Migrations
from .present import Present
from .tasks import Operation, TaskOutcome, TaskRecord

Placer = Callable[[Cluster, int], Plan]
"""(cluster, movable index of a VM that is on and nowhere) -> a plan of status `placed` or `rejected`."""


@dataclass(frozen=True)
class _Waiting:
    """A VM without a host: since when, and the host whose failure it waits out (-1 for a VM that arrived)."""

    m: int
    since_minute: int
    failed: int = NOWHERE


class Lifecycle:
    """Lets events happen.

    Args:
        present: what they change.
        migrations: what they cut off, and what makes room.
        placer: finds hosts for VMs that arrive.
        world: how long VMs take to start.
        begin: starts the moves of a plan that has been found valid, and returns its running number; None where it is
            not valid.

    Attributes:
        tasks: what was done, in order.
        waiting_vm_minutes: minutes that VMs have waited for a host so far.
        evacuation_host_minutes: minutes that hosts in maintenance have waited to be emptied so far.
    """

    def __init__(
        self,
        present: Present,
        migrations: Migrations,
        placer: Placer,
        world: WorldSettings,
        begin: Callable[[Plan], int | None],
    ) -> None:
        self._present, self._migrations, self._placer, self._world = present, migrations, placer, world
        self._begin = begin
        self.tasks: list[TaskRecord] = []
        self.waiting_vm_minutes = 0
        self.evacuation_host_minutes = 0
        self._events = list(present.episode.events)
        self._waiting: list[_Waiting] = []
        self._to_empty: dict[int, int] = {}  # host in maintenance -> minutes of service once it is empty
        self._recoveries: list[tuple[int, int]] = []  # (minute, host)
        self._pending: tuple[int, int, int] | None = None  # (VM, target, plan) of a placement that room is made for
        running = present.is_on_M[: present.inventory.vm_count] & (present.host_of_M[: present.inventory.vm_count] < 0)
        self._waiting += [_Waiting(int(v), 0) for v in np.flatnonzero(running)]

    def next_minute(self, now: int, period_minutes: int) -> int | None:
        """The next minute after `now` in which something happens by itself, or None.

        Args:
            period_minutes: how often VMs that wait are tried again.
        """
        times = [event.minute for event in self._events] + [minute for minute, _ in self._recoveries]
        if self._waiting:
            times.append((now // period_minutes + 1) * period_minutes)
        times += [int(minute) for minute in np.unique(self._present.ready_minute_V)]
        return min((minute for minute in times if minute > now), default=None)

    def pass_minutes(self, minutes: int) -> None:
        """Counts minutes of waiting."""
        self.waiting_vm_minutes += minutes * len(self._waiting)
        self.evacuation_host_minutes += minutes * len(self._to_empty)

    def happen(self, minute: int, period_minutes: int) -> None:
        """Everything that happens at the start of a minute."""
        is_room_new = minute % period_minutes == 0
        while self._events and self._events[0].minute <= minute:
            is_room_new |= self._happens(self._events.pop(0), minute)
        for due, h in [r for r in self._recoveries if r[0] <= minute]:
            self._recover(due, h)
            is_room_new = True
        self._service_empty_hosts(minute)
        if not self._migrations.is_busy and self._pending is not None:
            self._start_pending(minute)
            is_room_new = True
        if is_room_new and self._waiting:
            self._serve_waiting(minute)

    def note_resize(self, resize: Resize, minute: int, plan: int) -> None:
        """Writes down that a plan has set the physical memory of a VM."""
        seconds = minute * TICK_SECONDS
        detail = f"{resize.memory_gib:.2f} GiB of physical memory"
        record = TaskRecord(
            Operation.RESIZE, resize.vm, resize.host, resize.host, seconds, seconds, detail=detail, plan=plan
        )
        self.tasks.append(record)

    def _happens(self, event: Event, minute: int) -> bool:
        """One event; whether VMs that wait should be tried now."""
        if event.kind is EventKind.ARRIVAL:
            self._present.set_on(event.subject, True)
            self._waiting.append(_Waiting(event.subject, minute))
        elif event.kind is EventKind.DEPARTURE:
            self._depart(event.subject, minute)
        elif event.kind is EventKind.FAILURE:
            self._fail(event.subject, event.duration_minutes, minute)
        elif event.kind is EventKind.MAINTENANCE:
            self._request_maintenance(event.subject, event.duration_minutes, minute)
        else:
            self._present.set_on(event.subject, True)
            self._direct_sessions([event.subject], minute, "the volume group was created or grew")
        return event.kind is not EventKind.MAINTENANCE

    def _depart(self, v: int, minute: int) -> None:
        """A VM leaves the cluster."""
        inventory = self._present.inventory
        source = self._present.host_of_M[v]
        self._migrations.cut_off(minute * TICK_SECONDS, f"{inventory.vms[v].id} was powered off", m=v)
        self._waiting = [w for w in self._waiting if w.m != v]
        if self._pending is not None and self._pending[0] == v:
            self._pending = None
        self._present.set_on(v, False)
        self._note(Operation.POWER_OFF, v, int(source), NOWHERE, minute, minute)

    def _fail(self, h: int, duration_minutes: int, minute: int) -> None:
        """A host fails: its VMs are nowhere, its `ha` VMs restart at once, its sessions are directed elsewhere."""
        present, host = self._present, self._present.inventory.hosts[h]
        if present.host_state(h) is HostState.DOWN:
            return
        self._migrations.cut_off(minute * TICK_SECONDS, f"{host.id} failed", host=h)
        before = present.state(minute)
        V = present.inventory.vm_count
        hit = np.flatnonzero((present.host_of_M == h) & present.is_on_M)
        present.set_host_state(h, HostState.DOWN)
        present.host_of_M[hit] = NOWHERE
        self._to_empty.pop(h, None)
        self._recoveries.append((minute + duration_minutes, h))
        detail = f"down for {duration_minutes} minutes"
        self.tasks.append(_host_task(Operation.FAIL, host.id, minute, minute + duration_minutes, detail))
        found = restarts(before, (h,), present.state(minute))
        for v in [*found, *(int(m) for m in hit if m < V and m not in found)]:
            waiting = _Waiting(v, minute, h)
            if v in found:
                self._restart(waiting, found[v], minute)
            else:
                self._waiting.append(waiting)
        self._waiting.sort(key=lambda w: w.failed == NOWHERE)  # stable: VMs that failed come before those that arrive
        self._direct_sessions([int(m) for m in hit if m >= V], minute, f"{host.id} failed")

    def _request_maintenance(self, h: int, duration_minutes: int, minute: int) -> None:
        """A host is to be emptied by the planner; one that is not up is not asked for."""
        if self._present.host_state(h) is HostState.UP:
            self._present.set_host_state(h, HostState.MAINTENANCE)
            self._to_empty[h] = duration_minutes
            detail = f"to be emptied, then {duration_minutes} minutes of service"
            host = self._present.inventory.hosts[h].id
            self.tasks.append(_host_task(Operation.MAINTENANCE, host, minute, minute, detail))

    def _service_empty_hosts(self, minute: int) -> None:
        """Hosts in maintenance that are empty by now go down for their service."""
        for h, duration_minutes in list(self._to_empty.items()):
            is_empty = not (self._present.is_on_M & (self._present.host_of_M == h)).any()
            if is_empty and not self._migrations.touches(h):
                del self._to_empty[h]
                self._present.set_host_state(h, HostState.DOWN)
                self._recoveries.append((minute + duration_minutes, h))

    def _recover(self, due_minute: int, h: int) -> None:
        """A host is up again, and empty."""
        self._recoveries.remove((due_minute, h))
        self._present.set_host_state(h, HostState.UP)
        self.tasks.append(_host_task(Operation.RECOVER, self._present.inventory.hosts[h].id, due_minute, due_minute))

    def _serve_waiting(self, minute: int) -> None:
        """Tries every VM that waits, in order."""
        for waiting in list(self._waiting):
            if waiting.failed == NOWHERE:
                self._place(waiting, minute)
            elif self._may_restart(waiting):
                found = restart_in_order(self._migrations.with_both_sides(self._present.state(minute)), [waiting.m])
                if found:
                    self._waiting.remove(waiting)
                    self._restart(waiting, found[waiting.m], minute)

    def _may_restart(self, waiting: _Waiting) -> bool:
        """Whether a VM of a failed host may start: `ha` VMs wherever there is room, others once their host is back."""
        is_back = self._present.host_state(waiting.failed) is not HostState.DOWN
        return is_back or self._present.inventory.vms[waiting.m].is_ha

    def _restart(self, waiting: _Waiting, h: int, minute: int) -> None:
        """A VM of a failed host starts on another."""
        ready = max(minute, waiting.since_minute + self._world.restart_minutes)
        self._settle(waiting.m, h, minute, ready)
        detail = f"{self._present.inventory.hosts[waiting.failed].id} had failed"
        self._note(Operation.RESTART, waiting.m, waiting.failed, h, waiting.since_minute, ready, detail)

    def _place(self, waiting: _Waiting, minute: int) -> None:
        """Asks the placer for a host; starts the VM there, or makes room first, or leaves it waiting."""
        if self._pending is not None:
            return
        plan = self._placer(self._present.cluster(minute), waiting.m)
        if plan.status is not Status.PLACED:
            self._reject(waiting, minute, plan.reason)
            return
        target = self._present.inventory.host_index[plan.target]
        if plan.moves:
            self._make_room(waiting, target, plan)
            return
        state = self._migrations.with_both_sides(self._present.state(minute))
        broken = check_placement(state, waiting.m, target, is_ha_enforced=is_ha_binding(state))
        if broken:  # a VM on its way to that host was not seen by the placer
            self._reject(waiting, minute, str(broken[0]))
            return
        self._waiting.remove(waiting)
        self._start(waiting.m, target, waiting.since_minute, minute, plan.reason)

    def _make_room(self, waiting: _Waiting, target: int, plan: Plan) -> None:
        """Starts the moves that make room for a VM, if no others are under way."""
        if self._migrations.is_busy:
            return
        number = self._begin(plan)
        if number is not None:
            self._pending = (waiting.m, target, number)

    def _start_pending(self, minute: int) -> None:
        """The moves that make room have ended: the VM starts, if there is room."""
        v, target, number = self._pending or (NOWHERE, NOWHERE, 0)
        self._pending = None
        waiting = next((w for w in self._waiting if w.m == v), None)
        state = self._present.state(minute)
        if waiting is None or check_placement(state, v, target, is_ha_enforced=is_ha_binding(state)):
            return
        self._waiting.remove(waiting)
        self._start(v, target, waiting.since_minute, minute, "room was made for it", number)

    def _start(self, v: int, h: int, since: int, minute: int, detail: str, plan: int = 0) -> None:
        """A VM that arrived starts on its first host."""
        ready = minute + self._world.boot_minutes
        self._settle(v, h, minute, ready)
        self._note(Operation.PLACE, v, NOWHERE, h, since, ready, detail, plan=plan)

    def _settle(self, v: int, h: int, minute: int, ready: int) -> None:
        """A VM has a host, and runs from the minute `ready` on."""
        present = self._present
        present.host_of_M[v] = h
        present.ready_minute_V[v] = ready
        present.share(minute, self._migrations.reserved_gib_H(present.need_V(minute)))

    def _reject(self, waiting: _Waiting, minute: int, why: str) -> None:
        """Writes down that a VM found no host; once, until something else comes of it."""
        if not any(t.outcome is TaskOutcome.REJECTED and t.id == self._id(waiting.m) for t in self.tasks):
            outcome = TaskOutcome.REJECTED
            self._note(Operation.PLACE, waiting.m, NOWHERE, NOWHERE, waiting.since_minute, minute, why, outcome)

    def _direct_sessions(self, sessions: list[int], minute: int, why: str) -> None:
        """Sessions are spread over the controllers of the hosts that are up."""
        for m, h in balanced_sessions(self._present.state(minute), sessions).items():
            source = int(self._present.host_of_M[m])
            self._present.host_of_M[m] = h
            self._note(Operation.SESSION, m, source, h, minute, minute, why)

    def _id(self, m: int) -> str:
        """Id of a movable."""
        return self._present.inventory.movable_id(m)

    def _note(
        self,
        operation: Operation,
        m: int,
        source: int,
        target: int,
        start: int,
        end: int,
        detail: str = "",
        outcome: TaskOutcome = TaskOutcome.DONE,
        plan: int = 0,
    ) -> None:
        """Writes down what was done to a movable; times in minutes."""
        hosts = self._present.inventory.hosts
        left, reached = (hosts[h].id if h != NOWHERE else "" for h in (source, target))
        began, ended = start * TICK_SECONDS, end * TICK_SECONDS
        self.tasks.append(TaskRecord(operation, self._id(m), left, reached, began, ended, outcome, detail, plan))


def _host_task(operation: Operation, host: str, start: int, end: int, detail: str = "") -> TaskRecord:
    """What happened to a host; times in minutes."""
    return TaskRecord(operation, host, host, "", start * TICK_SECONDS, end * TICK_SECONDS, detail=detail)
