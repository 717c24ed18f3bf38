"""Random clusters for the properties of the Gymnasium face: small, and as odd as the contract allows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quell.env.model.cluster import (
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
    Vm,
    make_cluster,
)

GPU_SIZES = (8.0, 16.0)


def random_hosts(rng: np.random.Generator) -> tuple[Host, ...]:
    """One to six hosts; some in maintenance or down, some with GPUs."""
    states = rng.choice(
        [HostState.UP, HostState.MAINTENANCE, HostState.DOWN], size=int(rng.integers(1, 7)), p=[0.84, 0.1, 0.06]
    )
    cores, memory = rng.choice([16.0, 32.0], size=2), rng.choice([64.0, 128.0], size=2)
    return tuple(
        Host(
            f"host-{h}",
            cores[h % 2],
            memory[h % 2],
            4.0,
            gpus=tuple(Gpu(f"gpu-{g}", "A", 32.0) for g in range(int(rng.integers(0, 3))))
            if rng.random() < 0.3
            else (),
            state=HostState(state),
        )
        for h, state in enumerate(states)
    )


def random_vms(rng: np.random.Generator, count: int, has_gpus: bool) -> tuple[Vm, ...]:
    """VMs of many sizes; some off, some with a vGPU, some overcommitted, some not restarted after a failure."""
    overcommit_share = rng.choice([0.0, 0.5])
    return tuple(
        Vm(
            f"vm-{v}",
            vcpus=8.0,
            memory_gib=float(rng.choice([0.5, 2.0, 4.0, 8.0, 16.0, 32.0])),
            is_on=bool(rng.random() < 0.9),
            gpu=GpuProfile("A", float(rng.choice(GPU_SIZES))) if has_gpus and rng.random() < 0.2 else None,
            is_ha=bool(rng.random() < 0.8),
            is_overcommit=bool(rng.random() < overcommit_share),
        )
        for v in range(count)
    )


def random_rules(rng: np.random.Generator, hosts: tuple[Host, ...], vms: tuple[Vm, ...]) -> tuple[PlacementRule, ...]:
    """Rules of all three kinds; a VM may be in several."""
    rules = []
    for i in range(int(rng.integers(0, 5)) if len(vms) >= 3 else 0):
        kind = rng.choice([RuleKind.VM_HOST_AFFINITY, RuleKind.VM_VM_ANTI_AFFINITY, RuleKind.VM_VM_AFFINITY])
        members = rng.choice(len(vms), size=int(rng.integers(2, 4)), replace=False)
        allowed = rng.choice(len(hosts), size=int(rng.integers(1, len(hosts) + 1)), replace=False)
        names = tuple(hosts[h].id for h in allowed) if kind == RuleKind.VM_HOST_AFFINITY else ()
        rules.append(PlacementRule(f"rule-{i}", RuleKind(kind), tuple(vms[v].id for v in members), names))
    return tuple(rules)


def build_random_cluster(seed: int) -> Cluster:
    """A cluster drawn from a seed: placed at random, so that rules may be broken and hosts overfull from the start."""
    rng = np.random.default_rng(seed)
    hosts = random_hosts(rng)
    vms = random_vms(rng, int(rng.integers(0, 5 * len(hosts))), has_gpus=rng.random() < 0.3)
    sessions = tuple(
        Session(f"session-{s}", "group", is_on=bool(rng.random() < 0.8)) for s in range(int(rng.integers(0, 4)))
    )
    ha = HighAvailability(is_guaranteed=bool(rng.random() < 0.5), host_failures=int(rng.integers(1, 3)))
    inventory = Inventory(hosts, vms, sessions, random_rules(rng, hosts, vms), high_availability=ha)
    M, minutes = len(vms) + len(sessions), int(rng.choice([1, 7, 60, 120]))
    heat = rng.choice([0.0, 0.7, 1.2, 2.0])
    cpu_VT = rng.exponential(3.0, size=(len(vms), 1)) * heat * rng.uniform(0.5, 1.5, size=(len(vms), minutes))
    storage_MT = rng.exponential(0.6, size=(M, 1)) * heat * rng.uniform(0.5, 1.5, size=(M, minutes))
    if minutes > 1 and len(vms) and rng.random() < 0.3:
        cpu_VT[rng.integers(len(vms)), : int(rng.integers(1, minutes + 1))] = (
            np.nan
        )  # a VM that is new, or has no sample yet
    host_of_M = rng.integers(-1 if rng.random() < 0.3 else 0, len(hosts), size=M)
    need_V = inventory.memory_configured_V * rng.uniform(0.2, 1.0, size=len(vms))
    swap_V = need_V * rng.choice([0.0, 0.3], size=len(vms))
    memory = {"memory_usage_V": need_V - swap_V, "memory_swap_V": swap_V}
    return make_cluster(inventory, host_of_M, cpu_VT, storage_MT, **memory)


@pytest.fixture(scope="session")
def random_cluster() -> Callable[[int], Cluster]:
    """`random_cluster(seed)`."""
    return build_random_cluster
