"""R1-R4, R6-R8 for one move of a look, in numba: the twin of `rules.allowed_moves_MH` and of the quick test of R7."""

from __future__ import annotations

from ..model.cluster import NOWHERE, RESOURCES
from ..model.compiled import inlined, inner
from ..model.gpu_kernels import vgpus_pack
from .look_arrays import HA, HA_KNOWN, LookArrays, PlanArrays, RoundArrays, Scratch
from .reserve_kernels import keeps_reservation


@inlined
def may_go(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, target: int) -> bool:
    """Whether the rules allow the move of m to `target`; where R7 binds, the slack must be known."""
    for r in range(RESOURCES):
        if not plan.used_HR[target, r] + now.demand_MR[m, r] <= fixed.limit_HR[target, r]:
            return False
    if not fixed.is_allowed_MH[m, target] or not fixed.is_up_H[target] or not fixed.is_on_M[m]:
        return False
    if plan.host_of_M[m] == target or plan.host_of_M[m] == NOWHERE:
        return False
    for i in range(fixed.first_anti_M[m], fixed.first_anti_M[m + 1]):
        if plan.members_HA[target, fixed.anti_rule[i]] > 0:
            return False
    if fixed.profile_M[m] >= 0 and not _finds_gpu(fixed, plan, m, target):
        return False
    return plan.number_X[HA] != HA_KNOWN or keeps_reservation(fixed, now, plan, scratch, m, target)


@inlined
def some_target(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, first: int) -> int:
    """A host that m may go to by the rules, -1 where there is none; asked first is `first`."""
    H = fixed.is_up_H.size
    for i in range(H):
        h = first + i if first + i < H else first + i - H
        if may_go(fixed, now, plan, scratch, m, h):
            return h
    return -1


@inner
def _finds_gpu(fixed: LookArrays, plan: PlanArrays, m: int, target: int) -> bool:
    """R6: the vGPUs on the target and this one can be packed on its GPUs."""
    profiles_C = plan.profiles_HC[target]
    profiles_C[fixed.profile_M[m]] += 1
    fits = vgpus_pack(profiles_C, fixed.slots_GC[fixed.first_gpu_H[target] : fixed.first_gpu_H[target + 1]])
    profiles_C[fixed.profile_M[m]] -= 1
    return fits
