"""A simulated day as plain arrays: what an episode fixes, and all that changes, for kernels and for people alike.

The compiled clock (`clock_kernels.py`) and the classes that handle what is rare (`lifecycle.py`, `waiting.py`,
`migrations.py`) work on the same arrays, so that either can go on where the other stopped:

    Day   demand minute by minute, sizes and rules; the same for everybody who plays the episode
    Pace  how long migrations take and what they load
    Now   who is where, who runs, who has how much memory; the clock; the cost so far
    Log   every move of every plan: first the moves done, then those that run, then the queue

Shapes besides those of `env/model/cluster.py`: N minutes (history, then the day), O overcommit VMs, J and K the two
resources whose demand moves (CPU, storage).
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ..model.cluster import CPU, RESOURCES, STORAGE, Array, BoolArray, HostState, IntArray
from .migration import WorldSettings
from .trace import Float32Array
from .workload import DAY_MINUTES, Episode

NEVER = 1 << 40  # a minute that does not come
TELEMETRY_MINUTES = DAY_MINUTES  # what `Episode.cluster_at` shows of the past at most

CLOCK = np.dtype(
    [
        ("minute", "i8"),  # of the day: the next one to be played
        ("next_happening", "i8"),  # the next minute in which something happens by itself
        ("is_watched", "?"),  # whether every end of a move may let something happen: a host to be emptied, room made
        ("has_resizes", "?"),  # whether resizes wait for the end of a plan
        ("waiting", "i8"),  # VMs without a host
        ("to_empty", "i8"),  # hosts in maintenance
        ("waiting_vm_minutes", "i8"),
        ("evacuation_host_minutes", "i8"),
        ("contended_host_minutes", "i8"),
        ("is_inside", "?"),  # whether a minute has been begun and not ended: a move is to be started in Python
        ("seconds", "f8"),  # of the day, inside that minute
        ("has_started", "?"),  # whether Python has started the moves of this second
        ("is_refused", "?"),  # whether the next move surely may not start, so that Python drops the rest
        ("first_settling", "i8"),  # moves before it have no effect any more
        ("head", "i8"),  # the queue: moves from head to end of the log
        ("end", "i8"),
        ("plan", "i8"),  # running number of the plan that is carried out
        ("is_ha_enforced", "?"),  # whether R7 binds it
        ("active", "i8"),  # how many migrations run
        ("last_end_seconds", "f8"),  # when the last plan ended, NaN before the first
    ],
    align=True,
)
MOVE = np.dtype(
    [
        ("m", "i8"),
        ("source", "i8"),
        ("target", "i8"),
        ("cost_gib", "f8"),
        ("plan", "i8"),
        ("outcome", "i8"),  # `Fate`
        ("start_seconds", "f8"),
        ("end_seconds", "f8"),
        ("settled_minute", "i8"),  # from `settling_minute` to it, caches follow the VM
        ("settling_minute", "i8"),
    ],
    align=True,
)


class Fate(IntEnum):
    """What became of a move, as kernels note it."""

    QUEUED = 0
    RUNNING = 1
    DONE = 2
    DROPPED = 3


class Term(IntEnum):
    """Places of the cost terms in `Now.cost_4`."""

    OVERLOAD = 0
    UNSERVED = 1
    SWAP = 2
    MIGRATION = 3


STATES = (HostState.UP, HostState.MAINTENANCE, HostState.DOWN)
"""Host states by their number in `Now.state_H`."""
UP, MAINTENANCE, DOWN = 0, 1, 2


class Day(NamedTuple):
    """What an episode fixes."""

    history_minutes: int
    demand_NMJ: Float32Array  # cores; sessions have no CPU demand; shape (N, M, 2)
    need_NO: Array  # memory overcommit VMs need, at most what is configured, GiB; one row where it is constant
    need_V: Array  # memory of the others, and at minute 0, GiB
    slot_V: IntArray  # place among the overcommit VMs, -1 for the others
    overcommit: IntArray  # their indices; shape (O,)
    configured_V: Array  # GiB
    minimum_V: Array  # GiB
    gpu_gib_M: Array
    is_ha_V: BoolArray
    is_allowed_MH: BoolArray
    choices_M: IntArray  # hosts that R3 allows
    is_anti_MA: BoolArray
    capacity_HK: Array  # CPU and storage controller cores
    threshold_HK: Array
    memory_gib_H: Array
    limit_HR: Array
    trend_minutes: int
    memory_minutes: int
    host_failures: int


class Pace(NamedTuple):
    """`WorldSettings` as the kernels take them."""

    base_seconds: float
    seconds_per_gib: float  # at the bandwidth of the cluster
    dirty_ratio_per_core: float
    dirty_ratio_limit: float
    precopy_rounds: int
    concurrent: int
    busy_cores: float
    relocalization_share: float
    relocalization_minutes: int


class Work(NamedTuple):
    """Room for kernels to work in, as they allocate nothing."""

    host_HX: Array  # a few columns for each host
    window_T: Float32Array  # samples of the trend window
    used_R: Array
    need_V: Array
    host_V: IntArray
    victim_V: IntArray
    row_M: npt.NDArray[np.uint32]  # of `Now.load_HK`; without a sign, as that is looked up faster


class Now(NamedTuple):
    """All that changes."""

    clock: np.ndarray  # one row of CLOCK
    cost_4: Array  # `Term`s, core-minutes
    host_of_M: IntArray
    is_on_M: BoolArray
    ready_minute_V: IntArray  # minute from which a VM runs, as starting takes a while
    physical_V: Array  # physical memory, GiB
    state_H: IntArray  # `STATES`
    active_A: IntArray  # moves that run, as indices of the log, in the order of their starts
    used_THK: Float32Array  # cores, minute by minute; shape (1440, H, 2)
    load_HK: Array  # of the minute that is played, cores; then that of what does not run, and of what is off
    work: Work


Log = np.ndarray
"""Rows of MOVE, in the order of the plans."""

_days: WeakKeyDictionary[Episode, Day] = WeakKeyDictionary()


def day_of(episode: Episode) -> Day:
    """The arrays of an episode, made once for all that play it."""
    day = _days.get(episode)
    if day is None:
        day = _days[episode] = _made(episode)
    return day


def pace_of(world: WorldSettings) -> Pace:
    """The constants of the world, scaled to the bandwidth of the cluster."""
    return Pace(
        base_seconds=world.base_seconds,
        seconds_per_gib=world.seconds_per_gib * world.reference_bandwidth_gbps / world.bandwidth_gbps,
        dirty_ratio_per_core=world.dirty_gbps_per_core / world.bandwidth_gbps,
        dirty_ratio_limit=world.dirty_ratio_limit,
        precopy_rounds=world.precopy_rounds,
        concurrent=world.concurrent_migrations,
        busy_cores=world.busy_cores,
        relocalization_share=world.relocalization_share,
        relocalization_minutes=world.relocalization_minutes,
    )


def start_of(episode: Episode, world: WorldSettings) -> Now:
    """Minute 0 of an episode: nothing has been played."""
    inventory = episode.inventory
    clock = np.zeros(1, dtype=CLOCK)
    clock["next_happening"], clock["last_end_seconds"] = NEVER, np.nan
    return Now(
        clock=clock,
        cost_4=np.zeros(len(Term)),
        host_of_M=episode.cluster.host_of_M.astype(np.int64, copy=True),
        is_on_M=inventory.is_on_M.copy(),
        ready_minute_V=np.zeros(inventory.vm_count, dtype=np.int64),
        physical_V=np.zeros(inventory.vm_count),
        state_H=np.array([STATES.index(host.state) for host in inventory.hosts], dtype=np.int64),
        active_A=np.zeros(world.concurrent_migrations, dtype=np.int64),
        used_THK=np.zeros((DAY_MINUTES, inventory.host_count, 2), dtype=np.float32),
        load_HK=np.zeros((inventory.host_count + 2, 2)),
        work=_work(inventory.host_count, inventory.vm_count, inventory.movable_count),
    )


def _work(H: int, V: int, M: int) -> Work:
    """Room for the kernels."""
    return Work(
        host_HX=np.zeros((H, 7)),
        window_T=np.zeros(TELEMETRY_MINUTES, dtype=np.float32),
        used_R=np.zeros(RESOURCES),
        need_V=np.zeros(V),
        host_V=np.zeros(V, dtype=np.int64),
        victim_V=np.zeros(V, dtype=np.int64),
        row_M=np.zeros(M, dtype=np.uint32),
    )


def _made(episode: Episode) -> Day:
    """The arrays of an episode."""
    inventory, settings = episode.inventory, episode.inventory.settings
    overcommit = np.flatnonzero(inventory.is_overcommit_V)
    slot_V = np.full(inventory.vm_count, -1, dtype=np.int64)
    slot_V[overcommit] = np.arange(overcommit.size)
    capacity_HK = np.ascontiguousarray(inventory.capacity_HR[:, [CPU, STORAGE]])
    ha = inventory.high_availability
    return Day(
        history_minutes=episode.history_minutes,
        demand_NMJ=_demand_NMJ(episode),
        need_NO=_need_NO(episode, overcommit),
        need_V=_own(episode.cluster.memory_need_V),
        slot_V=slot_V,
        overcommit=overcommit,
        configured_V=_own(inventory.memory_configured_V),
        minimum_V=_own(inventory.memory_minimum_V),
        gpu_gib_M=_own(inventory.gpu_memory_M),
        is_ha_V=np.array(inventory.is_ha_V),
        is_allowed_MH=np.array(inventory.is_allowed_MH),
        choices_M=inventory.is_allowed_MH.sum(axis=1, dtype=np.int64),
        is_anti_MA=np.array(inventory.is_anti_MA),
        capacity_HK=capacity_HK,
        threshold_HK=capacity_HK * np.array([settings.cpu_threshold, settings.storage_cpu_threshold]),
        memory_gib_H=_own(inventory.capacity_HR[:, 1]),
        limit_HR=_own(inventory.limit_HR),
        trend_minutes=min(TELEMETRY_MINUTES, math.ceil(settings.trend_window_seconds / 60)),
        memory_minutes=settings.memory_minutes,
        host_failures=ha.host_failures if ha.is_guaranteed else 0,
    )


def _demand_NMJ(episode: Episode) -> Float32Array:
    """CPU and storage demand, a minute after the other: a minute is read at once, and the next ones after it."""
    V, (M, N) = len(episode.cpu_VN), episode.storage_MN.shape
    demand_NMJ = np.zeros((N, M, 2), dtype=np.float32)
    demand_NMJ[:, :V, 0] = episode.cpu_VN.T
    demand_NMJ[:, :, 1] = episode.storage_MN.T
    return demand_NMJ


def _need_NO(episode: Episode, overcommit: IntArray) -> Array:
    """Memory that overcommit VMs need, GiB, minute by minute; shape (N, O) or, where it is constant, (1, O)."""
    if episode.memory_VN is None:
        return episode.cluster.memory_need_V[overcommit][None, :].copy()
    most_O = episode.inventory.memory_configured_V[overcommit]
    return np.ascontiguousarray(np.minimum(episode.memory_VN[overcommit].T.astype(np.float64), most_O))


def _own(values: Array) -> Array:
    """A copy that kernels may take: contiguous, and not marked read-only as that would be another type."""
    return np.array(values, dtype=np.float64)
