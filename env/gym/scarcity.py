"""What can be scarce besides CPU and storage: memory that is overcommitted or kept free for restarts, GPUs.

All are shares of what a host or the cluster has, 0 where there is nothing of the kind, and worked out only there, so
that a plain cluster does not pay for them. Shapes as in `features.py`.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import MEMORY, NOWHERE, Array, IntArray
from ..model.state import State
from .headroom import headroom_gib_H
from .schema import SCARCITY_OF_MOVES
from .view import PlanView


def scarcity_of_moves(view: PlanView, movable_N: IntArray, source_N: IntArray, target_N: IntArray) -> Array:
    """The features named in `SCARCITY_OF_MOVES`; shape (N, 7)."""
    inventory, state = view.round.inventory, view.state
    columns_N7 = np.zeros((len(movable_N), len(SCARCITY_OF_MOVES)))
    if view.round.is_overcommit_M.any():
        columns_N7[:, 0] = view.round.is_overcommit_M[movable_N]
        columns_N7[:, 2:4] = _swap_sides(view, movable_N, source_N).T
    if inventory.gpu_movables.size:
        columns_N7[:, 1] = inventory.gpu_memory_M[movable_N] > 0
        gpu_share_H = _gpu_share_H(state)
        columns_N7[:, 4], columns_N7[:, 5] = gpu_share_H[source_N], gpu_share_H[target_N]
    if view.slack is not None:
        left_gib_N = headroom_gib_H(view.slack)[target_N] - state.demand_MR[movable_N, MEMORY]
        columns_N7[:, 6] = _bounded_share(left_gib_N, inventory.capacity_HR[target_N, MEMORY])
    return columns_N7


def scarcity_of_cluster(view: PlanView) -> Array:
    """The features named in `SCARCITY_OF_CLUSTER`; shape (5,)."""
    fixed, inventory = view.round, view.round.inventory
    swap_share = 0.0
    if fixed.is_overcommit_M.any():
        swap_share = float(swapped_gib_H(view).sum() / inventory.capacity_HR[:, MEMORY].sum())
    running = int(np.count_nonzero(inventory.is_on_M[: inventory.vm_count]))
    return np.array(
        [
            swap_share,
            1.0 - np.count_nonzero(inventory.is_up_H) / inventory.host_count,
            fixed.waiting_count / max(1, running),
            float(inventory.high_availability.is_guaranteed),
            _least_headroom(view),
        ]
    )


def swapped_gib_H(view: PlanView) -> Array:
    """Memory that stays swapped out on each host once it is shared anew, GiB; shape (H,).

    It is what is needed above the memory there is, at most what the overcommit VMs there need.
    """
    used_H = view.state.used_HR[:, MEMORY]
    return _swapped(used_H, _shared_gib_H(view), view.round.inventory.capacity_HR[:, MEMORY])


def _swapped(used_X: Array, shared_X: Array, capacity_X: Array) -> Array:
    """What is swapped out where so much is needed, so much of it by overcommit VMs, GiB; shape (X,)."""
    return np.asarray(np.clip(used_X - capacity_X, 0.0, np.maximum(shared_X, 0.0)))


def _shared_gib_H(view: PlanView) -> Array:
    """Memory that the overcommit VMs on each host need, GiB; shape (H,)."""
    state = view.state
    vms = np.flatnonzero(view.round.is_overcommit_M & (state.host_of_M != NOWHERE))
    H = view.round.inventory.host_count
    return np.asarray(
        np.bincount(state.host_of_M[vms], weights=state.demand_MR[vms, MEMORY], minlength=H), dtype=np.float64
    )


def _swap_sides(view: PlanView, movable_N: IntArray, source_N: IntArray) -> Array:
    """Memory swapped out on the source before and after each move, of its memory; shape (2, N)."""
    capacity_N = view.round.inventory.capacity_HR[source_N, MEMORY]
    need_N = view.state.demand_MR[movable_N, MEMORY]
    used_N, shared_N = view.state.used_HR[source_N, MEMORY], _shared_gib_H(view)[source_N]
    own_shared_N = np.where(view.round.is_overcommit_M[movable_N], need_N, 0.0)
    before_N = _swapped(used_N, shared_N, capacity_N)
    after_N = _swapped(used_N - need_N, shared_N - own_shared_N, capacity_N)
    return np.stack([before_N, after_N]) / capacity_N


def _gpu_share_H(state: State) -> Array:
    """vGPU memory in use of the memory of each host's GPUs, 0 where it has none; shape (H,)."""
    total_H = state.inventory.gpu_memory_H
    return np.divide(state.gpu_used_H(), total_H, out=np.zeros_like(total_H), where=total_H > 0)


def _least_headroom(view: PlanView) -> float:
    """The least share of its memory that a host has left for restarts, of the hosts that are up."""
    inventory = view.round.inventory
    if view.slack is None or not inventory.is_up_H.any():
        return 0.0
    share_H = _bounded_share(headroom_gib_H(view.slack), inventory.capacity_HR[:, MEMORY])
    return float(share_H[inventory.is_up_H].min())


def _bounded_share(gib_X: Array, capacity_X: Array) -> Array:
    """A share of memory, -1 to 1: headroom may be infinite."""
    return np.asarray(np.clip(gib_X / capacity_X, -1.0, 1.0))
