"""VMs that ask for a host: the queue of those that lost theirs and those that arrive, and how they get one.

VMs that lost their host come first and are restarted without asking whether memory is reserved: for that it was
reserved. VMs that arrive are placed by the placer; one that is rejected is tried again every contention period, and
whenever room comes back. A placement that has to make room first is carried out like any plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..model.cluster import NOWHERE, Cluster, HostState
from ..model.plan import Plan, Status
from ..model.restart import restart_in_order
from ..model.rules import check_placement, is_ha_binding
from .migration import WorldSettings
from .migrations import Migrations
from .present import Present
from .tasks import Operation, TaskLog, TaskOutcome

Placer = Callable[[Cluster, int], Plan]
"""(cluster, movable index of a VM that is on and nowhere) -> a plan of status `placed` or `rejected`."""


@dataclass(frozen=True)
class Waiting:
    """A VM without a host.

    Attributes:
        m: its index.
        since_minute: since when it waits.
        lost: the host that it was on when that went down; -1 for a VM that arrived.
        is_bound: whether it waits until that host is back.
    """

    m: int
    since_minute: int
    lost: int = NOWHERE
    is_bound: bool = False


class WaitingQueue:
    """Finds hosts for VMs that have none.

    Args:
        present: where they are put.
        migrations: what makes room.
        placer: finds hosts for VMs that arrive.
        world: how long VMs take to start.
        begin: starts the moves of a plan that has been found valid, and returns its running number; None where it is
            not valid.
        tasks: where it is written down.
    """

    def __init__(
        self,
        present: Present,
        migrations: Migrations,
        placer: Placer,
        world: WorldSettings,
        begin: Callable[[Plan], int | None],
        tasks: TaskLog,
    ) -> None:
        self._present, self._migrations, self._placer, self._world = present, migrations, placer, world
        self._begin, self._tasks = begin, tasks
        self._pending: tuple[int, int, int] | None = None  # (VM, target, plan) of a placement that room is made for
        V = present.inventory.vm_count
        homeless_V = present.is_on_M[:V] & (present.host_of_M[:V] == NOWHERE)
        self._waiting = [Waiting(int(v), 0) for v in np.flatnonzero(homeless_V)]

    def __len__(self) -> int:
        """How many VMs wait."""
        return len(self._waiting)

    @property
    def has_pending(self) -> bool:
        """Whether room is being made for a VM."""
        return self._pending is not None

    def add(self, newcomers: Sequence[Waiting]) -> None:
        """More VMs wait: those that lost their host stand before those that arrive."""
        self._waiting += newcomers
        self._waiting.sort(key=lambda waiting: waiting.lost == NOWHERE)  # stable

    def forget(self, v: int) -> None:
        """A VM waits no longer, because it left."""
        self._waiting = [waiting for waiting in self._waiting if waiting.m != v]
        if self._pending is not None and self._pending[0] == v:
            self._pending = None

    def start_pending(self, minute: int) -> bool:
        """Starts the VM that room was made for, once the moves have ended; whether there was one."""
        if self._pending is None or self._migrations.is_busy:
            return False
        v, target, number = self._pending
        self._pending = None
        waiting = next((w for w in self._waiting if w.m == v), None)
        state = self._present.state(minute)
        if waiting is not None and not check_placement(state, v, target, is_ha_enforced=is_ha_binding(state)):
            self._waiting.remove(waiting)
            self._start(waiting, target, minute, "room was made for it", number)
        return True

    def serve(self, minute: int) -> None:
        """Tries every VM that waits, in order."""
        for waiting in list(self._waiting):
            if waiting.lost == NOWHERE:
                self._place(waiting, minute)
            elif not waiting.is_bound or self._present.host_state(waiting.lost) is not HostState.DOWN:
                state = self._migrations.with_both_sides(self._present.state(minute))
                h = restart_in_order(state, [waiting.m]).get(waiting.m)
                if h is not None and not self._migrations.may_crowd_gpus(waiting.m, h):
                    self._waiting.remove(waiting)
                    self.restart(waiting, h, minute)

    def restart(self, waiting: Waiting, h: int, minute: int) -> None:
        """A VM that lost its host starts on another, or on the same one once that is back."""
        ready = max(minute, waiting.since_minute + self._world.restart_minutes)
        self._settle(waiting.m, h, minute, ready)
        detail = f"{self._present.inventory.hosts[waiting.lost].id} had gone down"
        times = waiting.since_minute, ready
        self._tasks.movable(Operation.RESTART, waiting.m, (waiting.lost, h), times, detail)

    def _place(self, waiting: Waiting, minute: int) -> None:
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
        # The placer does not see who is on the way to that host.
        if broken or self._migrations.may_crowd_gpus(waiting.m, target):
            self._reject(waiting, minute, str(broken[0]) if broken else "another vGPU is on its way to that host")
            return
        self._waiting.remove(waiting)
        self._start(waiting, target, minute, plan.reason)

    def _make_room(self, waiting: Waiting, target: int, plan: Plan) -> None:
        """Starts the moves that make room for a VM, if no others are under way."""
        if self._migrations.is_busy:
            return
        number = self._begin(plan)
        if number is not None:
            self._pending = (waiting.m, target, number)

    def _start(self, waiting: Waiting, h: int, minute: int, detail: str, plan: int = 0) -> None:
        """A VM that arrived starts on its first host."""
        ready = minute + self._world.boot_minutes
        self._settle(waiting.m, h, minute, ready)
        times = waiting.since_minute, ready
        self._tasks.movable(Operation.PLACE, waiting.m, (NOWHERE, h), times, detail, plan=plan)

    def _settle(self, v: int, h: int, minute: int, ready: int) -> None:
        """A VM has a host, and runs from the minute `ready` on."""
        present = self._present
        present.host_of_M[v] = h
        present.ready_minute_V[v] = ready
        self._migrations.share_memory(minute)

    def _reject(self, waiting: Waiting, minute: int, why: str) -> None:
        """Writes down that a VM found no host; the first time only."""
        if not self._tasks.is_rejected(waiting.m):
            times, outcome = (waiting.since_minute, minute), TaskOutcome.REJECTED
            self._tasks.movable(Operation.PLACE, waiting.m, (NOWHERE, NOWHERE), times, why, outcome)
