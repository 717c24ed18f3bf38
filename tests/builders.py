"""Clusters for tests: small ones by hand, so that a test names only what matters, and random ones with every rule.

    build_cluster(2, vms=[vm("a", 0, cpu=50), vm("b", 0, cpu=40)])

is two hosts of 100 cores, 512 GiB and 8 controller cores, called host-0 and host-1, and two VMs on the first of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from quell.env.model.cluster import (
    NOWHERE,
    Cluster,
    Gpu,
    GpuProfile,
    HighAvailability,
    Host,
    HostState,
    Inventory,
    PlacementRule,
    RuleKind,
    Session,
    Settings,
    Vm,
    make_cluster,
)

GPU_GIB = 24.0


@dataclass(frozen=True)
class Item:
    """A VM or session, where it is (host index, -1 for nowhere) and what it demands."""

    vm: Vm | None
    id: str
    host: int
    cpu: float | Sequence[float] = 0.0
    storage: float | Sequence[float] = 0.0
    usage_gib: float = 0.0
    swap_gib: float = 0.0


def vm(
    name: str,
    host: int = 0,
    cpu: float | Sequence[float] = 10.0,
    memory_gib: float = 16.0,
    storage: float | Sequence[float] = 0.5,
    *,
    is_on: bool = True,
    is_ha: bool = True,
    vgpu_gib: float = 0.0,
    usage_gib: float | None = None,
    swap_gib: float = 0.0,
    minimum_gib: float = 0.0,
) -> Item:
    """A VM; overcommitted where `usage_gib` is given, with a vGPU where `vgpu_gib` is."""
    gpu = GpuProfile("A40", vgpu_gib) if vgpu_gib else None
    made = Vm(name, 64, memory_gib, is_on, usage_gib is not None, minimum_gib, gpu, is_ha)
    return Item(made, name, host, cpu, storage, usage_gib or 0.0, swap_gib)


def session(name: str, host: int = 0, storage: float = 0.5) -> Item:
    """A session of a volume group."""
    return Item(None, name, host, storage=storage)


def pinned(*names: str, hosts: Sequence[int]) -> PlacementRule:
    """VM-host affinity."""
    listed = tuple(f"host-{h}" for h in hosts)
    return PlacementRule("pinned-" + "-".join(names), RuleKind.VM_HOST_AFFINITY, names, listed)


def apart(*names: str) -> PlacementRule:
    """VM-VM anti-affinity."""
    return PlacementRule("apart-" + "-".join(names), RuleKind.VM_VM_ANTI_AFFINITY, names)


def together(*names: str) -> PlacementRule:
    """VM-VM affinity."""
    return PlacementRule("together-" + "-".join(names), RuleKind.VM_VM_AFFINITY, names)


def host(name: str, *, gpus: int = 0, state: HostState = HostState.UP, cpu_cores: float = 100.0) -> Host:
    """A host of 100 cores, 512 GiB and 8 controller cores, with GPUs of 24 GiB."""
    cards = tuple(Gpu(f"{name}-gpu-{g}", "A40", GPU_GIB) for g in range(gpus))
    return Host(name, cpu_cores, 512.0, 8.0, cards, state)


def build_cluster(
    hosts: int | Sequence[Host] = 2,
    vms: Sequence[Item] = (),
    *,
    sessions: Sequence[Item] = (),
    rules: Sequence[PlacementRule] = (),
    maintenance: Sequence[int] = (),
    ha_failures: int = 0,
    memory_gib: float | None = None,
    settings: Settings | None = None,
    name: str = "cluster",
) -> Cluster:
    """A cluster.

    Args:
        hosts: the hosts, or how many; then they are host-0, host-1, ...
        vms: made by `vm`.
        sessions: made by `session`.
        rules: made by `pinned`, `apart`, `together`.
        maintenance: indices of hosts in maintenance.
        ha_failures: failures that HA is guaranteed for; 0 for best effort.
        memory_gib: memory of every host, where it is not 512 GiB.
        settings: of the scheduler.
        name: of the cluster.
    """
    listed = [host(f"host-{h}") for h in range(hosts)] if isinstance(hosts, int) else list(hosts)
    listed = [replace(h, memory_gib=memory_gib) if memory_gib else h for h in listed]
    listed = [replace(h, state=HostState.MAINTENANCE) if i in maintenance else h for i, h in enumerate(listed)]
    inventory = Inventory(
        hosts=tuple(listed),
        vms=tuple(item.vm for item in vms if item.vm is not None),
        sessions=tuple(Session(item.id, "group") for item in sessions),
        rules=tuple(rules),
        settings=settings or Settings(),
        high_availability=HighAvailability(ha_failures > 0, max(1, ha_failures)),
    )
    items = [*vms, *sessions]
    return make_cluster(
        inventory,
        np.array([item.host for item in items], dtype=np.int64),
        _samples([item.cpu for item in vms]),
        _samples([item.storage for item in items]),
        name=name,
        memory_usage_V=[item.usage_gib for item in vms],
        memory_swap_V=[item.swap_gib for item in vms],
    )


def _samples(rows: Sequence[float | Sequence[float]]) -> np.ndarray:
    """Samples of different lengths as one array, NaN in front of the shorter ones; shape (N, T)."""
    lists = [[row] if isinstance(row, int | float) else list(row) for row in rows]
    samples = np.full((len(lists), max([len(row) for row in lists], default=1)), np.nan)
    for i, row in enumerate(lists):
        samples[i, samples.shape[1] - len(row) :] = row
    return samples


def random_cluster(
    seed: int, *, hosts: int | None = None, vms_per_host: int | None = None, load: float | None = None
) -> Cluster:
    """A small cluster in which something is contended more often than not, with rules of every kind.

    Args:
        seed: the same seed gives the same cluster.
        hosts: how many, drawn from 2 to 5 where not given.
        vms_per_host: on average, drawn from 2 to 5 where not given.
        load: mean CPU utilization of hosts of 100 cores, drawn from 0.4 to 0.8 where not given.
    """
    rng = np.random.default_rng(seed)
    H = hosts or int(rng.integers(2, 6))
    V = H * (vms_per_host or int(rng.integers(2, 6)))
    load = load or float(rng.uniform(0.4, 0.8))
    made = [host(f"host-{h}", gpus=int(rng.integers(0, 3)), cpu_cores=float(rng.choice([64, 100]))) for h in range(H)]
    vms = [_random_vm(rng, v, H, load * 100 * H / V) for v in range(V)]
    vms = _packed(vms, made)
    sessions = [session(f"session-{s}", int(rng.integers(H)), float(rng.uniform(0, 2))) for s in range(rng.integers(3))]
    maintenance = [int(rng.integers(H))] if rng.random() < 0.2 and H > 2 else []
    rules = _random_rules(rng, [item.id for item in vms], [item.host for item in vms], H)
    memory_gib = float(rng.choice([96.0, 160.0, 512.0]))
    ha_failures = int(rng.choice([0, 0, 1, 2])) if memory_gib > 100 else 0
    return build_cluster(
        made,
        vms,
        sessions=sessions,
        rules=rules,
        maintenance=maintenance,
        ha_failures=ha_failures,
        memory_gib=memory_gib,
        name=f"random-{seed}",
    )


def clumped_cluster(seed: int, *, ha_failures: int | None = None) -> Cluster:
    """A small cluster of 3 to 5 hosts in which VMs of affinity rules share hosts, most of them fit to move as one.

    Args:
        seed: the same seed gives the same cluster.
        ha_failures: failures that HA is guaranteed for; drawn from none and one where not given.
    """
    rng = np.random.default_rng(seed)
    H, failures = int(rng.integers(3, 6)), int(rng.integers(2)) if ha_failures is None else ha_failures
    vms: list[Item] = []
    rules: list[PlacementRule] = []
    for n in range(int(rng.integers(1, 4))):
        home, names = int(rng.integers(H)), [f"clump-{n}-{i}" for i in range(int(rng.integers(2, 5)))]
        vms += [_clumped_vm(rng, name, home, is_odd=n > 0 and rng.random() < 0.1) for name in names]
        rules.append(together(*rng.permutation(names).tolist()))
    others = int(rng.integers(H, 4 * H))
    mean_cores = max(1.0, (float(rng.uniform(0.5, 0.8)) * 100 * H - 10 * len(vms)) / others)
    vms += [_random_vm(rng, v, H, mean_cores) for v in range(others)]
    vms = [vms[i] for i in rng.permutation(len(vms))]
    plain = [replace(item, vm=replace(item.vm, gpu=None)) if item.vm is not None else item for item in vms]
    if rng.random() < 0.5:
        rules.append(
            apart(*rng.choice([item.id for item in plain if item.id[0] == "v"], 2, replace=False).tolist(), "clump-0-0")
        )
    sessions = [session("session-0", int(rng.integers(H)))]
    memory_gib = float(rng.choice([96.0, 160.0, 256.0]))
    return build_cluster(H, plain, sessions=sessions, rules=rules, ha_failures=failures, memory_gib=memory_gib)


def _clumped_vm(rng: np.random.Generator, name: str, home: int, *, is_odd: bool) -> Item:
    """A VM like the others of its clump, or one that HA does not restart."""
    cpu, storage = round(float(rng.gamma(2.0, 5.0)), 1), round(float(rng.gamma(2.0, 0.4)), 2)
    return vm(name, home, cpu, float(rng.choice([4, 8, 16])), storage, is_ha=not is_odd)


def _random_vm(rng: np.random.Generator, v: int, hosts: int, mean_cores: float) -> Item:
    """A VM of any kind; round numbers, so that some cost the same and some just fit."""
    usage_gib, swap_gib, memory_gib = None, 0.0, float(rng.choice([4, 8, 16, 32]))
    if rng.random() < 0.25:
        usage_gib, swap_gib = round(rng.uniform(0.3, 1) * memory_gib, 1), float(rng.choice([0, 0, 1, 4]))
    return vm(
        f"vm-{v}",
        NOWHERE if rng.random() < 0.03 else int(rng.integers(hosts)),
        round(float(rng.gamma(2.0, mean_cores / 2)), 1),
        memory_gib,
        round(float(rng.gamma(2.0, 0.5)), 2),
        is_on=bool(rng.random() < 0.93),
        is_ha=bool(rng.random() < 0.8),
        vgpu_gib=float(rng.choice([8, 12, 24])) if rng.random() < 0.15 else 0.0,
        usage_gib=usage_gib,
        swap_gib=swap_gib,
    )


def _packed(vms: Sequence[Item], hosts: Sequence[Host]) -> list[Item]:
    """The VMs with a vGPU only where their host has a GPU of its own for each."""
    free = [len(h.gpus) for h in hosts]
    packed = []
    for item in vms:
        has_vgpu = item.vm is not None and item.vm.gpu is not None
        if has_vgpu and item.vm is not None and (item.host == NOWHERE or free[item.host] == 0):
            item = replace(item, vm=replace(item.vm, gpu=None))
        elif has_vgpu:
            free[item.host] -= 1
        packed.append(item)
    return packed


def _random_rules(rng: np.random.Generator, names: list[str], homes: list[int], hosts: int) -> list[PlacementRule]:
    """Some rules of every kind; VMs of an affinity rule mostly share a host."""
    rules: list[PlacementRule] = []
    for _ in range(rng.integers(3)):
        v = int(rng.integers(len(names)))
        allowed = {int(h) for h in rng.integers(hosts, size=2)} | ({homes[v]} - {NOWHERE})
        rules.append(replace(pinned(names[v], hosts=sorted(allowed)), id=f"rule-{len(rules)}"))
    for _ in range(rng.integers(3)):
        members = rng.choice(names, size=min(len(names), int(rng.integers(2, 4))), replace=False)
        rules.append(replace(apart(*map(str, members)), id=f"rule-{len(rules)}"))
    for _ in range(rng.integers(2)):
        first = int(rng.integers(len(names)))
        others = [n for n, h in zip(names, homes, strict=True) if h == homes[first] and n != names[first]]
        if others:
            rules.append(replace(together(names[first], others[0]), id=f"rule-{len(rules)}"))
    return rules


@st.composite
def clusters(draw: st.DrawFn, max_hosts: int = 5, max_vms_per_host: int = 5) -> Cluster:
    """Random clusters for hypothesis: it draws the sizes, the seed does the rest."""
    sizes = draw(st.integers(2, max_hosts)), draw(st.integers(2, max_vms_per_host))
    return random_cluster(draw(st.integers(0, 2**32 - 1)), hosts=sizes[0], vms_per_host=sizes[1])
