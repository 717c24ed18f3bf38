"""The world, minute by minute: demand falls on hosts, moves take time, things happen, and everything has its cost.

Demand and events come from the episode and never depend on what planners do. A valid plan is queued and carried out by
`migrations.py`; what happens by itself (arrivals, failures, maintenance) is in `lifecycle.py`; what is true now is in
`present.py`. The clock itself (metering, migrations) is compiled (`clock_kernels.py`; its twin in numpy is
`reference_clock.py`): it plays minutes on the arrays of `arrays.py` until something is due that is done here.
"""

from __future__ import annotations

import copy

import numpy as np

from ..model.cluster import Array, Cluster, IntArray, Inventory, read_only
from ..model.errors import QuellError
from ..model.placement import place
from ..model.plan import Plan, validate
from ..model.rules import Violation, is_ha_binding
from .arrays import NEVER, Log, day_of, pace_of, start_of
from .clock_kernels import ENDED, START, play
from .costs import CostTerms
from .lifecycle import Lifecycle
from .migration import MoveRecord, Outcome, WorldSettings
from .migrations import Migrations
from .present import Present
from .reference_clock import ReferenceClock
from .tasks import TICK_SECONDS, TaskLog, TaskRecord
from .trace import Float32Array
from .waiting import Placer, WaitingQueue
from .workload import DAY_MINUTES, Episode


class Simulator:
    """One day of one cluster.

    Args:
        episode: the cluster, its demand and its events.
        world: constants of migration and of starting VMs.
        placer: finds hosts for VMs that arrive; by default without rearranging others.
        is_reference: whether the numpy twin of the compiled clock is used; for tests.

    Attributes:
        violations: rules broken by plans that were handed in (those plans were refused).
        day, pace, now: the arrays of the day (`arrays.py`).
    """

    def __init__(
        self,
        episode: Episode,
        world: WorldSettings | None = None,
        placer: Placer = place,
        *,
        is_reference: bool = False,
    ) -> None:
        self.episode = episode
        self.world = world or WorldSettings()
        inventory = episode.inventory
        self.violations = 0
        self.now = start_of(episode, self.world)
        self.day, self.pace = day_of(episode), pace_of(self.world)
        self._memory_minutes = inventory.settings.memory_minutes
        self._resizes: Plan | None = None  # whose resizes are due once its moves are done
        self._placer = placer
        self._present = Present(episode, self.now)
        self._migrations = Migrations(self._present, self.world, self.now)
        self._tasks = TaskLog(inventory)
        waiting = WaitingQueue(self._present, self._migrations, placer, self.world, self._begin, self._tasks)
        self._lifecycle = Lifecycle(self._present, self._migrations, waiting, self.world, self._tasks)
        self._reference = ReferenceClock(self._present, self._migrations, self.now) if is_reference else None
        self._happen()

    @property
    def minute(self) -> int:
        """Of the day, 0 to 1440: the next one to be played."""
        return int(self.now.clock[0]["minute"])

    @property
    def costs(self) -> CostTerms:
        """What the day has cost so far."""
        return CostTerms(*self.now.cost_4.tolist())

    @property
    def plans_executed(self) -> int:
        """How many plans were carried out, those that make room for an arrival among them."""
        return int(self.now.clock[0]["plan"])

    @property
    def contended_host_minutes(self) -> int:
        """Host-minutes so far with demand above a threshold or swapped memory."""
        return int(self.now.clock[0]["contended_host_minutes"])

    @property
    def used_THR(self) -> Float32Array:
        """CPU and storage demand on each host, cores, minute by minute; shape (1440, H, 2)."""
        return self.now.used_THK

    @property
    def rows(self) -> Log:
        """All moves so far and those that are queued, as arrays."""
        return self._migrations.rows

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
        return int(self.now.clock[0]["waiting_vm_minutes"])

    @property
    def evacuation_host_minutes(self) -> int:
        """Minutes that hosts in maintenance have waited to be emptied so far."""
        return int(self.now.clock[0]["evacuation_host_minutes"])

    def cluster(self) -> Cluster:
        """What a planner sees now: telemetry up to this minute; migrating VMs still on their source."""
        return self._present.cluster(self.minute)

    def twin(self) -> Simulator:
        """An independent copy: the same past, a future of its own."""
        shared = (self.episode, self.world, self.day, self._placer, self._present.inventory)
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
            self._resizes = plan if plan.resizes else None
            self.now.clock[0]["has_resizes"] = bool(plan.resizes)
            self._migrations.start(plan.moves, self.plans_executed + 1, bool(plan.moves) and is_ha_binding(state))
            self._resize()
        return violations

    def advance(self, minutes: int) -> CostTerms:
        """Lets time go on, at most to the end of the day; returns the cost of these minutes."""
        end = min(self.minute + minutes, DAY_MINUTES)
        before = self.costs
        while (stop := self._play(end)) != ENDED:
            self.attend(stop)
        return self.costs - before

    def attend(self, stop: int) -> None:
        """Does what the clock has stopped for, HAPPEN or START."""
        clock = self.now.clock[0]
        if stop == START:
            if clock["is_refused"]:
                self._migrations.refuse(self.minute, float(clock["seconds"]))
            else:
                self._migrations.start_moves(self.minute, float(clock["seconds"]))
            clock["has_started"] = True
            return
        self._resize()
        if not self.is_done:
            self._happen()

    def reserve(self, moves: int) -> None:
        """Makes the log so long that whoever plays on the arrays can queue this many more moves."""
        self._migrations.make_room(moves)

    def _play(self, end: int) -> int:
        """Lets the clock go on to a minute; returns why it has stopped."""
        if self._reference is not None:
            return self._reference.play(end)
        return int(play(self.day, self.pace, self.now, self._migrations.rows, end))

    def _begin(self, plan: Plan) -> int | None:
        """Starts a plan that makes room for a VM; returns its running number, or None where it is not valid."""
        return None if self.execute(plan) else self.plans_executed

    def _happen(self) -> None:
        """What happens at the start of this minute by itself."""
        clock, period = self.now.clock[0], self.episode.inventory.settings.round_minutes
        self._lifecycle.happen(self.minute, period)
        if self.minute % self._memory_minutes == 0:
            self._migrations.share_memory(self.minute)
        happening = self._lifecycle.next_minute(self.minute, period)
        clock["next_happening"] = NEVER if happening is None else happening
        clock["is_watched"] = self._lifecycle.is_watching
        clock["waiting"], clock["to_empty"] = self._lifecycle.waiting_count, self._lifecycle.to_empty_count

    def _resize(self) -> None:
        """Gives VMs the physical memory that a plan wants for them, once its moves are done."""
        plan = self._resizes
        if plan is None or self.is_busy:
            return
        self._resizes = None
        self.now.clock[0]["has_resizes"] = False
        index, hosts = self._present.inventory.vm_index, self._present.inventory.host_index
        due = [r for r in plan.resizes if self._present.host_of_M[index[r.vm]] == hosts[r.host]]
        for resize in due:
            self._lifecycle.note_resize(resize, self.minute, self.plans_executed)
        if due:
            self._migrations.share_memory(self.minute, {index[r.vm]: r.memory_gib for r in due})
