"""Memory overcommit: how much physical memory each overcommit VM gets once the moves of a plan are done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .cluster import MEMORY, NOWHERE, TOLERANCE, IntArray
from .state import State

RESIZE_TOLERANCE_GIB = 0.01  # plan documents may round to two decimals


@dataclass(frozen=True)
class Resize:
    """Physical memory an overcommit VM gets once the moves are done."""

    vm: str
    host: str
    memory_gib: float


def resizes(before: State, after: State) -> tuple[Resize, ...]:
    """Physical memory for overcommit VMs, so that those that swap get what they need.

    Every `up` host where a VM that swaps stands after the moves shares its memory anew: each overcommit VM on it gets
    its need, never less than its minimum, so that memory held beyond the need goes to those that swap. A host whose
    needs do not fit (memory utilization above 1) is left out: only moves help there. Where the needs fit, but not
    together with the minimums of VMs that need less, each VM gets its minimum and the same share of what it needs
    above it.

    Args:
        before: state at the start of the plan; it says who swaps.
        after: state at the end of the plan; it says who is where.
    """
    inventory = after.inventory
    found: list[Resize] = []
    for h in np.unique(after.host_of_M[_swapping(before)]):
        is_up = h != NOWHERE and inventory.is_up_H[h]
        if is_up and after.used_HR[h, MEMORY] <= inventory.limit_HR[h, MEMORY]:
            found += [Resize(inventory.vms[v].id, inventory.hosts[h].id, gib) for v, gib in _shares(after, int(h))]
    return tuple(sorted(found, key=lambda resize: inventory.vm_index[resize.vm]))


def wrong_resizes(after: State, wanted: Sequence[Resize]) -> Iterator[str]:
    """What is wrong with the resizes of a plan, one sentence each; none where they can be carried out."""
    inventory = after.inventory
    given_gib: dict[int, float] = {}
    for resize in wanted:
        v, h = inventory.vm_index.get(resize.vm), inventory.host_index.get(resize.host)
        if v is None or h is None:
            yield f"there is no {'VM' if v is None else 'host'} {resize.vm if v is None else resize.host} to resize"
        elif v in given_gib:
            yield f"{resize.vm} is resized twice"
        elif not inventory.vms[v].is_overcommit:
            yield f"{resize.vm} is resized, but its memory is not overcommitted"
        elif not inventory.vms[v].is_on:
            yield f"{resize.vm} is resized, but it is off"
        elif after.host_of_M[v] != h:
            yield f"{resize.vm} is resized on {resize.host}, where it is not once the moves are done"
        elif resize.memory_gib < inventory.vms[v].memory_minimum_gib - RESIZE_TOLERANCE_GIB:
            yield f"{resize.vm} gets {resize.memory_gib:.2f} GiB, minimum {inventory.vms[v].memory_minimum_gib:.2f} GiB"
        else:
            given_gib[v] = resize.memory_gib
    yield from _overfull(after, given_gib)


def missing_resizes(before: State, after: State, wanted: Sequence[Resize]) -> Iterator[str]:
    """VMs that swap and would go on swapping, because the plan does not give them what `resizes` can."""
    given_gib = {resize.vm: resize.memory_gib for resize in wanted}
    due_gib = {resize.vm: resize.memory_gib for resize in resizes(before, after)}
    for v in _swapping(before):
        vm = before.inventory.vms[v].id
        need_gib = float(after.demand_MR[v, MEMORY])
        if vm in due_gib and given_gib.get(vm, 0.0) < min(need_gib, due_gib[vm]) - RESIZE_TOLERANCE_GIB:
            given = f"gives it {given_gib[vm]:.2f} GiB" if vm in given_gib else "does not resize it"
            yield f"{vm} swaps and needs {need_gib:.2f} GiB of physical memory, the plan {given}"


def _swapping(state: State) -> IntArray:
    """Indices of the VMs that swap."""
    return np.flatnonzero(state.swap_V > TOLERANCE)


def _shares(state: State, h: int) -> list[tuple[int, float]]:
    """The overcommit VMs that run on h, each with its physical memory in GiB; none where the minimums do not fit."""
    inventory = state.inventory
    V = inventory.vm_count
    vms = np.flatnonzero((state.host_of_M[:V] == h) & inventory.is_overcommit_V & inventory.is_on_M[:V])
    floor_gib = np.array([inventory.vms[v].memory_minimum_gib for v in vms])
    above_gib = np.maximum(state.demand_MR[vms, MEMORY] - floor_gib, 0.0)
    fixed_gib = state.used_HR[h, MEMORY] - state.demand_MR[vms, MEMORY].sum()
    free_gib = inventory.limit_HR[h, MEMORY] - fixed_gib - floor_gib.sum()
    if free_gib < 0:
        return []
    share = min(1.0, free_gib / max(above_gib.sum(), TOLERANCE))
    return [(int(v), float(gib)) for v, gib in zip(vms, floor_gib + share * above_gib, strict=True)]


def _overfull(after: State, given_gib: dict[int, float]) -> Iterator[str]:
    """Hosts whose physical memory the resizes exceed. VMs that are not resized keep what they need and have now."""
    V = after.inventory.vm_count
    held_gib_V = np.maximum(after.demand_MR[:V, MEMORY] - after.swap_V, 0.0)
    for v, gib in given_gib.items():
        held_gib_V[v] = gib
    for h in np.unique(after.host_of_M[list(given_gib)]):
        host, held_gib = after.inventory.hosts[h], held_gib_V[after.host_of_M[:V] == h].sum()
        if held_gib > host.memory_gib + RESIZE_TOLERANCE_GIB * len(given_gib):
            yield f"{host.id} would hold {held_gib:.2f} GiB after the resizes, it has {host.memory_gib:.2f} GiB"
