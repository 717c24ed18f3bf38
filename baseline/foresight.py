"""What a move is worth when the demand to come is known: the cost it avoids, less the cost it makes.

One function serves the clairvoyant planner and the teacher of the learned one. Shapes besides those of the model:

    J  the resources whose demand moves: CPU, STORAGE
    B  blocks of `BLOCK_MINUTES` to come
    N  candidate moves
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..env.model.cluster import CPU, NOWHERE, STORAGE, Array, IntArray, read_only
from ..env.world.workload import Episode

BLOCK_MINUTES = 5  # traces have 5-minute samples
DEMAND_RESOURCES = [CPU, STORAGE]


@dataclass(frozen=True, eq=False)
class Foresight:
    """True demand of the coming blocks, and where it falls.

    Attributes:
        demand_MJB: mean demand of each movable, cores; shape (M, J, B).
        used_HJB: the same on each host; shape (H, J, B).
        threshold_HJ: cores above which a host is overloaded; shape (H, J).
        capacity_HJ: cores above which demand goes unserved; shape (H, J).
        host_of_M: where everything is; shape (M,).
    """

    demand_MJB: Array
    used_HJB: Array
    threshold_HJ: Array
    capacity_HJ: Array
    host_of_M: IntArray

    def cost(self, used_NJB: Array, hosts_N: IntArray) -> Array:
        """Overload and unserved demand over all blocks of hosts with such a load, core-minutes; shape (N,)."""
        over = np.maximum(used_NJB - self.threshold_HJ[hosts_N][..., None], 0.0)
        unserved = np.maximum(used_NJB - self.capacity_HJ[hosts_N][..., None], 0.0)
        return np.asarray(BLOCK_MINUTES * (over.sum(axis=(1, 2)) + unserved.sum(axis=(1, 2))))

    def host_cost_H(self) -> Array:
        """Cost of every host if nothing moves, core-minutes; shape (H,)."""
        return self.cost(self.used_HJB, np.arange(len(self.used_HJB)))

    def relief(self, movables_N: IntArray, targets_N: IntArray) -> Array:
        """Core-minutes of overload and unserved demand each single move avoids; negative where it adds; shape (N,)."""
        sources_N = self.host_of_M[movables_N]
        cost_H = self.host_cost_H()
        demand_NJB = self.demand_MJB[movables_N]
        without_N = self.cost(self.used_HJB[sources_N] - demand_NJB, sources_N)
        with_N = self.cost(self.used_HJB[targets_N] + demand_NJB, targets_N)
        return np.asarray(cost_H[sources_N] + cost_H[targets_N] - without_N - with_N)

    def moved(self, m: int, target: int) -> Foresight:
        """The same hours with one movable elsewhere."""
        used_HJB, host_of_M = self.used_HJB.copy(), self.host_of_M.copy()
        used_HJB[host_of_M[m]] -= self.demand_MJB[m]
        used_HJB[target] += self.demand_MJB[m]
        host_of_M[m] = target
        return replace(self, used_HJB=used_HJB, host_of_M=host_of_M)


def foresee(episode: Episode, minute: int, host_of_M: IntArray, horizon_minutes: int) -> Foresight:
    """The true demand of an episode from a minute of the day on, at most to its end.

    Args:
        episode: the day.
        minute: 0 to 1439.
        host_of_M: where everything is; shape (M,).
        horizon_minutes: how far to see; what is left of the day bounds it.
    """
    inventory = episode.cluster.inventory
    V, M, H = inventory.vm_count, inventory.movable_count, inventory.host_count
    first = episode.history_minutes + minute
    window = slice(first, first + min(horizon_minutes, episode.day_minutes - minute))
    blocks = max(1, (window.stop - window.start) // BLOCK_MINUTES)
    demand_MJB = np.zeros((M, len(DEMAND_RESOURCES), blocks))
    demand_MJB[:V, 0] = _block_means(episode.cpu_VN[:, window], blocks)
    demand_MJB[:, 1] = _block_means(episode.storage_MN[:, window], blocks)
    demand_MJB[~inventory.is_on_M] = 0.0
    used_HJB = np.zeros((H, len(DEMAND_RESOURCES), blocks))
    placed = np.flatnonzero(host_of_M != NOWHERE)
    np.add.at(used_HJB, host_of_M[placed], demand_MJB[placed])
    capacity_HJ = inventory.capacity_HR[:, DEMAND_RESOURCES]
    settings = inventory.settings
    threshold_HJ = capacity_HJ * np.array([settings.cpu_threshold, settings.storage_cpu_threshold])
    return Foresight(demand_MJB, used_HJB, threshold_HJ, capacity_HJ, read_only(host_of_M, dtype=np.int64))


def _block_means(demand_XN: np.ndarray, blocks: int) -> np.ndarray:
    """Means over blocks of minutes; shape (X, B). Fewer minutes than a block make one block."""
    if demand_XN.shape[1] < BLOCK_MINUTES:
        return demand_XN.mean(axis=1, keepdims=True, dtype=np.float64)
    whole_XN = demand_XN[:, : blocks * BLOCK_MINUTES]
    return whole_XN.reshape(len(demand_XN), blocks, BLOCK_MINUTES).mean(axis=2, dtype=np.float64)
