"""HA reservation (R7): whichever hosts fail, their `ha` VMs must find room on the others.

Whether the VMs of failed hosts fit elsewhere is a bin packing problem. Counting decides most of the hopeless cases; the
others are searched best fit first, most constrained VM first, with backtracking up to `SEARCH_LIMIT` placements. The
contract allows a stricter test, never a laxer one: after a move, a case undecided by then counts as "no room"; before
a plan, where "no room" would set the rule aside, it counts as room. Who restarts where after a real failure is
answered by the same search.

Most failures are easy: best fit places every VM without a step back. So that is tried first, for many failures at once
as arrays; only what it leaves open is searched one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice

import numpy as np

from .cluster import MEMORY, NOWHERE, TOLERANCE, Array, BoolArray, GpuProfile, HostState, IntArray
from .gpu import profiles_by_host, vgpus_fit
from .state import State

SEARCH_LIMIT = 2_000  # placements tried per failure; greedy needs one per VM, so this only bounds hopeless cases
CELLS_AT_ONCE = 2**16  # failures times hosts in one array: larger ones leave the processor's cache


def has_reservation(state: State) -> bool:
    """Whether every failure of `host_failures` hosts can be survived (always True in best-effort mode)."""
    return first_unsurvivable(state) is None


def first_unsurvivable(state: State, *, is_undecided_lost: bool = True) -> tuple[int, ...] | None:
    """The first set of hosts whose failure would leave an `ha` VM without a host, or None.

    Args:
        state: the state before the failure.
        is_undecided_lost: whether a failure counts for which the search ended without an answer.
    """
    if not state.inventory.high_availability.is_guaranteed:
        return None
    order_V, profiles_H = _restart_order(state), profiles_by_host(state)
    failures, at_once = failure_scenarios(state), max(1, CELLS_AT_ONCE // state.inventory.host_count)
    while some := list(islice(failures, at_once)):
        is_easy_S = _fit_at_once_S(state, order_V, np.array(some, dtype=np.int64))
        for s in np.flatnonzero(~is_easy_S):
            restart, is_certain = _restart(state, _victims(state, some[s], order_V), some[s], profiles_H)
            if restart is None and (is_certain or is_undecided_lost):
                return some[s]
    return None


def failure_scenarios(state: State) -> Iterator[tuple[int, ...]]:
    """Every set of hosts the reservation has to cover, as tuples of host indices."""
    alive = [h for h, host in enumerate(state.inventory.hosts) if host.state is not HostState.DOWN]
    return combinations(alive, min(state.inventory.high_availability.host_failures, len(alive)))


def victims(state: State, failed: tuple[int, ...]) -> IntArray:
    """Powered-on `ha` VMs on the failed hosts, most constrained first: fewest hosts, vGPU, most memory."""
    return _victims(state, failed, _restart_order(state))


def _victims(state: State, failed: tuple[int, ...], order_V: IntArray) -> IntArray:
    """`victims` by the restart order of all VMs."""
    return order_V[np.isin(state.host_of_M[order_V], failed)]


def _restart_order(state: State) -> IntArray:
    """All placed `ha` VMs that are on, in the order in which `victims` has them."""
    inventory = state.inventory
    V = inventory.vm_count
    placed = np.flatnonzero(inventory.is_ha_V & inventory.is_on_M[:V] & (state.host_of_M[:V] != NOWHERE))
    need_gib, vgpu_gib = state.demand_MR[placed, MEMORY], inventory.gpu_memory_M[placed]
    choices = inventory.is_allowed_MH[:V].sum(axis=1)[placed]
    return placed[np.lexsort((-need_gib, -vgpu_gib, choices))]


def _fit_at_once_S(state: State, order_V: IntArray, failed_SF: IntArray) -> BoolArray:
    """Which failures the search would find survivable without a step back; shape (S,).

    Those with vGPUs among the victims are left to it, too: whether these fit is not asked here.

    Args:
        state: the state before the failures.
        order_V: `_restart_order(state)`.
        failed_SF: indices of the hosts that fail in each of S failures.
    """
    inventory, rows_S = state.inventory, np.arange(len(failed_SF))
    places_SN = _victims_SN(state.host_of_M[order_V], failed_SF, inventory.host_count)
    victim_V, need_V = np.append(order_V, 0), np.append(state.demand_MR[order_V, MEMORY], np.nan)
    has_vgpu_V = np.append(inventory.gpu_memory_M[order_V] > 0, False)
    free_H = np.where(inventory.is_up_H, inventory.limit_HR[:, MEMORY] - state.used_HR[:, MEMORY], -1.0)
    free_SH = np.repeat(free_H[None, :], len(failed_SF), axis=0)
    free_SH[rows_S[:, None], failed_SF] = -1.0
    is_easy_S = ~has_vgpu_V[places_SN].any(axis=1) & (places_SN.shape[1] <= SEARCH_LIMIT)
    for place_S in places_SN.T:
        is_there_S = place_S < order_V.size
        can_SH = free_SH >= need_V[place_S][:, None]
        can_SH &= inventory.is_allowed_MH[victim_V[place_S]]
        host_S = np.where(can_SH, free_SH, np.inf).argmin(axis=1)
        fits_S = can_SH[rows_S, host_S]
        is_easy_S &= fits_S | ~is_there_S
        free_SH[rows_S[fits_S], host_S[fits_S]] -= need_V[place_S[fits_S]]
    return is_easy_S


def _victims_SN(host_V: IntArray, failed_SF: IntArray, host_count: int) -> IntArray:
    """Positions of each failure's victims in the restart order, rising, then the length of that order; shape (S, N)."""
    count_H = np.bincount(host_V, minlength=host_count)
    most, by_host = int(count_H.max(initial=0)), np.argsort(host_V, kind="stable")
    place_HN = np.full((host_count, most), host_V.size, dtype=np.int64)
    place_HN[np.arange(most)[None, :] < count_H[:, None]] = by_host
    places_SN = np.sort(place_HN[failed_SF].reshape(len(failed_SF), -1), axis=1)
    return places_SN[:, : int((places_SN < host_V.size).sum(axis=1).max(initial=0))]


