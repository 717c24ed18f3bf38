"""Where episodes come from: a generator draws one from a random number generator.

`TraceGenerator` mixes sizes and loads over a part of a trace; `ToyGenerator` always gives the same tiny instance, whose
figures can be checked by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from ..model.cluster import Host, Inventory, Vm, make_cluster, read_only
from ..model.errors import QuellError
from ..world.scenario import PLAIN, Scenario
from ..world.split import TracePart, part
from ..world.synthetic import synthetic_trace
from ..world.workload import DAY_MINUTES, ClusterSpec, Episode, build_episode

Generator = Callable[[np.random.Generator], Episode]
"""Draws an episode; the same state of the random number generator gives the same episode."""

DRAWS = 20  # of sizes and loads, before a part is said to give no cluster
SEEDS = 2**31
SYNTHETIC_SEED = 0


@cache
def synthetic_training_part() -> TracePart:
    """The training part of the default synthetic trace, made once per process."""
    return part(synthetic_trace(SYNTHETIC_SEED), "train")


@dataclass(frozen=True)
class TraceGenerator:
    """Clusters of mixed sizes and loads with demand from a trace. Ranges include both ends and are drawn from evenly.

    Attributes:
        part: VMs and days to draw from.
        hosts: number of hosts, from and to.
        vms_per_host: VMs per host, from and to.
        load: mean CPU utilization of the cluster over the day, from and to.
        has_rules: whether there are placement rules and volume groups.
        scenario: what else there is, or the name of it (see `env.world.scenario`).
    """

    part: TracePart = field(default_factory=synthetic_training_part)
    hosts: tuple[int, int] = (4, 24)
    vms_per_host: tuple[int, int] = (10, 15)
    load: tuple[float, float] = (0.5, 0.75)
    has_rules: bool = True
    scenario: str | Scenario = PLAIN

    def __call__(self, rng: np.random.Generator) -> Episode:
        """Draws an episode; a size, load and day that do not go together are drawn again.

        Raises:
            QuellError: no draw gave a cluster.
        """
        failure: QuellError | None = None
        for _ in range(DRAWS):
            hosts = int(rng.integers(self.hosts[0], self.hosts[1] + 1))
            vms_per_host = int(rng.integers(self.vms_per_host[0], self.vms_per_host[1] + 1))
            spec = ClusterSpec(hosts, vms_per_host, float(rng.uniform(*self.load)), self.has_rules, self.scenario)
            try:
                return build_episode(self.part, spec, int(rng.integers(SEEDS)))
            except QuellError as error:
                failure = error
        raise QuellError(f"none of {DRAWS} draws gave a cluster; the last one: {failure}")


@dataclass(frozen=True)
class ToyGenerator:
    """Two hosts of 10 cores and 64 GiB, and a contention that one obvious move ends, the same every day.

        host-1  vm-1 6.5 cores 32 GiB, vm-2 3 cores 8 GiB     9.5 cores: 1 above the threshold of 8.5
        host-2  vm-3 1.5 cores 8 GiB                          1.5 cores

    Doing nothing costs 1 core-minute a minute, 1440 a day. Moving vm-2 costs 8 GiB and ends it for good; moving vm-1
    does so for 32 GiB.
    """

    def __call__(self, rng: np.random.Generator) -> Episode:
        """The episode; nothing about it is drawn."""
        hosts = (Host("host-1", 10, 64, 4), Host("host-2", 10, 64, 4))
        vms = (Vm("vm-1", 8, 32), Vm("vm-2", 4, 8), Vm("vm-3", 4, 8))
        cpu_V, storage_V = np.array([6.5, 3.0, 1.5]), np.array([0.5, 0.25, 0.25])
        history_minutes = 120
        minutes = history_minutes + DAY_MINUTES
        cpu_VN = np.repeat(cpu_V[:, None], minutes, axis=1)
        storage_VN = np.repeat(storage_V[:, None], minutes, axis=1)
        return Episode(
            cluster=make_cluster(Inventory(hosts, vms), [0, 0, 1], cpu_VN[:, :1], storage_VN[:, :1], name="toy"),
            cpu_VN=read_only(cpu_VN, dtype=np.float32),
            storage_MN=read_only(storage_VN, dtype=np.float32),
            seed=0,
            day_name="toy",
            vm_names=tuple(vm.id for vm in vms),
            history_minutes=history_minutes,
        )
