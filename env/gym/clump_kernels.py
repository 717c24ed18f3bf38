"""Clumps in numba: found at every look, their demand put on their leads; the twin of `clumps.py`, with the theory."""

from __future__ import annotations

from ..model.cluster import NOWHERE, RESOURCES, IntArray
from ..model.compiled import bare, inlined
from .look_arrays import BLOCKS, LookArrays, RoundArrays

NOBODY = -1
"""Ends a chain of `RoundArrays.next_M`; of `alike_M`, who goes alone."""


@bare
def find_clumps(fixed: LookArrays, now: RoundArrays, has_clumps: bool) -> None:
    """Finds who moves with whom: `RoundArrays.lead_M` and `next_M`; takes the freedom of those that cannot go alone."""
    for m in range(now.lead_M.size):
        now.lead_M[m], now.next_M[m] = m, NOBODY
    _name_leads(fixed, now)
    for i in range(fixed.tied.size - 1, -1, -1):  # from the last, so that each chain ascends
        v = fixed.tied[i]
        lead = now.lead_M[v]
        if lead != v:
            now.next_M[v], now.next_M[lead] = now.next_M[lead], v
            now.is_free_M[v] = False
    for i in range(fixed.tied.size):
        lead = fixed.tied[i]
        is_clump = now.lead_M[lead] == lead and now.next_M[lead] != NOBODY
        if is_clump and not (has_clumps and _is_one(fixed, now, lead)):
            _dissolve(now, lead)


@bare
def _name_leads(fixed: LookArrays, now: RoundArrays) -> None:
    """The first of those that are tied to one another, directly or by others, is the lead of all."""
    is_settled = False
    while not is_settled:
        is_settled = True
        for a in range(fixed.first_affinity.size - 1):
            members = fixed.affinity_member[fixed.first_affinity[a] : fixed.first_affinity[a + 1]]
            for i in range(members.size):
                for k in range(i):
                    v, w = members[i], members[k]
                    if now.home_M[v] == NOWHERE or now.home_M[v] != now.home_M[w] or now.lead_M[v] == now.lead_M[w]:
                        continue
                    now.lead_M[v] = now.lead_M[w] = min(now.lead_M[v], now.lead_M[w])
                    is_settled = False


@bare
def _is_one(fixed: LookArrays, now: RoundArrays, lead: int) -> bool:
    """Whether a clump can be moved as one VM."""
    v = lead
    while v != NOBODY:
        if fixed.alike_M[v] == NOBODY or fixed.alike_M[v] != fixed.alike_M[lead] or _is_kept_apart(fixed, now, v):
            return False
        v = now.next_M[v]
    return True


@bare
def _is_kept_apart(fixed: LookArrays, now: RoundArrays, v: int) -> bool:
    """Whether an anti-affinity rule names v and a later one of its clump."""
    w = now.next_M[v]
    while w != NOBODY:
        for i in range(fixed.first_anti_M[v], fixed.first_anti_M[v + 1]):
            for k in range(fixed.first_anti_M[w], fixed.first_anti_M[w + 1]):
                if fixed.anti_rule[i] == fixed.anti_rule[k]:
                    return True
        w = now.next_M[w]
    return False


@bare
def _dissolve(now: RoundArrays, lead: int) -> None:
    """Leaves everybody of a clump where it is, and to itself."""
    now.is_free_M[lead] = False
    v = lead
    while v != NOBODY:
        following = now.next_M[v]
        now.lead_M[v], now.next_M[v] = v, NOBODY
        v = following


@bare
def gather_clumps(fixed: LookArrays, now: RoundArrays) -> None:
    """Puts demand and prices of clumps on their leads; the demand that is there already stays there."""
    for i in range(fixed.tied.size):
        v = fixed.tied[i]
        lead = now.lead_M[v]
        if lead != v:
            for r in range(RESOURCES):
                now.demand_MR[lead, r] += now.demand_MR[v, r]
                now.demand_MR[v, r] = 0.0
            for j in range(2):
                for b in range(1 + BLOCKS):
                    now.demand_MJB[lead, j, b] += now.demand_MJB[v, j, b]
                    now.demand_MJB[v, j, b] = 0.0
            now.price_M[lead] += now.price_M[v]
            now.price_M[v] = 0.0


@inlined
def are_as_before(fixed: LookArrays, now: RoundArrays, host_of_M: IntArray) -> bool:
    """Whether the clumps are those of the last look: nobody whom a VM-VM affinity rule names has gone elsewhere."""
    gone = 0
    for i in range(fixed.tied.size):
        gone += host_of_M[fixed.tied[i]] != now.home_M[fixed.tied[i]]
    return gone == 0
