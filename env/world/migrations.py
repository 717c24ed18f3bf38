"""Moves on their way: the queue of the plan that is carried out, the migrations that run, and what they load.

At most `concurrent_migrations` run at a time, in the order of the plan, each re-checked by the rules just before it
starts. While one runs, memory is held on both sides and a core is busy on each; afterwards the VM's storage demand is
higher for a while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..model.cluster import CPU, NOWHERE, Array
from ..model.plan import Move, dense_move
from ..model.rules import check_move
from ..model.state import State
from .migration import MoveRecord, Outcome, WorldSettings, migration_seconds
from .present import Present
from .tasks import TICK_SECONDS


@dataclass(frozen=True)
class Migration:
    """A migration under way; its record is at `record` in the log."""

    m: int
    target: int
    end_seconds: float
    record: int


class Migrations:
    """Carries out one plan after another.

    Args:
        present: what the moves change.
        world: how long they take and what they load.

    Attributes:
        log: records of all moves so far, in the order of their plans.
        copied_gib: memory copied so far.
        last_end_seconds: when the last plan ended, None before the first.
    """

    def __init__(self, present: Present, world: WorldSettings) -> None:
        self._present, self._world = present, world
        self.log: list[MoveRecord] = []
        self.copied_gib = 0.0
        self.last_end_seconds: float | None = None
        self._plan = 0
        self._queue: deque[Move] = deque()
        self._active: list[Migration] = []
        self._relocalizing: list[tuple[int, int, int]] = []  # (m, first minute, minute after the last)
        self._is_ha_enforced = False

    @property
    def is_busy(self) -> bool:
        """Whether moves are queued or running."""
        return bool(self._queue or self._active)

    def start(self, moves: Sequence[Move], plan: int, is_ha_enforced: bool) -> None:
        """Queues the moves of a plan that has been found valid.

        Args:
            moves: in order.
            plan: its running number.
            is_ha_enforced: whether R7 binds it.
        """
        self._queue.extend(moves)
        self._plan, self._is_ha_enforced = plan, is_ha_enforced

    def minute(self, minute: int, used_HK: Array) -> None:
        """One minute in which migrations start, run or end; times are exact to the second.

        Args:
            minute: of the day.
            used_HK: load of each host (CPU, storage) in this minute as placed at its start; what the migrations
                change is added to it, shared out by the second; shape (H, 2).
        """
        begin = minute * TICK_SECONDS
        now, end = begin, begin + TICK_SECONDS
        while True:
            self._start_moves(minute, now)
            if not self._active:
                return
            first = min(self._active, key=lambda a: (a.end_seconds, a.record))
            until = min(first.end_seconds, end)
            for migration in self._active:
                share = self._world.busy_cores * (until - now) / TICK_SECONDS
                used_HK[self._present.host_of_M[migration.m], 0] += share
                used_HK[migration.target, 0] += share
            now = until
            if first.end_seconds > end:
                return
            self._finish(first, minute, used_HK, (end - now) / TICK_SECONDS)

    def relocalization(self, start: int, end: int, storage_MT: Array) -> tuple[tuple[int, slice, Array], ...]:
        """Storage demand that caches on their way add: host, minutes since `start`, cores a minute.

        Args:
            start, end: minutes of the day.
            storage_MT: storage demand in them; shape (M, T).
        """
        found = []
        for m, begins, ends in self._relocalizing:
            lo, hi = max(begins, start) - start, min(ends, end) - start
            if lo < hi and self._present.host_of_M[m] >= 0:
                extra_T = self._world.relocalization_share * storage_MT[m, lo:hi]
                found.append((int(self._present.host_of_M[m]), slice(lo, hi), extra_T))
        return tuple(found)

    def forget(self, minute: int) -> None:
        """Drops caches that have settled by a minute."""
        self._relocalizing = [r for r in self._relocalizing if r[2] > minute]

    def share_memory(self, minute: int, given_gib: Mapping[int, float] | None = None) -> None:
        """Shares memory anew on every host, apart from what is held on targets for VMs on their way to them.

        Args:
            minute: now.
            given_gib: physical memory that a plan has set (VM index -> GiB).
        """
        if self._present.overcommit.size == 0:
            return
        need_V = self._present.need_V(minute)
        reserved_gib_H = np.zeros(self._present.inventory.host_count)
        for migration in self._active:
            if migration.m < len(need_V):
                reserved_gib_H[migration.target] += need_V[migration.m]
        self._present.share(minute, reserved_gib_H, given_gib)

    def with_both_sides(self, state: State) -> State:
        """A state with every migrating VM counted on its source and on its target."""
        for migration in self._active:
            used_HR, members_HA = state.used_HR.copy(), state.members_HA.copy()
            used_HR[migration.target] += state.demand_MR[migration.m]
            members_HA[migration.target] += state.inventory.is_anti_MA[migration.m]
            state = replace(state, used_HR=used_HR, members_HA=members_HA)
        return state

    def touches(self, h: int) -> bool:
        """Whether a running migration comes from or goes to a host."""
        return any(a.target == h or self._present.host_of_M[a.m] == h for a in self._active)

    def cut_off(self, now: float, why: str, *, m: int | None = None, host: int | None = None) -> None:
        """Gives up the running migrations of a movable, or from or to a host; the movable stays on its source."""
        for migration in list(self._active):
            source = self._present.host_of_M[migration.m]
            if migration.m == m or (host is not None and host in (source, migration.target)):
                self._active.remove(migration)
                self.log[migration.record] = self.log[migration.record].cut_off(now, why)
                self._end_of_plan(now)

    def _start_moves(self, minute: int, now: float) -> None:
        """Starts queued moves while a slot is free; a move that must wait for one under way waits."""
        while self._queue and len(self._active) < self._world.concurrent_migrations:
            move = self._queue[0]
            state = self.with_both_sides(self._present.state(minute))
            m, target = dense_move(state, move)
            broken = self._broken(state, m, target, move.source)
            if self._active and (broken or self.may_crowd_gpus(m, target)):
                return
            if broken:
                self._drop_queue(now, broken)
                return
            self._queue.popleft()
            seconds = migration_seconds(move.cost_gib, float(state.demand_MR[m, CPU]), self._world)
            self._active.append(Migration(m, target, now + seconds, len(self.log)))
            self.log.append(MoveRecord(move, now, now + seconds, Outcome.RUNNING, plan=self._plan))
            self.copied_gib += move.cost_gib
            self.share_memory(minute)

    def _broken(self, state: State, m: int, target: int, source: str) -> str:
        """The first rule that a move breaks by now, in words; empty where it is allowed."""
        h = int(state.host_of_M[m])
        if h != NOWHERE and state.inventory.hosts[h].id != source:
            return f"{state.inventory.movable_id(m)} is on {state.inventory.hosts[h].id} by now, not on {source}"
        return next(map(str, check_move(state, m, target, is_ha_enforced=self._is_ha_enforced)), "")

    def may_crowd_gpus(self, m: int, target: int) -> bool:
        """Whether a VM with a vGPU is on its way to the host that another one wants to go to."""
        gpu_memory_M = self._present.inventory.gpu_memory_M
        return bool(gpu_memory_M[m] > 0) and any(a.target == target and gpu_memory_M[a.m] > 0 for a in self._active)

    def _finish(self, migration: Migration, minute: int, used_HK: Array, rest: float) -> None:
        """The VM runs on its target from now on: for the rest (a share) of this minute it loads that host."""
        m, source = migration.m, self._present.host_of_M[migration.m]
        load_K = rest * self._present.load_K(m, minute)
        used_HK[source] -= load_K
        used_HK[migration.target] += load_K
        self._present.host_of_M[m] = migration.target
        self._active.remove(migration)
        self.log[migration.record] = self.log[migration.record].ended()
        begins = minute + 1
        self._relocalizing.append((m, begins, begins + self._world.relocalization_minutes))
        self.share_memory(minute)
        self._end_of_plan(migration.end_seconds)

    def _end_of_plan(self, now: float) -> None:
        """Notes the end of the plan, if this is it."""
        if not self.is_busy:
            self.last_end_seconds = now

    def _drop_queue(self, now: float, why: str) -> None:
        """Gives up the rest of a plan: its next move is no longer allowed, and later ones count on it."""
        self.log += [MoveRecord(move, now, now, Outcome.DROPPED, why, self._plan) for move in self._queue]
        self._queue.clear()
        self.last_end_seconds = now
