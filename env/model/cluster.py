"""A cluster: what there is (`Inventory`, fixed) and what telemetry last showed (`Cluster`).

Rules and planners never walk over the objects: they read the dense arrays of `Inventory`. Shapes:

    H  hosts
    V  VMs
    M  movables: the V VMs, then the sessions of all volume groups (a session moves like a VM without CPU or memory)
    R  resources: CPU, MEMORY, STORAGE (index constants below)
    A  anti-affinity rules
    T  telemetry samples, one a minute, newest last

Ids are strings at the edge; inside, dense indices. Host index -1 means "not placed". Arrays are read-only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

CPU, MEMORY, STORAGE = 0, 1, 2
RESOURCES = 3
TOLERANCE = 1e-6  # cores, GiB or utilization: sums of rounded numbers must not break a rule
NOWHERE = -1


class HostState(StrEnum):
    """Whether a host may run VMs (`up`), must be emptied (`maintenance`) or is gone (`down`)."""

    UP = "up"
    MAINTENANCE = "maintenance"
    DOWN = "down"


class RuleKind(StrEnum):
    """Kinds of placement rule."""

    VM_HOST_AFFINITY = "vm-host-affinity"
    VM_VM_ANTI_AFFINITY = "vm-vm-anti-affinity"
    VM_VM_AFFINITY = "vm-vm-affinity"


@dataclass(frozen=True)
class Gpu:
    """A physical GPU of a host."""

    id: str
    model: str
    memory_gib: float


@dataclass(frozen=True)
class GpuProfile:
    """The vGPU a VM asks for: a slice of one physical GPU of this model."""

    model: str
    memory_gib: float


@dataclass(frozen=True)
class Host:
    """A physical machine: what it offers to VMs and to its storage controller."""

    id: str
    cpu_cores: float
    memory_gib: float
    storage_cpu_cores: float
    gpus: tuple[Gpu, ...] = ()
    state: HostState = HostState.UP


@dataclass(frozen=True)
class Vm:
    """A virtual machine: its configured size. Where it is and what it demands is telemetry."""

    id: str
    vcpus: float
    memory_gib: float
    is_on: bool = True
    is_overcommit: bool = False
    memory_minimum_gib: float = 0.0
    gpu: GpuProfile | None = None
    is_ha: bool = True


@dataclass(frozen=True)
class Session:
    """An iSCSI session of a volume group; it loads the storage controller of its host while it is on."""

    id: str
    volume_group: str
    is_on: bool = True


@dataclass(frozen=True)
class PlacementRule:
    """A placement rule (`policies` in the snapshot); `hosts` only for VM-host affinity."""

    id: str
    kind: RuleKind
    vms: tuple[str, ...]
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """Thresholds, periods and limits of the scheduler. Source: the ADS documents unless said otherwise."""

    cpu_threshold: float = 0.85  # utilization
    storage_cpu_threshold: float = 0.85  # utilization
    trend_window_seconds: float = 600.0
    contention_period_seconds: float = 900.0
    memory_period_seconds: float = 120.0
    observation_seconds: float = 900.0  # after a plan, before the next
    session_move_cost_gib: float = 1.0  # assumed
    solve_limit_seconds: float = 5.0  # assumed; the 2019 paper allows 30

    @property
    def memory_minutes(self) -> int:
        """The memory period in whole minutes, at least 1: how often memory is shared anew."""
        return max(1, round(self.memory_period_seconds / 60))

    @property
    def round_minutes(self) -> int:
        """The contention period in whole minutes, at least 1: how often planners are asked."""
        return max(1, round(self.contention_period_seconds / 60))


@dataclass(frozen=True)
class HighAvailability:
    """How many host failures memory is reserved for; nothing is reserved in best-effort mode."""

    is_guaranteed: bool = False
    host_failures: int = 1


@dataclass(frozen=True, eq=False)
class Inventory:
    """Everything about a cluster that telemetry does not change, with dense-array views made once."""

    hosts: tuple[Host, ...]
    vms: tuple[Vm, ...] = ()
    sessions: tuple[Session, ...] = ()
    rules: tuple[PlacementRule, ...] = ()
    settings: Settings = field(default_factory=Settings)
    high_availability: HighAvailability = field(default_factory=HighAvailability)

    @property
    def host_count(self) -> int:
        """H."""
        return len(self.hosts)

    @property
    def vm_count(self) -> int:
        """V."""
        return len(self.vms)

    @property
    def movable_count(self) -> int:
        """M = V + number of sessions."""
        return len(self.vms) + len(self.sessions)

    @cached_property
    def host_index(self) -> dict[str, int]:
        """Host id -> h."""
        return {host.id: h for h, host in enumerate(self.hosts)}

    @cached_property
    def vm_index(self) -> dict[str, int]:
        """VM id -> v (which is its m as well)."""
        return {vm.id: v for v, vm in enumerate(self.vms)}

    @cached_property
    def session_index(self) -> dict[str, int]:
        """Session id -> m (V and above)."""
        return {session.id: self.vm_count + s for s, session in enumerate(self.sessions)}

    def movable_id(self, m: int) -> str:
        """Id of movable m, be it a VM or a session."""
        return self.vms[m].id if m < self.vm_count else self.sessions[m - self.vm_count].id

    @cached_property
    def capacity_HR(self) -> Array:
        """What each host offers: CPU cores, memory GiB, storage controller cores; shape (H, R), > 0."""
        return read_only([[h.cpu_cores, h.memory_gib, h.storage_cpu_cores] for h in self.hosts], (-1, RESOURCES))

    @cached_property
    def limit_HR(self) -> Array:
        """What may be used of each host before a rule (R1, R8) breaks, tolerance included; shape (H, R)."""
        s = self.settings
        return read_only(self.capacity_HR * (np.array([s.cpu_threshold, 1.0, s.storage_cpu_threshold]) + TOLERANCE))

    @cached_property
    def is_up_H(self) -> BoolArray:
        """Hosts that may receive VMs (R2); shape (H,)."""
        return read_only([h.state is HostState.UP for h in self.hosts], dtype=np.bool_)

    @cached_property
    def is_maintenance_H(self) -> BoolArray:
        """Hosts that must be emptied; shape (H,)."""
        return read_only([h.state is HostState.MAINTENANCE for h in self.hosts], dtype=np.bool_)

    @cached_property
    def is_on_M(self) -> BoolArray:
        """Movables that run: powered-on VMs and open sessions; shape (M,)."""
        return read_only([vm.is_on for vm in self.vms] + [s.is_on for s in self.sessions], dtype=np.bool_)

    @cached_property
    def is_ha_V(self) -> BoolArray:
        """VMs that are restarted when their host fails, be they on or off; shape (V,)."""
        return read_only([vm.is_ha for vm in self.vms], dtype=np.bool_)

    @cached_property
    def memory_configured_V(self) -> Array:
        """Configured memory of each VM, GiB; shape (V,)."""
        return read_only([vm.memory_gib for vm in self.vms])

    @cached_property
    def memory_minimum_V(self) -> Array:
        """Memory each overcommit VM always keeps, GiB; 0 where not overcommitted; shape (V,)."""
        return read_only([vm.memory_minimum_gib if vm.is_overcommit else 0.0 for vm in self.vms])

    @cached_property
    def is_overcommit_V(self) -> BoolArray:
        """VMs whose memory may be shrunk; shape (V,)."""
        return read_only([vm.is_overcommit for vm in self.vms], dtype=np.bool_)

    @cached_property
    def is_allowed_MH(self) -> BoolArray:
        """Hosts each movable may stand on by VM-host affinity (R3); shape (M, H)."""
        allowed_MH = np.ones((self.movable_count, self.host_count), dtype=np.bool_)
        for rule in self.rules:
            if rule.kind is RuleKind.VM_HOST_AFFINITY:
                is_listed_H = np.zeros(self.host_count, dtype=np.bool_)
                is_listed_H[[self.host_index[h] for h in rule.hosts]] = True
                allowed_MH[[self.vm_index[v] for v in rule.vms]] &= is_listed_H
        return read_only(allowed_MH, dtype=np.bool_)

    @cached_property
    def anti_affinity_rules(self) -> tuple[PlacementRule, ...]:
        """The A anti-affinity rules, in the order of the snapshot."""
        return tuple(r for r in self.rules if r.kind is RuleKind.VM_VM_ANTI_AFFINITY)

    @cached_property
    def is_anti_MA(self) -> BoolArray:
        """Membership in the anti-affinity rules (R4); shape (M, A)."""
        member_MA = np.zeros((self.movable_count, len(self.anti_affinity_rules)), dtype=np.bool_)
        for a, rule in enumerate(self.anti_affinity_rules):
            member_MA[[self.vm_index[v] for v in rule.vms], a] = True
        return read_only(member_MA, dtype=np.bool_)

    @cached_property
    def affinity_members(self) -> tuple[tuple[PlacementRule, IntArray], ...]:
        """Each VM-VM affinity rule (R5) with the indices of its VMs."""
        return tuple(
            (rule, np.array([self.vm_index[v] for v in rule.vms], dtype=np.int64))
            for rule in self.rules
            if rule.kind is RuleKind.VM_VM_AFFINITY
        )

    @cached_property
    def gpu_memory_H(self) -> Array:
        """Memory of all GPUs of each host, GiB; 0 where it has none; shape (H,)."""
        return read_only([sum(g.memory_gib for g in h.gpus) for h in self.hosts])

    @cached_property
    def gpu_memory_M(self) -> Array:
        """vGPU memory of each movable, GiB; 0 where it has none; shape (M,)."""
        return read_only([v.gpu.memory_gib if v.gpu else 0.0 for v in self.vms] + [0.0] * len(self.sessions))

    @cached_property
    def gpu_stock_H(self) -> tuple[tuple[tuple[str, float], ...], ...]:
        """(model, memory in GiB) of each host's GPUs, sorted; H tuples."""
        return tuple(tuple(sorted((g.model, g.memory_gib) for g in host.gpus)) for host in self.hosts)

    @cached_property
    def gpu_movables(self) -> IntArray:
        """Indices of the VMs that have a vGPU."""
        return np.flatnonzero(self.gpu_memory_M > 0)


