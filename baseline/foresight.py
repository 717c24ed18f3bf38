"""What a move is worth when the demand to come is known: the cost it avoids, less the cost it makes.

One function serves the clairvoyant planner and the teacher of the learned one. Shapes besides those of the model:

    J  the resources that can fall short: CPU, STORAGE and, where memory is overcommitted, MEMORY
    B  blocks of `BLOCK_MINUTES` to come
    N  candidate moves

Memory that is needed above what a host has is swapped out and costs 1 a GiB and minute, once; CPU and storage demand
costs 1 a core and minute above the threshold, and 1 more above what the host offers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..env.model.clumps import Clumps
from ..env.model.cluster import CPU, MEMORY, NOWHERE, STORAGE, Array, IntArray
from ..env.model.state import State
from ..env.world.events import EventKind
from ..env.world.workload import Episode

BLOCK_MINUTES = 5  # traces have 5-minute samples
DEMAND_RESOURCES = [CPU, STORAGE]


@dataclass(frozen=True, eq=False)
class Foresight:
    """True demand of the coming blocks, and where it falls.

    Attributes:
        demand_MJB: mean demand of each movable, cores; its hold on memory, GiB; shape (M, J, B).
        used_HJB: the same on each host; shape (H, J, B).
        threshold_HJ: cores above which a host is overloaded, its memory in GiB; shape (H, J).
        capacity_HJ: cores above which demand goes unserved; infinite for memory, which is swapped; shape (H, J).
        minutes_B: minutes that each block stands for; shape (B,).
        host_of_M: where everything is, -1 for nowhere; shape (M,).
    """

    demand_MJB: Array
    used_HJB: Array
    threshold_HJ: Array
    capacity_HJ: Array
    minutes_B: Array
    host_of_M: IntArray

    def cost(self, used_NJB: Array, hosts_N: IntArray) -> Array:
        """Overload, unserved demand and swap over all blocks of hosts with such a load, core-minutes; shape (N,)."""
        over = np.maximum(used_NJB - self.threshold_HJ[hosts_N][..., None], 0.0)
        unserved = np.maximum(used_NJB - self.capacity_HJ[hosts_N][..., None], 0.0)
        return np.asarray((over + unserved).sum(axis=1) @ self.minutes_B)

    def host_cost_H(self) -> Array:
        """Cost of every host if nothing moves, core-minutes; shape (H,)."""
        return self.cost(self.used_HJB, np.arange(len(self.used_HJB)))

    def relief(self, movables_N: IntArray, targets_N: IntArray) -> Array:
        """Core-minutes of cost each single move avoids; negative where it adds; shape (N,).

        Args:
            movables_N: what moves; all of them stand on a host.
            targets_N: where to.
        """
        sources_N = self.host_of_M[movables_N]
        cost_H = self.host_cost_H()
        demand_NJB = self.demand_MJB[movables_N]
        without_N = self.cost(self.used_HJB[sources_N] - demand_NJB, sources_N)
        with_N = self.cost(self.used_HJB[targets_N] + demand_NJB, targets_N)
        return np.asarray(cost_H[sources_N] + cost_H[targets_N] - without_N - with_N)

    def gathered(self, clumps: Clumps) -> Foresight:
        """The same with the demand of each clump on its lead."""
        return replace(self, demand_MJB=clumps.gathered(self.demand_MJB)) if clumps.vms_of else self

    def moved(self, m: int, target: int) -> Foresight:
        """The same hours with one movable elsewhere."""
        used_HJB, host_of_M = self.used_HJB.copy(), self.host_of_M.copy()
        used_HJB[host_of_M[m]] -= self.demand_MJB[m]
        used_HJB[target] += self.demand_MJB[m]
        host_of_M[m] = target
        return replace(self, used_HJB=used_HJB, host_of_M=host_of_M)


def foresee(episode: Episode, minute: int, state: State, horizon_minutes: int) -> Foresight:
    """The true demand of an episode from a minute of the day on, at most to its end.

    Who is on is what the state says: what has left or is yet to come demands nothing. That VMs leave is foreseen, that
    others come or hosts fail is not.

    Args:
        episode: the day.
        minute: 0 to 1439.
        state: the cluster in this minute: who is on, and where; what is nowhere loads no host.
        horizon_minutes: how far to see; what is left of the day bounds it.
    """
    inventory = state.inventory
    first = episode.history_minutes + minute
    window = slice(first, first + min(horizon_minutes, episode.day_minutes - minute))
    blocks = max(1, (window.stop - window.start) // BLOCK_MINUTES)
    is_shared = bool(inventory.is_overcommit_V.any())
    resources = [*DEMAND_RESOURCES, MEMORY] if is_shared else DEMAND_RESOURCES
    demand_MJB = np.zeros((inventory.movable_count, len(resources), blocks))
    demand_MJB[: inventory.vm_count, 0] = _block_means(episode.cpu_VN[:, window], blocks)
    demand_MJB[:, 1] = _block_means(episode.storage_MN[:, window], blocks)
    if is_shared:
        demand_MJB[: inventory.vm_count, 2] = _held_memory(episode, state, window, blocks)
    demand_MJB[~inventory.is_on_M] = 0.0
    return foresight_of(state, demand_MJB, np.full(blocks, float(BLOCK_MINUTES)))


def foresight_of(state: State, demand_MJB: Array, minutes_B: Array) -> Foresight:
    """Demand to come on the hosts where everything now is.

    Args:
        state: the cluster: what is nowhere loads no host.
        demand_MJB: CPU and storage demand, cores, and, where J is 3, hold on memory, GiB; shape (M, J, B).
        minutes_B: minutes that each block stands for; shape (B,).
    """
    inventory = state.inventory
    resources = [*DEMAND_RESOURCES, MEMORY][: demand_MJB.shape[1]]
    used_HJB = np.zeros((inventory.host_count, *demand_MJB.shape[1:]))
    placed = np.flatnonzero(state.host_of_M != NOWHERE)
    np.add.at(used_HJB, state.host_of_M[placed], demand_MJB[placed])
    capacity_HR, settings = inventory.capacity_HR, inventory.settings
    share_R = np.array([settings.cpu_threshold, 1.0, settings.storage_cpu_threshold])
    ends_R = np.array([1.0, np.inf, 1.0])  # more than a host's memory is swapped, and so is counted once
    threshold_HJ, capacity_HJ = (capacity_HR * share_R)[:, resources], (capacity_HR * ends_R)[:, resources]
    return Foresight(demand_MJB, used_HJB, threshold_HJ, capacity_HJ, minutes_B, state.host_of_M)


def _held_memory(episode: Episode, state: State, window: slice, blocks: int) -> Array:
    """Memory that each VM holds: its minimum or what it needs, all of it where not overcommitted; GiB; shape (V, B)."""
    V, is_overcommit_V = state.inventory.vm_count, state.inventory.is_overcommit_V
    held_VB = np.repeat(state.demand_MR[:V, MEMORY, None], blocks, axis=1)
    if episode.memory_VN is not None:
        held_VB[is_overcommit_V] = _block_means(episode.memory_VN[is_overcommit_V, window], blocks)
    held_VB = np.maximum(held_VB, state.inventory.memory_minimum_V[:, None])
    for event in episode.events:
        leaves_in = episode.history_minutes + event.minute - window.start
        if event.kind is EventKind.DEPARTURE and leaves_in >= 0:
            held_VB[event.subject, leaves_in // BLOCK_MINUTES :] = 0.0
    return held_VB


def _block_means(demand_XN: np.ndarray, blocks: int) -> np.ndarray:
    """Means over blocks of minutes; shape (X, B). Fewer minutes than a block make one block."""
    if demand_XN.shape[1] < BLOCK_MINUTES:
        return demand_XN.mean(axis=1, keepdims=True, dtype=np.float64)
    whole_XN = demand_XN[:, : blocks * BLOCK_MINUTES]
    return whole_XN.reshape(len(demand_XN), blocks, BLOCK_MINUTES).mean(axis=2, dtype=np.float64)
