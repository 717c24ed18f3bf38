"""R1-R4, R6-R8 for one move of a look, in numba: the twin of `rules.allowed_moves_MH` and of the quick test of R7."""

from __future__ import annotations

from ..model.cluster import CPU, MEMORY, STORAGE
from ..model.compiled import inlined, inner
from ..model.gpu_kernels import vgpus_pack
from .clump_kernels import NOBODY
from .look_arrays import HA, HA_KNOWN, LookArrays, PlanArrays, RoundArrays, Scratch
from .reserve_kernels import keeps_reservation


@inlined
def may_go(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, target: int) -> bool:
    """Whether the rules allow the move of m, which is on and placed; where R7 binds, the slack must be known."""
    used_R, demand_R, limit_R = plan.used_HR[target], now.demand_MR[m], fixed.limit_HR[target]
    if not (used_R[CPU] + demand_R[CPU] <= limit_R[CPU] and used_R[MEMORY] + demand_R[MEMORY] <= limit_R[MEMORY]):
        return False
    if not used_R[STORAGE] + demand_R[STORAGE] <= limit_R[STORAGE] or not fixed.is_open_MH[m, target]:
        return False
    if plan.host_of_M[m] == target:
        return False
    if (fixed.has_rules_M[m] or now.next_M[m] != NOBODY) and not _keeps_rules(fixed, now, plan, m, target):
        return False
    return plan.number_X[HA] != HA_KNOWN or keeps_reservation(fixed, now, plan, scratch, m, target)


@inlined
def _keeps_rules(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, m: int, target: int) -> bool:
    """R4 and R6: none that m, or its clump, keeps away from is on the target, and its vGPU finds room there."""
    v = m
    while v != NOBODY:
        for i in range(fixed.first_anti_M[v], fixed.first_anti_M[v + 1]):
            if plan.members_HA[target, fixed.anti_rule[i]] > 0:
                return False
        v = now.next_M[v]
    return fixed.profile_M[m] < 0 or finds_gpu(fixed, plan, m, target)


@inlined
def some_target(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, first: int) -> int:
    """A host that m may go to by the rules, -1 where there is none; asked first is `first`."""
    if may_go(fixed, now, plan, scratch, m, first):
        return first
    with_room = _last_with_room(fixed, now, plan, scratch, m)
    if with_room < 0 or may_go(fixed, now, plan, scratch, m, with_room):
        return with_room
    for h in range(with_room):
        if may_go(fixed, now, plan, scratch, m, h):
            return h
    return -1


@inlined
def _last_with_room(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int) -> int:
    """The last host that may take m by R1, R2, R3 and R8, -1 where there is none; by vector instructions."""
    used_XH, limit_RH, is_open_H, home = scratch.used_XH, fixed.limit_RH, fixed.is_open_MH[m], plan.host_of_M[m]
    cpu, memory, storage = now.demand_MR[m, CPU], now.demand_MR[m, MEMORY], now.demand_MR[m, STORAGE]
    last = -1
    for h in range(is_open_H.size):
        fits = (used_XH[0, h] + cpu <= limit_RH[0, h]) & (used_XH[1, h] + memory <= limit_RH[1, h])
        fits = fits & (used_XH[2, h] + storage <= limit_RH[2, h]) & is_open_H[h] & (h != home)
        last = max(last, h if fits else -1)
    return last


@inner
def finds_gpu(fixed: LookArrays, plan: PlanArrays, m: int, target: int) -> bool:
    """R6: the vGPUs on the target and this one can be packed on its GPUs."""
    profiles_C = plan.profiles_HC[target]
    profiles_C[fixed.profile_M[m]] += 1
    fits = vgpus_pack(profiles_C, fixed.slots_GC[fixed.first_gpu_H[target] : fixed.first_gpu_H[target + 1]])
    profiles_C[fixed.profile_M[m]] -= 1
    return fits
