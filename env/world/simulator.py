"""The world, minute by minute: demand falls on hosts, moves take time, and everything has its cost.

Demand comes from the episode and never depends on what planners do. A valid plan is queued; its moves are carried out
in order, at most `concurrent_migrations` at a time, each re-checked by the rules just before it starts. While a
migration runs, the VM's memory is held on both sides and a core is busy on each; afterwards its storage demand is
higher for a while. Minutes without a migration are computed many at a time.
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from ..model.cluster import CPU, NOWHERE, STORAGE, Array, Cluster, IntArray, read_only
from ..model.errors import QuellError
from ..model.plan import Move, Plan, dense_move, validate
from ..model.rules import Violation, check_move, is_ha_binding
from ..model.state import State, state_of
from .costs import CostTerms
from .migration import MoveRecord, Outcome, WorldSettings, migration_seconds
from .workload import DAY_MINUTES, Episode

TICK_SECONDS = 60.0


@dataclass(frozen=True)
class _Migration:
    """A migration under way; its record is at `record` in the log."""

    m: int
    target: int
    end_seconds: float
    record: int


class Simulator:
    """One day of one cluster.

    Args:
        episode: the cluster and its demand.
        world: constants of migration.

    Raises:
        QuellError: the cluster has what the world does not simulate.
    """

    def __init__(self, episode: Episode, world: WorldSettings | None = None) -> None:
        self.episode = episode
        self.world = world or WorldSettings()
        inventory = episode.cluster.inventory
        for vm in inventory.vms:
            if vm.is_overcommit:
                raise QuellError(f"{episode.cluster.name}: {vm.id}: memory overcommit is not simulated yet")
        self.minute = 0
        self.costs = CostTerms()
        self.contended_host_minutes = 0
        self.violations = 0
        self.log: list[MoveRecord] = []
        self.used_THR = np.zeros((DAY_MINUTES, inventory.host_count, 2), dtype=np.float32)  # CPU, storage; cores
        self._host_of_M = episode.cluster.host_of_M.copy()
        self._is_running_M = inventory.is_on_M.copy()
        self._capacity_HK = inventory.capacity_HR[:, [CPU, STORAGE]]
        thresholds = np.array([inventory.settings.cpu_threshold, inventory.settings.storage_cpu_threshold])
        self._threshold_HK = self._capacity_HK * thresholds
        self._queue: deque[Move] = deque()
        self._active: list[_Migration] = []
        self._relocalizing: list[tuple[int, int, int]] = []  # (m, first minute, minute after the last)
        self._is_ha_enforced = False
        self.last_plan_end_seconds: float | None = None

    @property
    def host_of_M(self) -> IntArray:
        """Where every movable is now; shape (M,), read-only."""
        return read_only(self._host_of_M, dtype=np.int64)

    @property
    def is_done(self) -> bool:
        """Whether the day is over."""
        return self.minute >= DAY_MINUTES

    @property
    def is_busy(self) -> bool:
        """Whether moves of an earlier plan are queued or running."""
        return bool(self._queue or self._active)

    @property
    def is_observing(self) -> bool:
        """Whether the observation period after the last plan has not ended."""
        if self.last_plan_end_seconds is None:
            return False
        since_seconds = self.minute * TICK_SECONDS - self.last_plan_end_seconds
        return since_seconds < self.episode.cluster.inventory.settings.observation_seconds

    @property
    def moves_done(self) -> tuple[MoveRecord, ...]:
        """Records of the moves that were carried out or are running."""
        return tuple(r for r in self.log if r.outcome is not Outcome.DROPPED)

    def cluster(self) -> Cluster:
        """What a planner sees now: telemetry up to this minute; migrating VMs still on their source."""
        return self.episode.cluster_at(self.minute, read_only(self._host_of_M.copy(), dtype=np.int64))

    def twin(self) -> Simulator:
        """An independent copy: the same past, a future of its own."""
        other = copy.copy(self)
        other._host_of_M = self._host_of_M.copy()
        other.used_THR = self.used_THR.copy()
        other.log, other._active = list(self.log), list(self._active)
        other._queue, other._relocalizing = deque(self._queue), list(self._relocalizing)
        return other

    def execute(self, plan: Plan) -> tuple[Violation, ...]:
        """Queues the moves of a valid plan; one that breaks a rule is refused whole and its violations are counted.

        Returns:
            what the plan breaks; empty where it is carried out.

        Raises:
            QuellError: moves of an earlier plan are still under way.
        """
        if not plan.moves:
            return ()
        if self.is_busy:
            raise QuellError(f"minute {self.minute}: a plan came while moves of the last one are under way")
        state = state_of(self.cluster())
        violations = validate(state, plan, must_resolve=False)
        self.violations += len(violations)
        if not violations:
            self._is_ha_enforced = is_ha_binding(state)
            self._queue.extend(plan.moves)
        return violations

    def advance(self, minutes: int) -> CostTerms:
        """Lets time go on, at most to the end of the day; returns the cost of these minutes."""
        end = min(self.minute + minutes, DAY_MINUTES)
        before = self.costs
        while self.minute < end:
            if self.is_busy:
                self._migrating_minute()
            else:
                self._meter(end, self._demand_THK(self.minute, end))
        return self.costs - before

    def _demand_THK(self, start: int, end: int) -> Array:
        """Demand on each host in the minutes [start, end); K = CPU, storage; shape (T, H, K), cores."""
        V, H = self.episode.cluster.inventory.vm_count, self.episode.cluster.inventory.host_count
        first = self.episode.history_minutes + start
        cpu_VT = self.episode.cpu_VN[:, first : first + end - start].astype(np.float64)
        storage_MT = self.episode.storage_MN[:, first : first + end - start].astype(np.float64)
        on_HM = (self._host_of_M[None, :] == np.arange(H)[:, None]) & self._is_running_M
        demand_THK = np.empty((end - start, H, 2))
        demand_THK[:, :, 0] = (on_HM[:, :V].astype(np.float64) @ cpu_VT).T
        demand_THK[:, :, 1] = (on_HM.astype(np.float64) @ storage_MT).T
        for m, begins, ends in self._relocalizing:
            lo, hi = max(begins, start) - start, min(ends, end) - start
            if lo < hi:
                demand_THK[lo:hi, self._host_of_M[m], 1] += self.world.relocalization_share * storage_MT[m, lo:hi]
        return demand_THK

    def _meter(self, end: int, used_THK: Array) -> None:
        """Books the minutes up to `end` with this load and moves the clock."""
        over_THK = np.maximum(used_THK - self._threshold_HK, 0.0)
        unserved = np.maximum(used_THK - self._capacity_HK, 0.0).sum() + self._homeless_core_minutes(end)
        self.costs += CostTerms(float(over_THK.sum()), float(unserved))
        self.contended_host_minutes += int((over_THK > 0).any(axis=2).sum())
        self.used_THR[self.minute : end] = used_THK
        self.minute = end
        self._relocalizing = [r for r in self._relocalizing if r[2] > end]

    def _homeless_core_minutes(self, end: int) -> float:
        """Demand of running VMs and sessions without a host, up to minute `end`."""
        homeless = np.flatnonzero((self._host_of_M == NOWHERE) & self._is_running_M)
        if homeless.size == 0:
            return 0.0
        first, last = self.episode.history_minutes + self.minute, self.episode.history_minutes + end
        vms = homeless[homeless < self.episode.cluster.inventory.vm_count]
        demand = self.episode.cpu_VN[vms, first:last].sum() + self.episode.storage_MN[homeless, first:last].sum()
        return float(demand)

    def _migrating_minute(self) -> None:
        """One minute in which migrations start, run or end: times are exact to the second, load is shared out by it."""
        minute, begin = self.minute, self.minute * TICK_SECONDS
        end = begin + TICK_SECONDS
        used_HK = self._demand_THK(minute, minute + 1)[0]
        now = begin
        while True:
            self._start_moves(now)
            if not self._active:
                break
            first = min(self._active, key=lambda a: (a.end_seconds, a.record))
            until = min(first.end_seconds, end)
            for migration in self._active:
                share = self.world.busy_cores * (until - now) / TICK_SECONDS
                used_HK[self._host_of_M[migration.m], 0] += share
                used_HK[migration.target, 0] += share
            now = until
            if first.end_seconds > end:
                break
            self._finish(first, used_HK, (end - now) / TICK_SECONDS)
        self._meter(minute + 1, used_HK[None])

    def _start_moves(self, now: float) -> None:
        """Starts queued moves while a slot is free; a move that must wait for one under way waits."""
        while self._queue and len(self._active) < self.world.concurrent_migrations:
            move = self._queue[0]
            state = self._state_with_both_sides()
            m, target = dense_move(state, move)
            broken = check_move(state, m, target, is_ha_enforced=self._is_ha_enforced)
            if broken and self._active:
                return
            if broken:
                self._drop_queue(now, str(broken[0]))
                return
            self._queue.popleft()
            seconds = migration_seconds(move.cost_gib, float(state.demand_MR[m, CPU]), self.world)
            self._active.append(_Migration(m, target, now + seconds, len(self.log)))
            self.log.append(MoveRecord(move, now, now + seconds, Outcome.RUNNING))
            self.costs += CostTerms(migration_gib=move.cost_gib)

    def _state_with_both_sides(self) -> State:
        """The state now, with every migrating VM counted on its source and on its target."""
        state = state_of(self.cluster())
        for migration in self._active:
            used_HR, members_HA = state.used_HR.copy(), state.members_HA.copy()
            used_HR[migration.target] += state.demand_MR[migration.m]
            members_HA[migration.target] += state.inventory.is_anti_MA[migration.m]
            state = replace(state, used_HR=used_HR, members_HA=members_HA)
        return state

    def _finish(self, migration: _Migration, used_HK: Array, rest: float) -> None:
        """The VM runs on its target from now on: for the rest (a share) of this minute it loads that host."""
        m, source = migration.m, self._host_of_M[migration.m]
        at = self.episode.history_minutes + self.minute
        cpu_cores = self.episode.cpu_VN[m, at] if m < self.episode.cluster.inventory.vm_count else 0.0
        load_K = rest * np.array([cpu_cores, self.episode.storage_MN[m, at]], dtype=np.float64)
        used_HK[source] -= load_K
        used_HK[migration.target] += load_K
        self._host_of_M[m] = migration.target
        self._active.remove(migration)
        self.log[migration.record] = self.log[migration.record].ended()
        begins = self.minute + 1
        self._relocalizing.append((m, begins, begins + self.world.relocalization_minutes))
        if not self.is_busy:
            self.last_plan_end_seconds = migration.end_seconds

    def _drop_queue(self, now: float, why: str) -> None:
        """Gives up the rest of a plan: its next move is no longer allowed, and later ones count on it."""
        self.log += [MoveRecord(move, now, now, Outcome.DROPPED, why) for move in self._queue]
        self._queue.clear()
        self.last_plan_end_seconds = now
