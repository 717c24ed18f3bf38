"""The state planners plan on: one number of demand per movable and resource, and who is where.

A `State` is made once per round from a `Cluster` and an estimator, and once more after every move of a plan: `moved`
gives a new state and leaves the old one as it was, so that a plan can be replayed and a search can step back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .cluster import CPU, MEMORY, NOWHERE, RESOURCES, STORAGE, Array, Cluster, IntArray, Inventory, read_only
from .demand import Estimator, trend_estimate


@dataclass(frozen=True, eq=False)
class State:
    """Estimated demand and placement.

    Attributes:
        inventory: what there is.
        demand_MR: estimated demand of each movable: cores, GiB, controller cores; 0 for VMs that are off; shape (M, R).
        swap_V: memory swapped out by the host, GiB; 0 where not overcommitted or off; shape (V,).
        host_of_M: host index of each movable, -1 where it is not placed; shape (M,).
        used_HR: sum of the demand on each host; shape (H, R).
        members_HA: VMs of each anti-affinity rule on each host, be they on or off; shape (H, A).
    """

    inventory: Inventory
    demand_MR: Array
    swap_V: Array
    host_of_M: IntArray
    used_HR: Array
    members_HA: IntArray

    @property
    def utilization_HR(self) -> Array:
        """Utilization of each host, >= 0; above 1 where demand exceeds capacity; shape (H, R)."""
        return self.used_HR / self.inventory.capacity_HR

    def gpu_used_H(self) -> Array:
        """vGPU memory in use on each host, GiB; shape (H,)."""
        gpus = self.inventory.gpu_movables
        gpus = gpus[(self.host_of_M[gpus] != NOWHERE) & self.inventory.is_on_M[gpus]]
        used_gib_H = np.zeros(self.inventory.host_count)
        np.add.at(used_gib_H, self.host_of_M[gpus], self.inventory.gpu_memory_M[gpus])
        return used_gib_H

    def moved(self, m: int, target: int) -> State:
        """The state after movable m has moved to host `target` (or has been placed there)."""
        host_of_M, used_HR, members_HA = self.host_of_M.copy(), self.used_HR.copy(), self.members_HA.copy()
        source = host_of_M[m]
        if source != NOWHERE:
            used_HR[source] -= self.demand_MR[m]
            members_HA[source] -= self.inventory.is_anti_MA[m]
        used_HR[target] += self.demand_MR[m]
        members_HA[target] += self.inventory.is_anti_MA[m]
        host_of_M[m] = target
        return replace(self, host_of_M=host_of_M, used_HR=used_HR, members_HA=members_HA)


def state_of(cluster: Cluster, estimate: Estimator = trend_estimate) -> State:
    """The state of a cluster by an estimator of demand (default: the trend window's median)."""
    inventory = cluster.inventory
    # Rounded up: half of a shorter window could be less than the one sample that a spike of a minute fills.
    window_minutes = math.ceil(inventory.settings.trend_window_seconds / 60)
    demand_MR = np.zeros((inventory.movable_count, RESOURCES))
    demand_MR[: inventory.vm_count, CPU] = estimate(cluster.cpu_samples_VT, window_minutes)
    demand_MR[: inventory.vm_count, MEMORY] = cluster.memory_need_V
    demand_MR[:, STORAGE] = estimate(cluster.storage_samples_MT, window_minutes)
    return state_from_demand(inventory, demand_MR, cluster.host_of_M, swap_V=cluster.memory_swap_V)


def state_from_demand(
    inventory: Inventory, demand_MR: Array, host_of_M: IntArray, *, swap_V: Array | None = None
) -> State:
    """The state for a given demand, shape (M, R); demand of VMs that are off is set to 0."""
    V = inventory.vm_count
    demand_MR = np.where(inventory.is_on_M[:, None], demand_MR, 0.0)
    swap_V = np.zeros(V) if swap_V is None else np.where(inventory.is_on_M[:V], swap_V, 0.0)
    placed = np.flatnonzero(host_of_M != NOWHERE)
    used_HR = np.zeros((inventory.host_count, RESOURCES))
    np.add.at(used_HR, host_of_M[placed], demand_MR[placed])
    members_HA = np.zeros((inventory.host_count, inventory.is_anti_MA.shape[1]), dtype=np.int64)
    np.add.at(members_HA, host_of_M[placed], inventory.is_anti_MA[placed].astype(np.int64))
    return State(
        inventory=inventory,
        demand_MR=read_only(demand_MR),
        swap_V=read_only(swap_V),
        host_of_M=read_only(host_of_M, dtype=np.int64),
        used_HR=read_only(used_HR),
        members_HA=read_only(members_HA, dtype=np.int64),
    )
