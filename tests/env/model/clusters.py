"""Clusters for the tests of the model: small ones by hand, and random ones with every kind of rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from quell.env.model.cluster import Cluster
from quell.env.model.snapshot import parse_snapshot

T = TypeVar("T")
Entry = Mapping[str, Any]

HOST: dict[str, Any] = {"cpu_cores": 100, "memory_gib": 100, "storage_cpu_cores": 10}
VM: dict[str, Any] = {"vcpus": 8, "memory_gib": 10, "cpu_demand_cores": 10, "storage_cpu_demand_cores": 1}
SESSION: dict[str, Any] = {"storage_cpu_demand_cores": 1}


def small_cluster(
    hosts: Mapping[str, Entry],
    vms: Mapping[str, Entry],
    sessions: Mapping[str, Entry] | None = None,
    policies: Sequence[Entry] = (),
    *,
    ha: int | None = None,
    settings: Entry | None = None,
) -> Cluster:
    """A cluster from the entries of a snapshot by their ids, so that a test names only what matters.

    Args:
        hosts: what differs from 100 cores, 100 GiB and 10 controller cores.
        vms: `host`, and what differs from 10 cores, 10 GiB and 1 controller core.
        sessions: `controller`, and what differs from 1 controller core.
        policies: their ids are p0, p1, ...
        ha: host failures to survive; None for best effort.
        settings: what differs from the defaults.
    """
    document: dict[str, Any] = {
        "format": "quell.cluster/1",
        "name": "small",
        "time": "2026-01-01T12:00:00Z",
        "hosts": [{"id": name, **HOST, **entry} for name, entry in hosts.items()],
        "vms": [{"id": name, **VM, **entry} for name, entry in vms.items()],
        "policies": [{"id": f"p{i}"} | dict(policy) for i, policy in enumerate(policies)],
        "settings": settings or {},
    }
    if sessions:
        entries = [{"id": name, **SESSION, **entry} for name, entry in sessions.items()]
        document["volume_groups"] = [{"id": "vg", "sessions": entries}]
    if ha is not None:
        document["high_availability"] = {"mode": "guaranteed", "host_failures": ha}
    return parse_snapshot(document)


@st.composite
def random_clusters(draw: st.DrawFn, max_hosts: int = 4, max_vms: int = 8) -> Cluster:
    """Small clusters with little to spare, as odd as the contract allows; numbers by seed, sizes by hypothesis."""
    dice = Dice(np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    hosts = {f"host-{h}": dice.host() for h in range(draw(st.integers(1, max_hosts)))}
    vms = {f"vm-{v}": dice.vm([*hosts]) for v in range(draw(st.integers(0, max_vms)))}
    sessions = {
        f"session-{s}": {"controller": dice.pick(*hosts), "storage_cpu_demand_cores": dice.samples(4)}
        for s in range(dice.pick(0, 1, 2))
    }
    settings = dice.pick({}, {"cpu_threshold": 0.5, "trend_window_seconds": 300})
    policies = dice.policies([*hosts], [*vms]) if vms else []
    return small_cluster(hosts, vms, sessions, policies, ha=dice.pick(None, None, 1, 2), settings=settings)


class Dice:
    """Random entries of a snapshot."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def pick(self, *choices: T) -> T:
        """One of the choices."""
        return choices[int(self.rng.integers(len(choices)))]

    def some(self, choices: list[str], most: int) -> list[str]:
        """One to `most` different choices."""
        count = min(len(choices), int(self.rng.integers(1, most + 1)))
        return [str(choice) for choice in self.rng.choice(choices, size=count, replace=False)]

    def number(self, most: float) -> float:
        """A number from 0 to `most`."""
        return round(float(self.rng.uniform(0, most)), 3)

    def samples(self, most: float) -> float | list[float]:
        """A lone number or a list of samples."""
        count = self.pick(0, 0, 1, 3, 12)
        return [self.number(most) for _ in range(count)] if count else self.number(most)

    def host(self) -> Entry:
        """A host, now and then in maintenance, down or with GPUs."""
        gpus = [
            {"id": f"gpu-{g}", "model": self.pick("A", "B"), "memory_gib": self.pick(24, 48)}
            for g in range(self.pick(0, 0, 1, 2))
        ]
        state = self.pick("up", "up", "up", "up", "maintenance", "down")
        return {"cpu_cores": self.pick(50, 100), "memory_gib": self.pick(60, 100), "gpus": gpus, "state": state}

    def vm(self, hosts: list[str]) -> Entry:
        """A VM of any kind."""
        vm: dict[str, Any] = {
            "host": self.pick(*hosts, *hosts, None),
            "memory_gib": self.pick(5, 10, 20, 40),
            "cpu_demand_cores": self.samples(40),
            "storage_cpu_demand_cores": self.samples(4),
            "power": self.pick("on", "on", "on", "off"),
            "ha": self.pick(True, True, False),
        }
        if self.pick(True, False, False):
            vm |= {"overcommit": True, "memory_usage_gib": self.number(30), "memory_swap_gib": self.pick(0, 0, 3.5, 10)}
            vm["memory_minimum_gib"] = self.pick(0, 2, 5)
        if self.pick(True, False, False):
            vm["gpu"] = {"model": self.pick("A", "B"), "memory_gib": self.pick(12, 24)}
        return vm

    def policies(self, hosts: list[str], vms: list[str]) -> list[Entry]:
        """Up to two placement rules of each kind."""
        found: list[Entry] = []
        for kind in ("vm-host-affinity", "vm-vm-anti-affinity", "vm-vm-affinity"):
            for _ in range(self.pick(0, 0, 1, 2)):
                policy: dict[str, Any] = {"kind": kind, "vms": self.some(vms, 3)}
                if kind == "vm-host-affinity":
                    policy["hosts"] = self.some(hosts, 2)
                found.append(policy)
        return found
