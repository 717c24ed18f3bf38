"""R6 in numba: the twin of `gpu.vgpus_fit` over arrays; and those arrays.

Shapes: C vGPU profiles in use, G GPUs of all hosts.
"""

from __future__ import annotations

import numpy as np

from .cluster import TOLERANCE, IntArray, Inventory
from .compiled import inner

Profile = tuple[str, float]
"""A vGPU as (model, memory in GiB)."""


def profiles_of(inventory: Inventory) -> list[Profile]:
    """The C vGPU profiles that some VM asks for, sorted."""
    return sorted({(vm.gpu.model, vm.gpu.memory_gib) for vm in inventory.vms if vm.gpu is not None})


def profile_of_M(inventory: Inventory) -> IntArray:
    """Index of each movable's profile, -1 where it has none or is off; shape (M,)."""
    profiles, found_M = profiles_of(inventory), np.full(inventory.movable_count, -1)
    for v in inventory.gpu_movables:
        gpu = inventory.vms[v].gpu
        if gpu is not None and inventory.is_on_M[v]:
            found_M[v] = profiles.index((gpu.model, gpu.memory_gib))
    return found_M


def slots_of(inventory: Inventory) -> IntArray:
    """How many vGPUs of each profile each GPU holds, host after host; shape (G, C)."""
    profiles = profiles_of(inventory)
    gpus = [gpu for stock in inventory.gpu_stock_H for gpu in stock]
    rows = [[int((gib + TOLERANCE) / size) if model == m else 0 for m, size in profiles] for model, gib in gpus]
    return np.array(rows, dtype=np.int64).reshape(len(gpus), len(profiles))


@inner
def vgpus_pack(wanted_C: IntArray, slots_GC: IntArray) -> bool:
    """Whether the vGPUs fit on the GPUs, exactly (R6): every GPU takes one profile or none; all choices are tried.

    Args:
        wanted_C: vGPUs of each profile.
        slots_GC: how many of each profile each GPU holds; 0 for another model.
    """
    G, C = slots_GC.shape
    left_C = wanted_C.copy()
    choice_G = np.empty(G + 1, dtype=np.int64)
    choice_G[:] = -1
    g = 0
    while g >= 0:
        is_done = True
        for c in range(C):
            is_done = is_done and left_C[c] <= 0
        if is_done:
            return True
        c = choice_G[g]
        if 0 <= c < C:  # back here: this choice led nowhere
            left_C[c] += slots_GC[g, c]
        c += 1
        while g < G and c < C and not (left_C[c] > 0 and slots_GC[g, c] > 0):
            c += 1
        if g == G or c > C:
            choice_G[g] = -1
            g -= 1
            continue
        choice_G[g] = c
        if c < C:
            left_C[c] -= slots_GC[g, c]
        g += 1
    return False