def restart_hosts(
    state: State, failed: tuple[int, ...], profiles_H: list[list[GpuProfile]] | None = None
) -> dict[int, int] | None:
    """Where each victim restarts (VM index -> host index), or None where they do not all fit.

    Args:
        state: the state before the failure.
        failed: indices of the hosts that fail.
        profiles_H: `profiles_by_host(state)`, where the caller has it already.
    """
    profiles_H = profiles_H if profiles_H is not None else profiles_by_host(state)
    return _restart(state, victims(state, failed), failed, profiles_H)[0]


def _restart(
    state: State, hit: IntArray, failed: tuple[int, ...], profiles_H: list[list[GpuProfile]]
) -> tuple[dict[int, int] | None, bool]:
    """Where each victim of a failure restarts, or None; and whether that is certain."""
    inventory = state.inventory
    is_survivor_H = inventory.is_up_H.copy()
    is_survivor_H[list(failed)] = False
    free_H = np.where(is_survivor_H, inventory.limit_HR[:, MEMORY] - state.used_HR[:, MEMORY], -1.0)
    if _is_hopeless(state.demand_MR[hit, MEMORY], free_H):
        return None, True
    search = _Restart(state, free_H, [list(profiles) for profiles in profiles_H], is_survivor_H)
    found = search.search(hit)
    return found, found is not None or search.tries_left > 0


def _is_hopeless(need_N: Array, free_H: Array) -> bool:
    """Whether counting alone shows that these needs (GiB) do not fit into what is free (GiB).

    The sum must fit, and for every size: as many VMs of at least that size as the hosts have room for. Rounding is on
    the side of "may fit".
    """
    free_H, sizes_N = np.maximum(free_H, 0.0), np.sort(need_N[need_N > 0])
    places_N = np.floor(free_H[None, :] / sizes_N[:, None] + TOLERANCE).sum(axis=1)
    return bool(need_N.sum() > free_H.sum() + TOLERANCE or (places_N < np.arange(sizes_N.size, 0, -1)).any())


class _Restart:
    """One backtracking search: places the victims one after another, best fit first."""

    def __init__(self, state: State, free_H: Array, profiles_H: list[list[GpuProfile]], is_survivor_H: np.ndarray):
        self.state, self.free_H, self.profiles_H, self.is_survivor_H = state, free_H, profiles_H, is_survivor_H
        self.tries_left = SEARCH_LIMIT
        self.found: dict[int, int] = {}

    def search(self, hit: IntArray) -> dict[int, int] | None:
        """The placement of all of `hit`, or None."""
        return self.found if self._place(hit, 0) else None

    def _place(self, hit: IntArray, i: int) -> bool:
        if i == len(hit):
            return True
        v = int(hit[i])
        need_gib = self.state.demand_MR[v, MEMORY]
        gpu = self.state.inventory.vms[v].gpu
        can_H = self.is_survivor_H & self.state.inventory.is_allowed_MH[v] & (self.free_H >= need_gib)
        hosts = np.flatnonzero(can_H)
        for h in hosts[np.argsort(self.free_H[hosts], kind="stable")].tolist():
            if self.tries_left == 0:
                return False
            self.tries_left -= 1
            if gpu is not None and not vgpus_fit(self.state.inventory.gpu_stock_H[h], [*self.profiles_H[h], gpu]):
                continue
            self.free_H[h] -= need_gib
            self.found[v] = h
            if gpu is not None:
                self.profiles_H[h].append(gpu)
            if self._place(hit, i + 1):
                return True
            self.free_H[h] += need_gib
            del self.found[v]
            if gpu is not None:
                self.profiles_H[h].pop()
        return False
