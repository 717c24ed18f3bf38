"""Episodes: one day of a trace on a cluster built for it, the same for the same seed whatever planner acts.

A trace gives the shape of demand, `build_episode` its scale: the mean CPU utilization of the cluster over the day is
the load, configured memory fills 70 % of the hosts, storage demand is 40 % of the controllers' CPU.
Shapes: H hosts, V VMs, M movables (VMs, then sessions), R resources, S samples of 5 minutes and N minutes (yesterday,
then the day).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

import numpy as np
import numpy.typing as npt

from ..model.cluster import (
    CPU,
    MEMORY,
    RESOURCES,
    STORAGE,
    Array,
    Cluster,
    Host,
    IntArray,
    Inventory,
    Session,
    Vm,
    make_cluster,
    read_only,
)
from ..model.errors import QuellError
from .events import Event
from .layout import draw_rules, place_initially
from .shapes import Draw, cpu_shape, draw_vms, storage_shape
from .sizing import LARGEST_CPU_SHARE, LARGEST_STORAGE_SHARE, STORAGE_LOAD, draw_hosts, memory_sizes, scale_to_total
from .split import TracePart
from .trace import SAMPLE_MINUTES, SAMPLES_PER_DAY, Float32Array, Trace

FloatArray = npt.NDArray[np.float64]

DAY_MINUTES = SAMPLES_PER_DAY * SAMPLE_MINUTES
HISTORY_MINUTES = DAY_MINUTES  # yesterday
HOSTS_PER_VOLUME_GROUP = 4  # assumed
SESSIONS_PER_VOLUME_GROUP = 3  # assumed
PLACEMENT_SAMPLES = 12  # the hour on either side of midnight that the first placement looks at
PLACEMENT_LOAD = 0.7  # mean utilization up to which a first placement without contention is sought; assumed


@dataclass(frozen=True)
class ClusterSpec:
    """What cluster to build.

    Attributes:
        hosts: number of hosts, >= 1.
        vms_per_host: VMs per host on average, >= 1.
        load: mean CPU utilization of the cluster over the day, above 0, at most 1.
        has_rules: whether there are placement rules and volume groups.
    """

    hosts: int = 8
    vms_per_host: int = 15
    load: float = 0.65
    has_rules: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        for key, value in (("hosts", self.hosts), ("vms_per_host", self.vms_per_host)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise QuellError(f"cluster, {key}: {value!r} is not a whole number of at least 1")
        if isinstance(self.load, bool) or not isinstance(self.load, int | float) or not 0 < self.load <= 1:
            raise QuellError(f"cluster, load: {self.load!r} is not a mean CPU utilization above 0 and at most 1")


@dataclass(frozen=True, eq=False)
class Episode:
    """A day of demand on a cluster.

    Attributes:
        cluster: the cluster at minute 0 of the day: first placement, samples = history.
        cpu_VN: CPU demand in cores, one value a minute, history first; before a VM arrives what is expected of it,
            after it has left 0; shape (V, N).
        storage_MN: storage controller demand in cores; shape (M, N).
        memory_VN: memory an overcommit VM needs, GiB; of other VMs without meaning; shape (V, N). None: no such VM.
        events: what happens during the day, in order.
        seed: of the draw.
        day_name: the trace's day.
        vm_names: id in the trace of each VM; the same id may be there more than once (see notes).
        notes: what the trace could not give, in sentences.
        history_minutes: minutes before minute 0 of the day.
    """

    cluster: Cluster
    cpu_VN: Float32Array
    storage_MN: Float32Array
    seed: int
    day_name: str
    vm_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    history_minutes: int = HISTORY_MINUTES
    memory_VN: Float32Array | None = None
    events: tuple[Event, ...] = ()

    @property
    def inventory(self) -> Inventory:
        """What there is in the cluster."""
        return self.cluster.inventory

    @property
    def day_minutes(self) -> int:
        """Minutes of the day that is played."""
        return self.cpu_VN.shape[1] - self.history_minutes

    def cluster_at(self, minute: int, host_of_M: IntArray, telemetry_minutes: int = 120) -> Cluster:
        """The cluster as telemetry shows it at the start of a minute of the day; its samples are views, not copies.

        Args:
            minute: 0 to day_minutes; samples end just before it.
            host_of_M: where the movables then are; shape (M,).
            telemetry_minutes: how far back the samples go, at most history_minutes + minute.

        Raises:
            ValueError: the minute or the telemetry lies outside the episode.
        """
        end = self.history_minutes + minute
        if not (0 <= minute <= self.day_minutes and 1 <= telemetry_minutes <= end):
            raise ValueError(f"{telemetry_minutes} minutes before minute {minute} of {self.day_minutes} are not there")
        window = slice(end - telemetry_minutes, end)
        return replace(
            self.cluster,
            time=self.cluster.time + timedelta(minutes=minute),
            host_of_M=read_only(host_of_M, dtype=np.int64),
            cpu_samples_VT=cast(Array, self.cpu_VN[:, window]),
            storage_samples_MT=cast(Array, self.storage_MN[:, window]),
        )


@dataclass(frozen=True, eq=False)
class _Demand:
    """Scaled demand and sizes: CPU and controller cores, vCPUs, GiB, and what could not be reached."""

    cpu_VS: FloatArray
    storage_MS: FloatArray
    vcpus_V: FloatArray
    memory_V: FloatArray
    notes: tuple[str, ...]


def build_episode(part: TracePart, spec: ClusterSpec, seed: int) -> Episode:
    """The episode of a seed: a day of the part, a cluster, and what is demanded in it minute by minute.

    Samples of 5 minutes are held, gaps inside a usable day are held over, and where the trace has no yesterday the
    day's first sample stands for it. The same arguments give the same arrays, bit for bit.

    Args:
        part: VMs and days to draw from.
        spec: the cluster to build.
        seed: of everything drawn, >= 0.

    Raises:
        QuellError: the load cannot be reached with so few VMs.
    """
    generator = np.random.default_rng(seed)
    day = int(generator.choice(part.days))
    hosts = draw_hosts(generator, spec.hosts)
    sessions = _sessions(spec)
    vms_draw = draw_vms(generator, part, day, spec.hosts * spec.vms_per_host)
    session_vms = generator.choice(part.active_vms(day), size=len(sessions))
    draw = Draw(
        np.concatenate([vms_draw.vm_X, session_vms]),
        np.concatenate([vms_draw.day_X, np.full(len(sessions), day)]),
        vms_draw.notes,
    )
    demand = _scaled_demand(generator, part.trace, draw, hosts, spec)
    vms = tuple(
        Vm(f"vm-{v + 1}", float(vcpus), float(memory))
        for v, (vcpus, memory) in enumerate(zip(demand.vcpus_V, demand.memory_V, strict=True))
    )
    rules = draw_rules(generator, vms, hosts, demand.cpu_VS.mean(axis=1)) if spec.has_rules else ()
    inventory = Inventory(hosts, vms, sessions, rules)
    host_of_M = place_initially(inventory, _around_midnight(inventory, demand))
    cpu_VN, storage_MN = _held(demand.cpu_VS), _held(demand.storage_MS)
    return Episode(
        cluster=_cluster(
            f"{part.trace.name} {part.trace.day_names[day]} seed {seed}", inventory, host_of_M, cpu_VN, storage_MN
        ),
        cpu_VN=cpu_VN,
        storage_MN=storage_MN,
        seed=seed,
        day_name=part.trace.day_names[day],
        vm_names=tuple(part.trace.vm_ids[v] for v in vms_draw.vm_X),
        notes=(*draw.notes, *demand.notes),
    )


def _sessions(spec: ClusterSpec) -> tuple[Session, ...]:
    """The sessions of the cluster's volume groups."""
    groups = max(1, spec.hosts // HOSTS_PER_VOLUME_GROUP) if spec.has_rules else 0
    return tuple(
        Session(f"vg-{g + 1}-session-{s + 1}", f"vg-{g + 1}")
        for g in range(groups)
        for s in range(SESSIONS_PER_VOLUME_GROUP)
    )


def _scaled_demand(
    generator: np.random.Generator, trace: Trace, draw: Draw, hosts: tuple[Host, ...], spec: ClusterSpec
) -> _Demand:
    """Demand and sizes at the scale of the cluster; CPU demand never passes vCPUs or half of the smallest host."""
    V = spec.hosts * spec.vms_per_host
    cores, controller_cores = sum(h.cpu_cores for h in hosts), sum(h.storage_cpu_cores for h in hosts)
    cpu_cap = LARGEST_CPU_SHARE * min(h.cpu_cores for h in hosts)
    cpu_VS = cpu_shape(trace, Draw(draw.vm_X[:V], draw.day_X[:V]))
    cpu = scale_to_total(cpu_VS[:, SAMPLES_PER_DAY:], cpu_cap, spec.load * cores)
    if cpu.reached_share < 1:
        raise QuellError(
            f"cluster, load: {spec.load:g} cannot be reached with {V} VMs of at most {cpu_cap:g} cores on {spec.hosts} "
            f"hosts; the most is {cpu.reached_share * spec.load:.2f}"
        )
    vcpus_V = np.clip(np.ceil(trace.vcpus_V[draw.vm_X[:V]] * cpu.factor), 1, cpu_cap)
    storage_cap = LARGEST_STORAGE_SHARE * min(h.storage_cpu_cores for h in hosts)
    storage_MS = storage_shape(generator, trace, draw)
    storage = scale_to_total(storage_MS[:, SAMPLES_PER_DAY:], storage_cap, STORAGE_LOAD * controller_cores)
    memory_V, memory = memory_sizes(trace.memory_gib_V[draw.vm_X[:V]].astype(np.float64), hosts)
    notes = []
    if storage.reached_share < 1:
        notes.append(f"storage demand is {storage.reached_share:.0%} of what was wanted: there is too little disk I/O")
    if memory.reached_share < 1:
        notes.append(f"configured memory is {memory.reached_share:.0%} of what was wanted: there are too few VMs")
    return _Demand(
        cpu_VS=np.minimum(cpu_VS * cpu.factor, vcpus_V[:, None]),
        storage_MS=np.minimum(storage_MS * storage.factor, storage_cap),
        vcpus_V=vcpus_V,
        memory_V=memory_V,
        notes=tuple(notes),
    )


def _around_midnight(inventory: Inventory, demand: _Demand) -> Array:
    """What the first placement counts on: the larger mean of the hours before and after midnight; shape (M, R).

    Where that is more than the cluster can bear without contention, it is scaled down, so that the load is at least
    spread evenly.
    """
    before = slice(SAMPLES_PER_DAY - PLACEMENT_SAMPLES, SAMPLES_PER_DAY)
    after = slice(SAMPLES_PER_DAY, SAMPLES_PER_DAY + PLACEMENT_SAMPLES)
    demand_MR = np.zeros((inventory.movable_count, RESOURCES))
    for rows, resource, values in (
        (inventory.vm_count, CPU, demand.cpu_VS),
        (inventory.movable_count, STORAGE, demand.storage_MS),
    ):
        demand_MR[:rows, resource] = np.maximum(values[:, before].mean(axis=1), values[:, after].mean(axis=1))
        excess = demand_MR[:, resource].sum() / (PLACEMENT_LOAD * inventory.capacity_HR[:, resource].sum())
        demand_MR[:, resource] /= max(1.0, excess)
    demand_MR[: inventory.vm_count, MEMORY] = demand.memory_V
    return demand_MR


def _held(values_XS: FloatArray) -> Float32Array:
    """5-minute samples held to minutes; shape (X, N)."""
    held_XN: Float32Array = read_only(np.repeat(values_XS.astype(np.float32), SAMPLE_MINUTES, axis=1), dtype=np.float32)
    return held_XN


def _cluster(
    name: str, inventory: Inventory, host_of_M: IntArray, cpu_VN: Float32Array, storage_MN: Float32Array
) -> Cluster:
    """The cluster at minute 0 of the day, with the history as its samples."""
    V, M = inventory.vm_count, inventory.movable_count
    empty = make_cluster(inventory, host_of_M, np.zeros((V, 1)), np.zeros((M, 1)), name=name)
    return replace(
        empty,
        cpu_samples_VT=cast(Array, cpu_VN[:, :HISTORY_MINUTES]),
        storage_samples_MT=cast(Array, storage_MN[:, :HISTORY_MINUTES]),
    )
