"""Moves on their way: the queue of the plan that is carried out, the migrations that run, and what they load.

At most `concurrent_migrations` run at a time, in the order of the plan, each re-checked by the rules just before it
starts. While one runs, memory is held on both sides and a core is busy on each; afterwards the VM's storage demand is
higher for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..model.cluster import CPU, NOWHERE, Array
from ..model.plan import Move, MoveKind
from ..model.rules import check_move
from ..model.state import State, state_of
from .arrays import MOVE, Fate, Log, Now, Term
from .migration import MoveRecord, Outcome, WorldSettings, migration_seconds
from .present import Present
from .tasks import TICK_SECONDS

FIRST_ROWS = 64  # of the log; it doubles where a day has more moves

OUTCOMES = {Fate.RUNNING: Outcome.RUNNING, Fate.DONE: Outcome.DONE, Fate.DROPPED: Outcome.DROPPED}


class Migrations:
    """Carries out one plan after another.

    The compiled clock does most of it (`clock_kernels.py`) on the same rows. Here is the whole of it in Python, for
    what is rare and as reference, and what people read of it.

    Args:
        present: what the moves change.
        world: how long they take and what they load.
        now: the arrays of minute 0.

    Attributes:
        rows: all moves so far, those in the queue last.
    """

    def __init__(self, present: Present, world: WorldSettings, now: Now) -> None:
        self._present, self._world, self._now = present, world, now
        self.rows: Log = np.zeros(FIRST_ROWS, dtype=MOVE)
        self._reasons: dict[int, str] = {}  # why moves are made, and why they were dropped, by row
        self._details: dict[int, str | Callable[[], str]] = {}

    @property
    def is_busy(self) -> bool:
        """Whether moves are queued or running."""
        clock = self._now.clock[0]
        return bool(clock["active"] > 0 or clock["head"] < clock["end"])

    @property
    def last_end_seconds(self) -> float | None:
        """When the last plan ended, None before the first."""
        seconds = float(self._now.clock[0]["last_end_seconds"])
        return None if np.isnan(seconds) else seconds

    @property
    def log(self) -> list[MoveRecord]:
        """Records of all moves so far but for those in the queue, in the order of their plans."""
        return [self._record(i) for i in range(int(self._now.clock[0]["head"]))]

    def start(self, moves: Sequence[Move], plan: int, is_ha_enforced: bool) -> None:
        """Queues the moves of a plan that has been found valid.

        Args:
            moves: in order.
            plan: its running number.
            is_ha_enforced: whether R7 binds it.
        """
        first, inventory = int(self._now.clock[0]["end"]), self._present.episode.inventory
        hosts, ids = inventory.host_index, {MoveKind.VM: inventory.vm_index, MoveKind.SESSION: inventory.session_index}
        self.queue(
            [(ids[m.kind][m.id], hosts[m.source], hosts[m.target], m.cost_gib) for m in moves], plan, is_ha_enforced
        )
        self._reasons |= {i: move.reason for i, move in enumerate(moves, first) if move.reason}

    def queue(self, moves: Sequence[tuple[int, int, int, float]], plan: int, is_ha_enforced: bool) -> None:
        """`start` for moves as (m, source, target, GiB to copy)."""
        clock = self._now.clock[0]
        self.make_room(len(moves))
        for i, move in enumerate(moves, int(clock["end"])):
            self.rows[i] = (*move, plan, Fate.QUEUED, 0.0, 0.0, 0, 0)
        clock["end"] += len(moves)
        clock["plan"], clock["is_ha_enforced"] = plan, is_ha_enforced

    def make_room(self, moves: int) -> None:
        """Makes the log so long that it holds this many more moves."""
        needed = int(self._now.clock[0]["end"]) + moves
        if needed > len(self.rows):
            longer = np.zeros(max(needed, 2 * len(self.rows)), dtype=MOVE)
            longer[: len(self.rows)] = self.rows
            self.rows = longer

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
            self.start_moves(minute, now)
            if not self._active:
                return
            first = min(self._active, key=lambda i: (float(self.rows[i]["end_seconds"]), i))
            first_end = float(self.rows[first]["end_seconds"])
            until = min(first_end, end)
            for i in self._active:
                share = self._world.busy_cores * (until - now) / TICK_SECONDS
                used_HK[self._present.host_of_M[self.rows[i]["m"]], 0] += share
                used_HK[self.rows[i]["target"], 0] += share
            now = until
            if first_end > end:
                return
            self._finish(first, minute, used_HK, (end - now) / TICK_SECONDS)

    def relocalization(self, start: int, end: int, storage_MT: Array) -> tuple[tuple[int, slice, Array], ...]:
        """Storage demand that caches on their way add: host, minutes since `start`, cores a minute.

        Args:
            start, end: minutes of the day.
            storage_MT: storage demand in them; shape (M, T).
        """
        found = []
        clock = self._now.clock[0]
        for row in self.rows[clock["first_settling"] : clock["head"]]:
            m = int(row["m"])
            lo = max(int(row["settling_minute"]), start) - start
            hi = min(int(row["settled_minute"]), end) - start
            if row["outcome"] == Fate.DONE and lo < hi and self._present.host_of_M[m] >= 0:
                extra_T = self._world.relocalization_share * storage_MT[m, lo:hi]
                found.append((int(self._present.host_of_M[m]), slice(lo, hi), extra_T))
        return tuple(found)

    def forget(self, minute: int) -> None:
        """Passes over the moves whose caches have settled by a minute."""
        clock = self._now.clock[0]
        while clock["first_settling"] < clock["head"]:
            row = self.rows[clock["first_settling"]]
            is_settling = row["outcome"] == Fate.DONE and row["settled_minute"] > minute
            if row["outcome"] == Fate.RUNNING or is_settling:
                return
            clock["first_settling"] += 1

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
        for m, target in self._moving():
            if m < len(need_V):
                reserved_gib_H[target] += need_V[m]
        self._present.share(minute, reserved_gib_H, given_gib)

    def with_both_sides(self, state: State) -> State:
        """A state with every migrating VM counted on its source and on its target."""
        for m, target in self._moving():
            used_HR, members_HA = state.used_HR.copy(), state.members_HA.copy()
            used_HR[target] += state.demand_MR[m]
            members_HA[target] += state.inventory.is_anti_MA[m]
            state = replace(state, used_HR=used_HR, members_HA=members_HA)
        return state

    def touches(self, h: int) -> bool:
        """Whether a running migration comes from or goes to a host."""
        return any(h in (target, self._present.host_of_M[m]) for m, target in self._moving())

    def cut_off(self, now: float, why: str, *, m: int | None = None, host: int | None = None) -> None:
        """Gives up the running migrations of a movable, or from or to a host; the movable stays on its source."""
        for i in list(self._active):
            row = self.rows[i]
            sides = (int(self._present.host_of_M[row["m"]]), int(row["target"]))
            if row["m"] == m or (host is not None and host in sides):
                self._take_out(i)
                row["outcome"], row["end_seconds"] = Fate.DROPPED, now
                self._details[i] = why
                self._end_of_plan(now)

    def start_moves(self, minute: int, now: float) -> None:
        """Starts queued moves while a slot is free; a move that must wait for one under way waits."""
        clock = self._now.clock[0]
        while clock["head"] < clock["end"] and len(self._active) < self._world.concurrent_migrations:
            i = int(clock["head"])
            row = self.rows[i]
            m, target = int(row["m"]), int(row["target"])
            state = self.with_both_sides(self._present.state(minute))
            broken = _broken(state, m, target, int(row["source"]), bool(clock["is_ha_enforced"]))
            if self._active and (broken or self.may_crowd_gpus(m, target)):
                return
            if broken:
                self._drop_queue(now, broken)
                return
            seconds = migration_seconds(float(row["cost_gib"]), float(state.demand_MR[m, CPU]), self._world)
            row["outcome"], row["start_seconds"], row["end_seconds"] = Fate.RUNNING, now, now + seconds
            self._now.active_A[clock["active"]] = i
            clock["active"] += 1
            clock["head"] += 1
            self._now.cost_4[Term.MIGRATION] += row["cost_gib"]
            self.share_memory(minute)

    def refuse(self, minute: int, now: float) -> None:
        """Gives up the rest of a plan whose next move may surely not start, with none under way.

        Why is worked out only where somebody reads it: what it takes is kept.
        """
        row, cluster = self.rows[int(self._now.clock[0]["head"])], self._present.snapshot(minute)
        is_ha_enforced = bool(self._now.clock[0]["is_ha_enforced"])
        sides = int(row["m"]), int(row["target"]), int(row["source"])
        self._drop_queue(now, lambda: _broken(state_of(cluster()), *sides, is_ha_enforced))

    def may_crowd_gpus(self, m: int, target: int) -> bool:
        """Whether a VM with a vGPU is on its way to the host that another one wants to go to."""
        gpu_memory_M = self._present.inventory.gpu_memory_M
        return bool(gpu_memory_M[m] > 0) and any(h == target and gpu_memory_M[a] > 0 for a, h in self._moving())

    @property
    def _active(self) -> list[int]:
        """Rows of the migrations that run, in the order of their starts."""
        return [int(i) for i in self._now.active_A[: self._now.clock[0]["active"]]]

    def _moving(self) -> Iterator[tuple[int, int]]:
        """(movable, target) of the migrations that run."""
        for i in self._active:
            yield int(self.rows[i]["m"]), int(self.rows[i]["target"])

    def _finish(self, i: int, minute: int, used_HK: Array, rest: float) -> None:
        """The VM runs on its target from now on: for the rest (a share) of this minute it loads that host."""
        row, host_of_M = self.rows[i], self._present.host_of_M
        m = int(row["m"])
        load_K = rest * self._present.load_K(m, minute)
        used_HK[host_of_M[m]] -= load_K
        used_HK[row["target"]] += load_K
        host_of_M[m] = row["target"]
        self._take_out(i)
        row["outcome"], row["settling_minute"] = Fate.DONE, minute + 1
        row["settled_minute"] = minute + 1 + self._world.relocalization_minutes
        self.share_memory(minute)
        self._end_of_plan(float(row["end_seconds"]))

    def _take_out(self, i: int) -> None:
        """A row no longer runs."""
        left = [other for other in self._active if other != i]
        self._now.active_A[: len(left)] = left
        self._now.clock[0]["active"] = len(left)

    def _end_of_plan(self, now: float) -> None:
        """Notes the end of the plan, if this is it."""
        if not self.is_busy:
            self._now.clock[0]["last_end_seconds"] = now

    def _drop_queue(self, now: float, why: str | Callable[[], str]) -> None:
        """Gives up the rest of a plan: its next move is no longer allowed, and later ones count on it."""
        clock = self._now.clock[0]
        for i in range(int(clock["head"]), int(clock["end"])):
            row = self.rows[i]
            row["outcome"], row["start_seconds"], row["end_seconds"] = Fate.DROPPED, now, now
            self._details[i] = why
        clock["head"], clock["last_end_seconds"] = clock["end"], now

    def _record(self, i: int) -> MoveRecord:
        """A row as people read it."""
        row, inventory = self.rows[i], self._present.episode.inventory
        m = int(row["m"])
        kind = MoveKind.VM if m < inventory.vm_count else MoveKind.SESSION
        source, target = (inventory.hosts[int(row[side])].id for side in ("source", "target"))
        reason, why = self._reasons.get(i, ""), self._details.get(i, "")
        return MoveRecord(
            move=Move(kind, inventory.movable_id(m), source, target, float(row["cost_gib"]), reason),
            start_seconds=float(row["start_seconds"]),
            end_seconds=float(row["end_seconds"]),
            outcome=OUTCOMES[Fate(int(row["outcome"]))],
            detail=why if isinstance(why, str) else why(),
            plan=int(row["plan"]),
        )


def _broken(state: State, m: int, target: int, source: int, is_ha_enforced: bool) -> str:
    """The first rule that a move breaks by now, in words; empty where it is allowed."""
    h, hosts = int(state.host_of_M[m]), state.inventory.hosts
    if h not in (NOWHERE, source):
        return f"{state.inventory.movable_id(m)} is on {hosts[h].id} by now, not on {hosts[source].id}"
    return next(map(str, check_move(state, m, target, is_ha_enforced=is_ha_enforced)), "")
