"""Which hosts are contended, and by how much (the definitions of the snapshot contract).

A contention is an `up` host with CPU or storage controller utilization over its threshold, or with a VM that swaps.
A host in maintenance that is not empty asks for a plan in the same way (kind `maintenance`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .cluster import CPU, MEMORY, NOWHERE, STORAGE, TOLERANCE, BoolArray
from .state import State


class ContentionKind(StrEnum):
    """What is short on a contended host."""

    CPU = "cpu"
    STORAGE_CPU = "storage-cpu"
    MEMORY_SWAP = "memory-swap"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class Contention:
    """One contention: `utilization` against `threshold`, or the swapped memory.

    For `maintenance`, `utilization` is the memory utilization of what is still there and the threshold is 0.
    """

    kind: ContentionKind
    host: str
    utilization: float = 0.0
    threshold: float = 0.0
    swap_gib: float = 0.0

    @property
    def figures(self) -> str:
        """The figures a person reads: "90.0%, threshold 85.0%", "3.20 GiB swapped out"."""
        if self.kind is ContentionKind.MEMORY_SWAP:
            return f"{self.swap_gib:.2f} GiB swapped out"
        if self.kind is ContentionKind.MAINTENANCE:
            return f"memory {self.utilization:.1%} in use"
        return f"{self.utilization:.1%}, threshold {self.threshold:.1%}"


def contentions(state: State) -> tuple[Contention, ...]:
    """Every contention of the cluster, by host, in the order of the snapshot."""
    inventory = state.inventory
    settings = inventory.settings
    hot_CH = {kind: over for kind, over in _over_threshold(state)}
    swap_H = swap_gib_H(state)
    left_H = unevacuated_H(state)
    utilization_HR = state.utilization_HR
    found: list[Contention] = []
    for h, host in enumerate(inventory.hosts):
        if hot_CH[ContentionKind.CPU][h]:
            found.append(Contention(ContentionKind.CPU, host.id, float(utilization_HR[h, CPU]), settings.cpu_threshold))
        if hot_CH[ContentionKind.STORAGE_CPU][h]:
            value = float(utilization_HR[h, STORAGE])
            found.append(Contention(ContentionKind.STORAGE_CPU, host.id, value, settings.storage_cpu_threshold))
        if inventory.is_up_H[h] and swap_H[h] > TOLERANCE:
            found.append(Contention(ContentionKind.MEMORY_SWAP, host.id, swap_gib=float(swap_H[h])))
        if left_H[h]:
            found.append(Contention(ContentionKind.MAINTENANCE, host.id, float(utilization_HR[h, MEMORY]), 0.0))
    return tuple(found)


def unresolved_H(state: State) -> BoolArray:
    """Hosts that still ask for moves; shape (H,).

    A swapping host does so only while its memory utilization is above 1: below, `resizes` alone end the swapping.
    """
    (_, hot_cpu_H), (_, hot_storage_H) = _over_threshold(state)
    needs_memory_H = (swap_gib_H(state) > TOLERANCE) & (state.utilization_HR[:, MEMORY] > 1 + TOLERANCE)
    return hot_cpu_H | hot_storage_H | (needs_memory_H & state.inventory.is_up_H) | unevacuated_H(state)


def short_of_memory(state: State) -> tuple[Contention, ...]:
    """The `memory-swap` contentions that sharing memory anew cannot end: hosts whose VMs need more than there is."""
    used_H, limit_H = state.used_HR[:, MEMORY], state.inventory.limit_HR[:, MEMORY]
    short = {state.inventory.hosts[h].id for h in np.flatnonzero(used_H > limit_H)}
    return tuple(c for c in contentions(state) if c.kind is ContentionKind.MEMORY_SWAP and c.host in short)


def swap_gib_H(state: State) -> np.ndarray:
    """Memory swapped out on each host, GiB; 0 where no VM swaps by more than the tolerance; shape (H,)."""
    V = state.inventory.vm_count
    swapping = np.flatnonzero((state.host_of_M[:V] != NOWHERE) & (state.swap_V > TOLERANCE))
    return np.bincount(state.host_of_M[swapping], weights=state.swap_V[swapping], minlength=state.inventory.host_count)


def unevacuated_H(state: State) -> BoolArray:
    """Hosts in maintenance that still have a powered-on VM or a session; shape (H,)."""
    running = state.host_of_M[state.inventory.is_on_M & (state.host_of_M != NOWHERE)]
    return state.inventory.is_maintenance_H & (np.bincount(running, minlength=state.inventory.host_count) > 0)


def must_leave_M(state: State) -> BoolArray:
    """What runs on hosts in maintenance, and what needs memory on hosts whose memory is overfull; shape (M,)."""
    inventory = state.inventory
    is_overfull_H = inventory.is_up_H & (state.used_HR[:, MEMORY] > inventory.limit_HR[:, MEMORY])
    is_placed_M = state.host_of_M != NOWHERE
    leaves_M = inventory.is_maintenance_H[state.host_of_M] | (
        is_overfull_H[state.host_of_M] & (state.demand_MR[:, MEMORY] > 0)
    )
    return np.asarray(leaves_M & is_placed_M & inventory.is_on_M)


def _over_threshold(state: State) -> tuple[tuple[ContentionKind, BoolArray], tuple[ContentionKind, BoolArray]]:
    """Up hosts over the CPU and over the storage threshold, each of shape (H,)."""
    settings, is_up_H = state.inventory.settings, state.inventory.is_up_H
    utilization_HR = state.utilization_HR
    return (
        (ContentionKind.CPU, is_up_H & (utilization_HR[:, CPU] > settings.cpu_threshold + TOLERANCE)),
        (
            ContentionKind.STORAGE_CPU,
            is_up_H & (utilization_HR[:, STORAGE] > settings.storage_cpu_threshold + TOLERANCE),
        ),
    )
