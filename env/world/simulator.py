"""The world, minute by minute: demand falls on hosts, moves take time, things happen, and everything has its cost.

Demand and events come from the episode and never depend on what planners do. A valid plan is queued and carried out by
`migrations.py`; what happens by itself (arrivals, failures, maintenance) is in `lifecycle.py`; what is true now is in
`present.py`. Here is the clock: minutes without a migration are metered many at a time, up to the next minute in which
something changes.
"""

from __future__ import annotations

import copy

import numpy as np

from ..model.cluster import CPU, STORAGE, TOLERANCE, Array, Cluster, IntArray, Inventory, read_only
from ..model.errors import QuellError
from ..model.placement import place
from ..model.plan import Plan, validate
from ..model.rules import Violation, is_ha_binding
from .costs import CostTerms
from .lifecycle import Lifecycle
from .migration import MoveRecord, Outcome, WorldSettings
from .migrations import Migrations
from .present import Present
from .tasks import TICK_SECONDS, TaskLog, TaskRecord
from .waiting import Placer, WaitingQueue
from .workload import DAY_MINUTES, Episode


class Simulator:
    """One day of one cluster.

    Args:
        episode: the cluster, its demand and its events.
        world: constants of migration and of starting VMs.
        placer: finds hosts for VMs that arrive; by default without rearranging others.

    Attributes:
        minute: of the day, 0 to 1440: the next one to be played.
        costs: what the day has cost so far.
        contended_host_minutes: host-minutes so far with demand above a threshold or swapped memory.
        violations: rules broken by plans that were handed in (those plans were refused).
        plans_executed: how many plans were carried out, those that make room for an arrival among them.
        used_THR: CPU and storage demand on each host, cores, minute by minute; shape (1440, H, 2).
    """

    def __init__(self, episode: Episode, world: WorldSettings | None = None, placer: Placer = place) -> None:
        self.episode = episode
        self.world = world or WorldSettings()
        inventory = episode.inventory
        settings = inventory.settings
        self.minute = 0
        self.costs = CostTerms()
        self.contended_host_minutes = 0
        self.violations = 0
        self.plans_executed = 0
        self.used_THR = np.zeros((DAY_MINUTES, inventory.host_count, 2), dtype=np.float32)
        self._capacity_HK = inventory.capacity_HR[:, [CPU, STORAGE]]
        self._threshold_HK = self._capacity_HK * np.array([settings.cpu_threshold, settings.storage_cpu_threshold])
        self._memory_minutes = settings.memory_minutes
        self._resizes: Plan | None = None  # whose resizes are due once its moves are done
        self._placer = placer
        self._present = Present(episode)
        self._migrations = Migrations(self._present, self.world)
        self._tasks = TaskLog(inventory)
        waiting = WaitingQueue(self._present, self._migrations, placer, self.world, self._begin, self._tasks)
        self._lifecycle = Lifecycle(self._present, self._migrations, waiting, self.world, self._tasks)
        self._happen()

    @property
    def host_of_M(self) -> IntArray:
        """Where every movable is now, -1 for nowhere; shape (M,), read-only."""
        return read_only(self._present.host_of_M, dtype=np.int64)

    @property
    def inventory(self) -> Inventory:
        """What there is, in its present states."""
        return self._present.inventory

    @property
    def physical_V(self) -> Array:
        """Physical memory of each VM now, GiB; of overcommit VMs what their host gives them; shape (V,), read-only."""
        return read_only(self._present.physical_V)

    @property
    def is_done(self) -> bool:
        """Whether the day is over."""
        return self.minute >= DAY_MINUTES

    @property
    def is_busy(self) -> bool:
        """Whether moves of an earlier plan are queued or running."""
        return self._migrations.is_busy

    @property
    def last_plan_end_seconds(self) -> float | None:
        """When the last plan ended, in seconds since the start of the day; None before the first."""
        return self._migrations.last_end_seconds

    @property
    def is_observing(self) -> bool:
        """Whether the observation period after the last plan has not ended."""
        if self.last_plan_end_seconds is None:
            return False
        since_seconds = self.minute * TICK_SECONDS - self.last_plan_end_seconds
        return since_seconds < self.episode.inventory.settings.observation_seconds

    @property
    def log(self) -> list[MoveRecord]:
        """Records of all moves, in the order of their plans."""
        return self._migrations.log

    @property
    def moves_done(self) -> tuple[MoveRecord, ...]:
        """Records of the moves that were carried out or are running."""
        return tuple(r for r in self.log if r.outcome is not Outcome.DROPPED)

    @property
    def tasks(self) -> list[TaskRecord]:
        """Everything else that was done, in order."""
        return self._tasks.records

    @property
    def waiting_vm_minutes(self) -> int:
        """Minutes that VMs have waited for a host so far."""
        return self._lifecycle.waiting_vm_minutes

    @property
    def evacuation_host_minutes(self) -> int:
        """Minutes that hosts in maintenance have waited to be emptied so far."""
        return self._lifecycle.evacuation_host_minutes

    def cluster(self) -> Cluster:
        """What a planner sees now: telemetry up to this minute; migrating VMs still on their source."""
        return self._present.cluster(self.minute)

    def twin(self) -> Simulator:
        """An independent copy: the same past, a future of its own."""
        shared = (self.episode, self.world, self._placer, self._present.inventory)
        return copy.deepcopy(self, {id(part): part for part in shared})

    def execute(self, plan: Plan) -> tuple[Violation, ...]:
        """Queues the moves of a valid plan; one that breaks a rule is refused whole and its violations are counted.

        Returns:
            what the plan breaks; empty where it is carried out.

        Raises:
            QuellError: moves of an earlier plan are still under way.
        """
        if not plan.moves and not plan.resizes:
            return ()
        if self.is_busy:
            raise QuellError(f"minute {self.minute}: a plan came while moves of the last one are under way")
        state = self._present.state(self.minute)
        violations = validate(state, plan, must_resolve=False)
        self.violations += len(violations)
        if not violations:
            self.plans_executed += 1
            self._resizes = plan
            self._migrations.start(plan.moves, self.plans_executed, bool(plan.moves) and is_ha_binding(state))
            self._resize()
        return violations

    def advance(self, minutes: int) -> CostTerms:
        """Lets time go on, at most to the end of the day; returns the cost of these minutes."""
        end = min(self.minute + minutes, DAY_MINUTES)
        before = self.costs
        while self.minute < end:
            copied_gib = self._migrations.copied_gib
            until = self.minute + 1 if self.is_busy else self._next_change(end)
            used_THK = self._demand_THK(until)
            if self.is_busy:
                self._migrations.minute(self.minute, used_THK[0])
            self._meter(until, used_THK)
            self.costs += CostTerms(migration_gib=self._migrations.copied_gib - copied_gib)
            self._resize()
            if not self.is_done:
                self._happen()
        return self.costs - before

    def _begin(self, plan: Plan) -> int | None:
        """Starts a plan that makes room for a VM; returns its running number, or None where it is not valid."""
        return None if self.execute(plan) else self.plans_executed

    def _happen(self) -> None:
        """What happens at the start of this minute by itself."""
        self._lifecycle.happen(self.minute, self.episode.inventory.settings.round_minutes)
        if self.minute % self._memory_minutes == 0:
            self._migrations.share_memory(self.minute)

    def _next_change(self, end: int) -> int:
        """The minute up to which nothing changes but demand, at most `end`."""
        period = self.episode.inventory.settings.round_minutes
        event = self._lifecycle.next_minute(self.minute, period)
        if self._present.overcommit.size:
            end = min(end, (self.minute // self._memory_minutes + 1) * self._memory_minutes)
        return end if event is None else min(end, event)

    def _demand_THK(self, end: int) -> Array:
        """Demand on each host from now to minute `end`; K = CPU, storage; shape (T, H, K), cores."""
        V, H = self.episode.inventory.vm_count, self.episode.inventory.host_count
        first = self.episode.history_minutes + self.minute
        window = slice(first, first + end - self.minute)
        storage_MT = self.episode.storage_MN[:, window].astype(np.float64)
        runs_M = self._present.runs_M(self.minute)
        on_HM = ((self._present.host_of_M[None, :] == np.arange(H)[:, None]) & runs_M).astype(np.float64)
        demand_THK = np.empty((end - self.minute, H, 2))
        demand_THK[:, :, 0] = (on_HM[:, :V] @ self.episode.cpu_VN[:, window].astype(np.float64)).T
        demand_THK[:, :, 1] = (on_HM @ storage_MT).T
        for h, minutes, extra_T in self._migrations.relocalization(self.minute, end, storage_MT):
            demand_THK[minutes, h, 1] += extra_T
        return demand_THK

    def _meter(self, end: int, used_THK: Array) -> None:
        """Books the minutes up to `end` with this load and moves the clock."""
        over_THK = np.maximum(used_THK - self._threshold_HK, 0.0)
        unserved = np.maximum(used_THK - self._capacity_HK, 0.0).sum() + self._unserved_core_minutes(end)
        swap_TH = self._swap_gib_TH(end)
        self.costs += CostTerms(float(over_THK.sum()), float(unserved), float(swap_TH.sum()))
        self.contended_host_minutes += int(((over_THK > 0).any(axis=2) | (swap_TH > TOLERANCE)).sum())
        self.used_THR[self.minute : end] = used_THK
        self._lifecycle.pass_minutes(end - self.minute)
        self.minute = end
        self._migrations.forget(end)

    def _unserved_core_minutes(self, end: int) -> float:
        """Demand up to minute `end` of what is on and has no host, or is not done with starting."""
        idle = np.flatnonzero(self._present.is_on_M & ~self._present.runs_M(self.minute))
        if idle.size == 0:
            return 0.0
        window = slice(self.episode.history_minutes + self.minute, self.episode.history_minutes + end)
        vms = idle[idle < self.episode.inventory.vm_count]
        return float(self.episode.cpu_VN[vms, window].sum() + self.episode.storage_MN[idle, window].sum())

    def _swap_gib_TH(self, end: int) -> Array:
        """Memory that is swapped out on each host up to minute `end`, GiB; shape (T, H)."""
        swap_TH = np.zeros((end - self.minute, self.episode.inventory.host_count))
        vms = self._present.overcommit[self._present.runs_M(self.minute)[self._present.overcommit]]
        if vms.size == 0:
            return swap_TH
        if self.episode.memory_VN is None:
            need_VT = np.repeat(self._present.need_V(self.minute)[vms, None], end - self.minute, axis=1)
        else:
            window = slice(self.episode.history_minutes + self.minute, self.episode.history_minutes + end)
            most_V1 = self.episode.inventory.memory_configured_V[vms, None]
            need_VT = np.minimum(self.episode.memory_VN[vms, window].astype(np.float64), most_V1)
        swap_VT = np.maximum(need_VT - self._present.physical_V[vms, None], 0.0)
        np.add.at(swap_TH.T, self._present.host_of_M[vms], swap_VT)
        return swap_TH

    def _resize(self) -> None:
        """Gives VMs the physical memory that a plan wants for them, once its moves are done."""
        plan = self._resizes
        if plan is None or self.is_busy:
            return
        self._resizes = None
        index, hosts = self._present.inventory.vm_index, self._present.inventory.host_index
        due = [r for r in plan.resizes if self._present.host_of_M[index[r.vm]] == hosts[r.host]]
        for resize in due:
            self._lifecycle.note_resize(resize, self.minute, self.plans_executed)
        if due:
            self._migrations.share_memory(self.minute, {index[r.vm]: r.memory_gib for r in due})
