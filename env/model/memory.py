"""Memory overcommit: how much physical memory each overcommit VM gets once the moves of a plan are done."""

from __future__ import annotations

import numpy as np

from .cluster import MEMORY, NOWHERE, TOLERANCE
from .plan import Resize
from .state import State


def resizes(before: State, after: State) -> tuple[Resize, ...]:
    """Physical memory for overcommit VMs, so that those that swap get what they need.

    Every host where a VM that swaps stands after the moves shares its memory anew: each overcommit VM on it gets its
    need, never less than its minimum, so that memory held beyond the need goes to those that swap. A host whose needs
    do not fit (memory utilization above 1) is left out: only moves help there.

    Args:
        before: state at the start of the plan; it says who swaps.
        after: state at the end of the plan; it says who is where.
    """
    inventory = after.inventory
    swapping = np.flatnonzero(before.swap_V > TOLERANCE)
    hosts = {int(h) for h in after.host_of_M[swapping] if h != NOWHERE}
    found = []
    for v, vm in enumerate(inventory.vms):
        h = int(after.host_of_M[v])
        fits = h in hosts and after.used_HR[h, MEMORY] <= inventory.limit_HR[h, MEMORY]
        if fits and vm.is_overcommit and vm.is_on:
            memory_gib = max(vm.memory_minimum_gib, float(after.demand_MR[v, MEMORY]))
            found.append(Resize(vm.id, inventory.hosts[h].id, round(memory_gib, 4)))
    return tuple(found)
