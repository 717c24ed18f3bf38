"""Who restarts where after a host has failed: the reserved memory is used, the most constrained VM comes first.

A restart is no placement: the HA reservation (R7) is there to be used, and a VM that runs on a contended host is better
off than one that does not run. So R1, R2, R3 and R6 bind; R8 and R4 are kept where they can be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .availability import restart_hosts, victims
from .cluster import MEMORY
from .cost import node_score_H
from .rules import gpu, no_new_contention, vm_vm_anti_affinity
from .state import State


def restarts(before: State, failed: tuple[int, ...], after: State) -> dict[int, int]:
    """Where the `ha` VMs of failed hosts restart: VM index -> host index, most constrained first; some may be missing.

    First each takes the best host it finds. If one finds none, the search of the HA reservation is asked for a packing
    of all of them; if there is none either, as many restart as find room.

    Args:
        before: the state just before the failure.
        failed: indices of the failed hosts.
        after: the state just after it: hosts down, their VMs nowhere.
    """
    vms = [int(v) for v in victims(before, failed)]
    greedy = restart_in_order(after, vms)
    if len(greedy) == len(vms):
        return greedy
    packed = restart_hosts(before, failed)
    return greedy if packed is None else packed


def restart_in_order(state: State, vms: Sequence[int]) -> dict[int, int]:
    """Hosts for VMs that wait to be restarted, one after another; VMs that find none are left out.

    Args:
        state: a state in which the VMs are on and nowhere.
        vms: VM indices, in the order of their turn.
    """
    found: dict[int, int] = {}
    for v in vms:
        h = restart_host(state, v)
        if h is not None:
            found[v] = h
            state = state.moved(v, h)
    return found


def restart_host(state: State, v: int) -> int | None:
    """The host that should restart a VM, or None; no contention counts most, then no R4 clash, then node score."""
    inventory = state.inventory
    fits_H = inventory.is_up_H & inventory.is_allowed_MH[v]
    fits_H &= state.used_HR[:, MEMORY] + state.demand_MR[v, MEMORY] <= inventory.limit_HR[:, MEMORY]
    best: tuple[bool, bool, float, int] | None = None
    for h in np.flatnonzero(fits_H).tolist():
        if gpu(state, v, h) is not None:
            continue
        score = float(node_score_H(state.moved(v, h))[h])
        is_contended = no_new_contention(state, v, h) is not None
        rank = (is_contended, vm_vm_anti_affinity(state, v, h) is not None, score, h)
        best = rank if best is None else min(best, rank)
    return None if best is None else best[3]
