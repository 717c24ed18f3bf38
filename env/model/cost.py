"""Migration cost (GiB to copy) and node score: the two numbers by which plans are ranked."""

from __future__ import annotations

import numpy as np

from .cluster import CPU, MEMORY, Array
from .state import State


def migration_cost_M(state: State) -> Array:
    """GiB to copy for each movable: memory need + vGPU memory; of a session the setting; shape (M,)."""
    inventory = state.inventory
    V = inventory.vm_count
    cost_M = np.full(inventory.movable_count, inventory.settings.session_move_cost_gib)
    cost_M[:V] = state.demand_MR[:V, MEMORY] + inventory.gpu_memory_M[:V]
    return cost_M


def node_score_H(state: State) -> Array:
    """Mean of CPU, memory and, where a host has GPUs, GPU memory utilization; lower is better; shape (H,)."""
    gpu_memory_H = state.inventory.gpu_memory_H
    utilization_HR = state.utilization_HR
    total_H = utilization_HR[:, CPU] + utilization_HR[:, MEMORY]
    if not gpu_memory_H.any():
        return np.asarray(total_H / 2)
    has_gpu_H = gpu_memory_H > 0
    gpu_H = np.divide(state.gpu_used_H(), gpu_memory_H, out=np.zeros_like(gpu_memory_H), where=has_gpu_H)
    return np.asarray((total_H + gpu_H) / (2 + has_gpu_H))
