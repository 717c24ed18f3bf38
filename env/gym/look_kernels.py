"""The shortlist in numba, for loops over many clusters: the twin of `reference_shortlist`.

In a round: `outlook_into` (and `forecast_into`), `begin_into`; then, before the first move and after each `add_move`,
`list_moves_into` and `features_into`. Only where R7 binds and the quick test finds no restart plan, or VMs with a vGPU
would have to restart, the search of `availability.py` must be asked: then there is no list, and the caller takes the
numpy twin.

Speed of the list of 64 alone, a third of the hosts contended, on one shared core of an AMD EPYC: 20 us with 16 hosts
and 208 movables after a move, 28 us after a look, and 60 us with 64 and 1,536; where R7 binds, 33 us with 16 hosts.
"""

from __future__ import annotations

from ..model.cluster import BoolArray, IntArray
from ..model.compiled import bare, kernel
from .host_kernels import must_leave, refresh_hosts
from .list_kernels import deal_slots
from .look_arrays import HA, HA_ASK, HA_FREE, LookArrays, PlanArrays, RoundArrays, Scratch
from .rank_kernels import rank_movables
from .reserve_kernels import reserve_into
from .room_kernels import rank_room

ASK = -1
"""Instead of a number of moves: only the numpy twin can tell."""


@kernel
def list_moves_into(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    movable_K: IntArray,
    target_K: IntArray,
    kind_K: IntArray,
    mask_S: BoolArray,
) -> int:
    """The shortlist after the moves of the plan.

    Args:
        movable_K: gets the movable of each slot, -1 where it is empty.
        target_K: gets its target, -1 where it is empty.
        kind_K: gets its kind, 0 where it is empty.
        mask_S: gets the allowed slots, *stop* always among them; shape (K + 1,).

    Returns:
        how many slots are filled; `ASK` where the caller must take the numpy twin.
    """
    refresh_hosts(fixed, now, plan, scratch)
    count = 0
    if not is_calm(fixed, now, plan, scratch):
        if plan.number_X[HA] == HA_ASK:
            return ASK
        if plan.number_X[HA] != HA_FREE and not reserve_into(fixed, now, plan, scratch):
            return ASK
        hot = rank_movables(fixed, now, plan, scratch)
        rank_room(fixed, now, plan, scratch, hot)
        count = deal_slots(fixed, now, plan, scratch, movable_K, target_K, kind_K)
    for k in range(movable_K.size):
        mask_S[1 + k] = k < count
        if k >= count:
            movable_K[k], target_K[k], kind_K[k] = -1, -1, 0
    mask_S[0] = True
    return count


@kernel
def is_quiet(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> bool:
    """Whether no host is near a threshold in any scenario, none lacks memory and none is to be emptied."""
    refresh_hosts(fixed, now, plan, scratch)
    return is_calm(fixed, now, plan, scratch)


@bare
def is_calm(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> bool:
    """`is_quiet` where the hosts are known; movables are asked only where a host may have to lose some."""
    may_leave = False
    for h in range(fixed.is_up_H.size):
        if scratch.is_near_H[h]:
            return False
        may_leave = may_leave or fixed.is_maintenance_H[h] or plan.used_HR[h, 1] > fixed.limit_HR[h, 1]
    if may_leave:
        for m in range(plan.host_of_M.size):
            if must_leave(fixed, now, plan, m):
                return False
    return True
