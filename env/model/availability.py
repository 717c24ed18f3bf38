"""HA reservation (R7): whichever hosts fail, their `ha` VMs must find room on the others.

Whether the VMs of failed hosts fit elsewhere is a bin packing problem. Counting decides most of the hopeless cases; the
others are searched best fit first, most constrained VM first, with backtracking up to `SEARCH_LIMIT` placements. The
contract allows a stricter test, never a laxer one: after a move, a case undecided by then counts as "no room"; before
a plan, where "no room" would set the rule aside, it counts as room. Who restarts where after a real failure is
answered by the same search.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from .cluster import MEMORY, TOLERANCE, Array, GpuProfile, HostState, IntArray
from .gpu import profiles_by_host, vgpus_fit
from .state import State

SEARCH_LIMIT = 2_000  # placements tried per failure; greedy needs one per VM, so this only bounds hopeless cases


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
    profiles_H = profiles_by_host(state)
    for failed in failure_scenarios(state):
        restart, is_certain = _restart(state, failed, profiles_H)
        if restart is None and (is_certain or is_undecided_lost):
            return failed
    return None


def failure_scenarios(state: State) -> Iterator[tuple[int, ...]]:
    """Every set of hosts the reservation has to cover, as tuples of host indices."""
    alive = [h for h, host in enumerate(state.inventory.hosts) if host.state is not HostState.DOWN]
    return combinations(alive, min(state.inventory.high_availability.host_failures, len(alive)))


def victims(state: State, failed: tuple[int, ...]) -> IntArray:
    """Powered-on `ha` VMs on the failed hosts, most constrained first: fewest hosts, vGPU, most memory."""
    inventory = state.inventory
    V = inventory.vm_count
    is_hit_V = np.isin(state.host_of_M[:V], failed) & inventory.is_on_M[:V]
    hit = np.array([v for v in np.flatnonzero(is_hit_V) if inventory.vms[v].is_ha], dtype=np.int64)
    choices = inventory.is_allowed_MH[hit].sum(axis=1)
    return hit[np.lexsort((-state.demand_MR[hit, MEMORY], -inventory.gpu_memory_M[hit], choices))]


def restart_hosts(
    state: State, failed: tuple[int, ...], profiles_H: list[list[GpuProfile]] | None = None
) -> dict[int, int] | None:
    """Where each victim restarts (VM index -> host index), or None where they do not all fit.

    Args:
        state: the state before the failure.
        failed: indices of the hosts that fail.
        profiles_H: `profiles_by_host(state)`, where the caller has it already.
    """
    return _restart(state, failed, profiles_H if profiles_H is not None else profiles_by_host(state))[0]


def _restart(
    state: State, failed: tuple[int, ...], profiles_H: list[list[GpuProfile]]
) -> tuple[dict[int, int] | None, bool]:
    """Where each victim restarts, or None; and whether that is certain."""
    inventory = state.inventory
    hit = victims(state, failed)
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
        for h in sorted(np.flatnonzero(can_H), key=lambda h: (self.free_H[h], h)):
            if self.tries_left == 0:
                return False
            self.tries_left -= 1
            if gpu is not None and not vgpus_fit(self.state.inventory.gpu_stock_H[h], [*self.profiles_H[h], gpu]):
                continue
            self.free_H[h] -= need_gib
            self.found[v] = int(h)
            if gpu is not None:
                self.profiles_H[h].append(gpu)
            if self._place(hit, i + 1):
                return True
            self.free_H[h] += need_gib
            del self.found[v]
            if gpu is not None:
                self.profiles_H[h].pop()
        return False
