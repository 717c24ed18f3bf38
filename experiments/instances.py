"""Contended clusters by seed: what `quell bench plan` measures planners on.

Every cluster has a band of CPU utilization that its hosts lie in, and a few hot hosts above the threshold. What else it
has is drawn: hosts of one size or of three, hosts that swap, vGPUs, iSCSI sessions, placement rules of all kinds, an HA
reservation, a host in maintenance. VMs start where rules R3, R4 and R6 hold. Nothing makes sure that a plan exists:
whether a cluster can be relieved is part of the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..env.model.cluster import (
    Array,
    Cluster,
    Gpu,
    GpuProfile,
    HighAvailability,
    Host,
    HostState,
    IntArray,
    Inventory,
    PlacementRule,
    RuleKind,
    Session,
    Vm,
    make_cluster,
)
from ..env.model.errors import QuellError

MODELS = ((32, 256.0), (48, 384.0), (64, 512.0))  # cores and GiB of a host
STORAGE_CORES = 8.0
GPU_MODEL, GPU_GIB, GPUS_PER_HOST = "A40", 48.0, 2
VGPUS_GIB = (8.0, 16.0, 24.0)
VCPUS, VCPU_SHARES = (2, 4, 8, 16, 32), (0.12, 0.25, 0.32, 0.22, 0.09)
GIB_PER_VCPU = (1.0, 2.0, 4.0, 8.0)
LOADS = (0.45, 0.75)  # mean CPU utilization of a cluster, from and to
COOL_END, HOT = 0.84, (0.87, 0.98)  # CPU utilization of hosts that are not contended, and of those that are
MEMORY_SHARES = (0.5, 0.9)  # of a host's memory
STORAGE_SHARES = (0.27, 0.65)  # of a storage controller
SHORT = (1.01, 1.08)  # memory utilization of a host that swaps
LARGEST_SHARE = 0.6  # of a host's cores, for one VM


@dataclass(frozen=True)
class Size:
    """How large a cluster is."""

    hosts: int
    vms: int

    @staticmethod
    def of(text: str) -> Size:
        """The size that people write as `24x300`.

        Raises:
            QuellError: it is no such text, or too small.
        """
        hosts, _, vms = text.strip().partition("x")
        if not (hosts.isdecimal() and vms.isdecimal()):
            raise QuellError(f"--sizes: {text!r} is no size; it reads HOSTSxVMS, such as 24x300")
        size = Size(int(hosts), int(vms))
        if size.hosts < 2 or size.vms < size.hosts:
            raise QuellError(f"--sizes: {text!r} is too small; at least 2 hosts, and as many VMs as hosts")
        return size

    def __str__(self) -> str:
        return f"{self.hosts}x{self.vms}"


def shares_of(text: str) -> tuple[float, float]:
    """The shares that people write as `50-90`, in percent.

    Raises:
        QuellError: it is no such text, or no host could be filled like that.
    """
    low, _, high = text.strip().partition("-")
    if not (low.isdecimal() and high.isdecimal() and 1 <= int(low) <= int(high) <= 100):
        raise QuellError(f"--memory: {text!r} is no range of percent; it reads FROM-TO, such as 50-90, from 1 to 100")
    return int(low) / 100, int(high) / 100


@dataclass(frozen=True)
class _Guests:
    """The VMs of a cluster as arrays; shape (V,) each."""

    host_V: IntArray
    vcpus_V: Array
    memory_V: Array
    cpu_V: Array
    storage_V: Array
    is_overcommit_V: np.ndarray
    usage_V: Array
    swap_V: Array
    vgpu_V: Array


def draw_cluster(size: Size, seed: int, memory_shares: tuple[float, float] = MEMORY_SHARES) -> Cluster:
    """A contended cluster.

    Args:
        size: hosts and VMs.
        seed: the same seed and size give the same cluster.
        memory_shares: how much of its memory a host has in use, from and to.
    """
    rng = np.random.default_rng([seed, size.hosts, size.vms])
    hosts = _hosts(rng, size.hosts)
    guests = _guests(rng, hosts, size.vms, memory_shares)
    hosts, guests = _short_of_memory(rng, hosts, guests)
    if rng.random() < 0.2 and size.hosts > 5:
        h = int(rng.integers(size.hosts))
        hosts = (*hosts[:h], replace(hosts[h], state=HostState.MAINTENANCE), *hosts[h + 1 :])
    vms = tuple(_vm(guests, v) for v in range(size.vms))
    sessions, controllers, load = _sessions(rng, size.hosts)
    is_guaranteed = bool(rng.random() < 0.3)
    inventory = Inventory(
        hosts=hosts,
        vms=vms,
        sessions=sessions,
        rules=tuple(_rules(rng, guests, hosts)),
        high_availability=HighAvailability(is_guaranteed),
    )
    return make_cluster(
        inventory,
        np.concatenate([guests.host_V, controllers]),
        guests.cpu_V,
        np.concatenate([guests.storage_V, load]),
        name=f"fresh-{size}-{seed}",
        memory_usage_V=guests.usage_V,
        memory_swap_V=guests.swap_V,
    )


def _hosts(rng: np.random.Generator, count: int) -> tuple[Host, ...]:
    """Hosts of one size or of three, some with GPUs."""
    is_mixed, gpu_share = rng.random() < 0.4, float(rng.choice([0.0, 0.0, 0.3]))
    kinds = rng.integers(len(MODELS), size=count) if is_mixed else np.ones(count, dtype=np.int64)
    hosts = []
    for h in range(count):
        cores, memory_gib = MODELS[kinds[h]]
        gpus = GPUS_PER_HOST if rng.random() < gpu_share else 0
        stock = tuple(Gpu(f"gpu-{g}", GPU_MODEL, GPU_GIB) for g in range(gpus))
        hosts.append(Host(f"host-{h + 1}", float(cores), memory_gib, STORAGE_CORES, stock))
    return tuple(hosts)


def _guests(rng: np.random.Generator, hosts: Sequence[Host], count: int, memory_shares: tuple[float, float]) -> _Guests:
    """VMs spread over the hosts by size, their demand scaled to what each host is meant to use."""
    H = len(hosts)
    cores_H = np.array([host.cpu_cores for host in hosts])
    memory_H = np.array([host.memory_gib for host in hosts])
    host_V = np.concatenate([np.arange(H), rng.choice(H, size=count - H, p=cores_H / cores_H.sum())])
    host_V = np.sort(host_V).astype(np.int64)
    vcpus_V = rng.choice(VCPUS, size=count, p=VCPU_SHARES).astype(np.float64)
    cpu_V = _scaled(vcpus_V * rng.uniform(0.15, 0.5, count), host_V, _cpu_H(rng, H) * cores_H)
    is_giant_V = cpu_V > LARGEST_SHARE * cores_H[host_V]
    cpu_V = np.where(is_giant_V, LARGEST_SHARE * cores_H[host_V], cpu_V)
    memory_V = vcpus_V * rng.choice(GIB_PER_VCPU, size=count)
    memory_V = _scaled(memory_V, host_V, rng.uniform(*memory_shares, H) * memory_H)
    storage_H = rng.uniform(*STORAGE_SHARES, H)
    storage_H[rng.random(H) < rng.choice([0.0, 0.04])] = rng.uniform(0.87, 0.93)
    storage_V = _scaled(rng.gamma(1.5, 1.0, count), host_V, storage_H * STORAGE_CORES)
    return _Guests(
        host_V=host_V,
        vcpus_V=np.maximum(vcpus_V, 2 ** np.ceil(np.log2(np.maximum(1.0, cpu_V)))),
        memory_V=np.round(memory_V, 2),
        cpu_V=np.round(cpu_V, 3),
        storage_V=np.round(storage_V, 3),
        is_overcommit_V=np.zeros(count, dtype=np.bool_),
        usage_V=np.zeros(count),
        swap_V=np.zeros(count),
        vgpu_V=_vgpus(rng, hosts, host_V),
    )


def _cpu_H(rng: np.random.Generator, count: int) -> Array:
    """CPU utilization the hosts are meant to have; one at least is hot; shape (H,)."""
    load = rng.uniform(*LOADS)
    cpu_H = np.minimum(COOL_END, rng.uniform(load - 0.1, load + 0.1, count))
    is_hot_H = rng.random(count) < rng.choice([0.05, 0.1, 0.2])
    is_hot_H[rng.integers(count)] = True
    return np.where(is_hot_H, rng.uniform(*HOT, count), cpu_H)


def _scaled(amount_V: Array, host_V: IntArray, total_H: Array) -> Array:
    """The amounts, scaled on every host so that they add up to its total."""
    sum_H = np.bincount(host_V, weights=amount_V, minlength=total_H.size)
    return amount_V * (total_H / sum_H)[host_V]


def _vgpus(rng: np.random.Generator, hosts: Sequence[Host], host_V: IntArray) -> Array:
    """vGPU memory of each VM, GiB, 0 for none: on every GPU up to three of one profile."""
    vgpu_V = np.zeros(host_V.size)
    for h, host in enumerate(hosts):
        there = rng.permutation(np.flatnonzero(host_V == h))
        taken = 0
        for gpu in host.gpus:
            gib = float(rng.choice(VGPUS_GIB))
            wanted = min(int(rng.integers(0, 4)), int(gpu.memory_gib / gib))
            vgpu_V[there[taken : taken + wanted]] = gib
            taken += wanted
    return vgpu_V


def _short_of_memory(
    rng: np.random.Generator, hosts: tuple[Host, ...], guests: _Guests
) -> tuple[tuple[Host, ...], _Guests]:
    """Some hosts swap: they get less memory than their overcommit VMs need."""
    host_V, need_V = guests.host_V, guests.memory_V.copy()
    is_overcommit_V, usage_V, swap_V = guests.is_overcommit_V.copy(), guests.usage_V.copy(), guests.swap_V.copy()
    changed = list(hosts)
    for h in np.flatnonzero(rng.random(len(hosts)) < rng.choice([0.0, 0.0, 0.1])):
        there = np.flatnonzero(host_V == h)
        overcommit = there[rng.random(there.size) < 0.7]
        if overcommit.size == 0:
            continue
        is_overcommit_V[overcommit] = True
        need_V[overcommit] *= rng.uniform(0.5, 0.95, overcommit.size)
        over = rng.uniform(*SHORT)
        memory_gib = need_V[there].sum() / over
        swap_V[overcommit] = (need_V * (1 - 1 / over) * need_V[there].sum() / need_V[overcommit].sum())[overcommit]
        usage_V[overcommit] = (need_V - swap_V)[overcommit]
        changed[h] = replace(hosts[h], memory_gib=round(memory_gib, 2))
    usage_V = np.maximum(usage_V, 0.0)
    return tuple(changed), replace(
        guests, is_overcommit_V=is_overcommit_V, usage_V=usage_V.round(2), swap_V=swap_V.round(2)
    )


def _vm(guests: _Guests, v: int) -> Vm:
    """VM number v."""
    memory_gib = float(guests.memory_V[v])
    is_overcommit = bool(guests.is_overcommit_V[v])
    profile = GpuProfile(GPU_MODEL, float(guests.vgpu_V[v])) if guests.vgpu_V[v] > 0 else None
    minimum_gib = round(memory_gib / 4, 2) if is_overcommit else 0.0
    return Vm(f"vm-{v + 1}", float(guests.vcpus_V[v]), memory_gib, True, is_overcommit, minimum_gib, profile)


def _sessions(rng: np.random.Generator, hosts: int) -> tuple[tuple[Session, ...], IntArray, Array]:
    """iSCSI sessions, their controllers and what they load them with."""
    count = int(rng.choice([0, 0, hosts // 4, hosts // 2]))
    sessions = tuple(Session(f"vg-{s // 3 + 1}/{s % 3}", f"vg-{s // 3 + 1}") for s in range(count))
    return sessions, rng.integers(hosts, size=count), np.round(rng.uniform(0.1, 0.6, count), 3)


def _rules(rng: np.random.Generator, guests: _Guests, hosts: Sequence[Host]) -> list[PlacementRule]:
    """Some rules of every kind, none of them broken at the start; more in larger clusters."""
    V, H = guests.host_V.size, len(hosts)
    scale = max(1, V // 300)
    names = [f"vm-{v + 1}" for v in range(V)]
    rules = []
    for i in range(int(rng.integers(4)) * scale):
        v = int(rng.integers(V))
        allowed = sorted({int(guests.host_V[v]), *map(int, rng.integers(H, size=2))})
        listed = tuple(hosts[h].id for h in allowed)
        rules.append(PlacementRule(f"pin-{i + 1}", RuleKind.VM_HOST_AFFINITY, (names[v],), listed))
    for i in range(int(rng.integers(4)) * scale):
        apart = [rng.choice(np.flatnonzero(guests.host_V == h)) for h in rng.permutation(H)[: int(rng.integers(2, 6))]]
        rules.append(PlacementRule(f"anti-{i + 1}", RuleKind.VM_VM_ANTI_AFFINITY, tuple(names[v] for v in apart)))
    for i in range(int(rng.integers(2)) * scale):
        there = np.flatnonzero(guests.host_V == rng.integers(H))
        if there.size > 1:
            pair = tuple(names[v] for v in rng.permutation(there)[:2])
            rules.append(PlacementRule(f"together-{i + 1}", RuleKind.VM_VM_AFFINITY, pair))
    return rules