@dataclass(frozen=True, eq=False)
class Cluster:
    """One look at a cluster: the inventory, who is where, and the telemetry up to `time`.

    Attributes:
        host_of_M: host index of each movable, -1 where it is not placed; shape (M,).
        cpu_samples_VT: CPU demand in cores, newest last, NaN where there is no sample; shape (V, T), T >= 1.
        storage_samples_MT: the same of storage controller demand; shape (M, T').
        memory_usage_V: memory a guest needs and has, GiB; meaningful for overcommit VMs; shape (V,).
        memory_swap_V: memory it needs and the host has swapped out, GiB; shape (V,).
    """

    name: str
    time: datetime
    inventory: Inventory
    host_of_M: IntArray
    cpu_samples_VT: Array
    storage_samples_MT: Array
    memory_usage_V: Array
    memory_swap_V: Array

    @cached_property
    def memory_need_V(self) -> Array:
        """Memory a VM needs: configured, or usage + swap where overcommitted, GiB; shape (V,)."""
        configured_V, is_overcommit_V = self.inventory.memory_configured_V, self.inventory.is_overcommit_V
        needed_V = np.minimum(configured_V, self.memory_usage_V + self.memory_swap_V)
        return read_only(np.where(is_overcommit_V, needed_V, configured_V))

    def moved_to(self, host_of_M: IntArray) -> Cluster:
        """The same cluster with its movables elsewhere."""
        return replace(self, host_of_M=read_only(host_of_M, dtype=np.int64))


