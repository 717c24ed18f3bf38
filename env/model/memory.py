"""Memory overcommit: how physical memory is shared, every few minutes and once the moves of a plan are done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .cluster import MEMORY, NOWHERE, TOLERANCE, Array, IntArray
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


def share_memory(
    state: State, reserved_gib_H: Array | None = None, given_gib: Mapping[int, float] | None = None
) -> Array:
    """Physical memory of every VM once each host has shared its memory anew, GiB; shape (V,).

    A VM that is not overcommitted has all it is configured with. The overcommit VMs of a host share the rest: where it
    suffices each has what it needs, at least its minimum, and what is left over is given out in proportion to what
    each could still take; where it does not, each has its minimum and the same share of what it needs above it. So
    idle VMs are ballooned down and needy ones grow. VMs that are off or not placed have none.

    Args:
        state: who is where and needs what.
        reserved_gib_H: memory of each host that is not to be given out, such as for VMs on their way to it; shape (H,).
        given_gib: overcommit VMs whose physical memory a plan has set (VM index -> GiB): the others share the rest.
    """
    inventory = state.inventory
    V, H = inventory.vm_count, inventory.host_count
    runs_V = (state.host_of_M[:V] != NOWHERE) & inventory.is_on_M[:V]
    physical_V = np.where(runs_V, inventory.memory_configured_V, 0.0)
    is_shared_V = runs_V & inventory.is_overcommit_V
    for v, gib in (given_gib or {}).items():
        if runs_V[v]:
            physical_V[v], is_shared_V[v] = gib, False
    vms = np.flatnonzero(is_shared_V)
    if vms.size == 0:
        return physical_V
    host = state.host_of_M[vms]

    def per_host(values: Array) -> Array:
        return np.asarray(np.bincount(host, weights=values, minlength=H), dtype=np.float64)

    floor, most = inventory.memory_minimum_V[vms], inventory.memory_configured_V[vms]
    wanted = np.minimum(np.maximum(state.demand_MR[vms, MEMORY], floor), most)
    fixed = runs_V & ~is_shared_V
    fixed_H = np.bincount(state.host_of_M[:V][fixed], weights=physical_V[fixed], minlength=H)
    room_H = np.maximum(inventory.capacity_HR[:, MEMORY] - fixed_H, 0.0)
    if reserved_gib_H is not None:
        room_H = np.maximum(room_H - reserved_gib_H, 0.0)
    floor_H, wanted_H, most_H = per_host(floor), per_host(wanted), per_host(most)
    # Shares of the three steps that a host's room reaches: up to the minimums, up to the needs, up to all configured.
    to_floor_H = _reached(room_H, floor_H)
    to_wanted_H = _reached(room_H - floor_H, wanted_H - floor_H)
    to_most_H = _reached(room_H - wanted_H, most_H - wanted_H)
    physical_V[vms] = (
        to_floor_H[host] * floor + to_wanted_H[host] * (wanted - floor) + to_most_H[host] * (most - wanted)
    )
    return physical_V


def _reached(room_H: Array, needed_H: Array) -> Array:
    """Share of what is needed that there is room for, 0 to 1; 1 where nothing is needed; shape (H,)."""
    share_H = np.divide(room_H, needed_H, out=np.ones_like(room_H), where=needed_H > TOLERANCE)
    return np.asarray(np.clip(share_H, 0.0, 1.0))