def make_cluster(
    inventory: Inventory,
    host_of_M: npt.ArrayLike,
    cpu_samples_VT: npt.ArrayLike,
    storage_samples_MT: npt.ArrayLike,
    *,
    name: str = "cluster",
    time: datetime | None = None,
    memory_usage_V: npt.ArrayLike | None = None,
    memory_swap_V: npt.ArrayLike | None = None,
) -> Cluster:
    """A cluster from plain arrays; one-dimensional demands count as estimates (T = 1)."""
    V, M = inventory.vm_count, inventory.movable_count
    zeros = np.zeros(V)
    return Cluster(
        name=name,
        time=time or datetime(2026, 1, 1, tzinfo=UTC),
        inventory=inventory,
        host_of_M=read_only(host_of_M, (M,), dtype=np.int64),
        cpu_samples_VT=_samples(cpu_samples_VT, V),
        storage_samples_MT=_samples(storage_samples_MT, M),
        memory_usage_V=read_only(zeros if memory_usage_V is None else memory_usage_V, (V,)),
        memory_swap_V=read_only(zeros if memory_swap_V is None else memory_swap_V, (V,)),
    )


def _samples(samples: npt.ArrayLike, rows: int) -> Array:
    """Samples as a read-only (rows, T) array."""
    array = np.asarray(samples, dtype=np.float64)
    return read_only(array.reshape(rows, array.shape[1] if array.ndim == 2 else 1))


def read_only(
    values: npt.ArrayLike, shape: tuple[int, ...] | None = None, *, dtype: npt.DTypeLike = np.float64
) -> npt.NDArray:
    """An array that nobody can change by accident; a view of `values` where that is possible."""
    array = np.asarray(values, dtype=dtype)
    array = array.reshape(shape) if shape is not None else array.view()
    array.flags.writeable = False
    return array
