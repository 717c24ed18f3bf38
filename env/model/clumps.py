"""Clumps: VMs that R5 ties to one another on their host, so that they can only leave it together.

A planner that may stop after any move cannot move one of them alone. It can move all of them, one after another, and
that is a choice like any other: one VM, the *lead*, stands for the clump with the demand of all, and the others demand
nothing. So whatever ranks, weighs or forbids moves of single VMs does it for clumps as well.

This holds where the rules say the same of all of them: they run, none has a vGPU, HA restarts and overcommit shrinks
all or none, R3 gives them the same hosts, and R4 keeps no two of them apart. Other clumps stay where they are. After
each of the moves the target takes less than after the last (R1, R8). A restart plan that serves before the moves and
after them (R7: the quick test of `headroom.py`) serves in between as well, as it takes the lead as a whole on either
side; where the two would be different plans, moves must be judged VM by VM (`check_moves`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from .cluster import NOWHERE, Array, BoolArray, IntArray, Inventory, read_only
from .rules import Violation, allowed_moves_NH, bound_M, check_move, tied_together
from .state import State, state_from_demand

NO_CLUMP = -1  # of `alike_M`


@dataclass(frozen=True, eq=False)
class Clumps:
    """The clumps of a cluster that can be moved as one VM.

    Attributes:
        vms_of: the VMs of each clump, ascending, by the first of them, its lead.
    """

    vms_of: Mapping[int, IntArray] = field(default_factory=dict)

    def moves(self, m: int, target: int) -> tuple[tuple[int, int], ...]:
        """The moves that bring m, and all that it is the lead of, to a host; (m, target) in order."""
        return tuple((int(v), target) for v in self.vms_of.get(m, (m,)))

    def size_M(self, count: int) -> IntArray:
        """How many moves each of so many movables takes with all that it leads; shape (M,)."""
        size_M = np.ones(count, dtype=np.int64)
        for lead, vms in self.vms_of.items():
            size_M[lead] = len(vms)
        return size_M

    def lead(self, m: int) -> int:
        """Who stands for m; m itself where it is in no clump."""
        return next((lead for lead, vms in self.vms_of.items() if m in vms), m)

    def gathered(self, values_MX: Array) -> Array:
        """Values of movables with those of a clump added up on its lead, and 0 on its others; shape (M, ...)."""
        gathered_MX = np.array(values_MX)
        for lead, vms in self.vms_of.items():
            for v in vms[1:]:  # one after another, as the kernels do it
                gathered_MX[lead] += values_MX[v]
            gathered_MX[vms[1:]] = 0.0
        return gathered_MX

    def as_one(self, state: State) -> State:
        """The state with the demand of every clump on its lead."""
        if not self.vms_of:
            return state
        demand_MR = self.gathered(state.demand_MR)
        return state_from_demand(state.inventory, demand_MR, state.host_of_M, swap_V=state.swap_V)

    def is_free_M(self, state: State) -> BoolArray:
        """Movables that run, stand somewhere and are tied to no other, and leads; shape (M,)."""
        is_alone_M = ~bound_M(state)
        is_alone_M[list(self.vms_of)] = True
        return np.asarray(state.inventory.is_on_M & (state.host_of_M != NOWHERE) & is_alone_M)

    def after(self, state: State, m: int, target: int) -> State:
        """The state after these moves."""
        for v, h in self.moves(m, target):
            state = state.moved(v, h)
        return state

    def check_moves(self, state: State, m: int, target: int, *, is_ha_enforced: bool) -> tuple[Violation, ...]:
        """Every rule that the move of m and of all that it leads breaks, VM by VM; empty where it is allowed.

        Args:
            state: VM by VM.
            m: what moves.
            target: where to.
            is_ha_enforced: whether R7 binds.
        """
        broken: tuple[Violation, ...] = ()
        for v, h in self.moves(m, target):
            broken += check_move(state, v, h, is_ha_enforced=is_ha_enforced)
            state = state.moved(v, h)
        return broken

    def allowed_moves_MH(self, state: State, is_free_M: BoolArray) -> BoolArray:
        """Moves of movables and leads that are free, as far as R1-R4, R6 and R8 allow them; shape (M, H)."""
        allowed_MH, free_N = np.zeros(state.inventory.is_allowed_MH.shape, dtype=np.bool_), np.flatnonzero(is_free_M)
        allowed_MH[free_N] = self.allowed_moves_NH(state, free_N)
        return allowed_MH

    def allowed_moves_NH(self, state: State, movables_N: IntArray) -> BoolArray:
        """Moves of some movables and leads that R1-R4, R6 and R8 allow; shape (N, H).

        Args:
            state: made by `as_one`, or by moves from there.
            movables_N: each once; of a clump its lead alone.
        """
        allowed_NH = allowed_moves_NH(state, movables_N)
        for n, m in enumerate(movables_N.tolist()):
            if m in self.vms_of and allowed_NH[n].any():
                allowed_NH[n] = allowed_moves_NH(state, self.vms_of[m]).all(axis=0)
        return allowed_NH


@dataclass(frozen=True, eq=False)
class Clumped:
    """A cluster while a plan grows, for planners that take one move after another.

    Attributes:
        before: the state VM by VM, by which moves are judged.
        clumps: VMs that move as one.
        state: the same with the demand of each clump on its lead.
        is_free_M: movables and leads that may still move: nothing does so twice in one plan; shape (M,).
    """

    before: State
    clumps: Clumps
    state: State
    is_free_M: BoolArray

    @staticmethod
    def of(before: State, settled: frozenset[int] = frozenset()) -> Clumped:
        """The cluster before any move, or after those of the movables that are `settled`."""
        clumps = clumps_of(before, settled)
        is_free_M = clumps.is_free_M(before)
        is_free_M[list(settled)] = False
        return Clumped(before, clumps, clumps.as_one(before), is_free_M)

    def moved(self, m: int, target: int) -> Clumped:
        """The cluster after the move of m, and of all that it leads."""
        before, state = (self.clumps.after(state, m, target) for state in (self.before, self.state))
        is_free_M = self.is_free_M.copy()
        is_free_M[m] = False
        return replace(self, before=before, state=state, is_free_M=is_free_M)

    def allowed_moves_NH(self, movables_N: IntArray) -> BoolArray:
        """Moves that R1-R4, R6 and R8 allow; shape (N, H).

        Args:
            movables_N: some that are free, each once.
        """
        return self.clumps.allowed_moves_NH(self.state, movables_N)

    def check_moves(self, m: int, target: int, *, is_ha_enforced: bool) -> tuple[Violation, ...]:
        """Every rule that the move of m and of all that it leads breaks, VM by VM; empty where it is allowed.

        Args:
            is_ha_enforced: whether R7 binds.
        """
        return self.clumps.check_moves(self.before, m, target, is_ha_enforced=is_ha_enforced)


def clumps_of(state: State, without: frozenset[int] = frozenset()) -> Clumps:
    """The clumps that can be moved as one.

    Args:
        state: the cluster.
        without: movables that must stay; their clumps are left out.
    """
    inventory = state.inventory
    alike_M = alike(inventory)
    vms_of = {}
    for vms in _joined(tied_together(state)):
        is_one = alike_M[vms[0]] != NO_CLUMP and (alike_M[vms] == alike_M[vms[0]]).all()
        if is_one and not (inventory.is_anti_MA[vms].sum(axis=0) > 1).any() and without.isdisjoint(vms.tolist()):
            vms_of[int(vms[0])] = vms
    return Clumps(vms_of)


@lru_cache(maxsize=64)
def alike(inventory: Inventory) -> IntArray:
    """A number for each movable, the same where all rules but R4 treat them alike; shape (M,).

    R3, HA and overcommit tell VMs apart; sessions, VMs that are off and those with a vGPU have `NO_CLUMP`.
    """
    alike_M = np.full(inventory.movable_count, NO_CLUMP)
    numbers: dict[tuple[bool, bool, bytes], int] = {}
    for v, vm in enumerate(inventory.vms):
        if vm.is_on and vm.gpu is None:
            key = vm.is_ha, vm.is_overcommit, inventory.is_allowed_MH[v].tobytes()
            alike_M[v] = numbers.setdefault(key, len(numbers))
    return read_only(alike_M, dtype=np.int64)


@lru_cache(maxsize=64)
def largest_clump(inventory: Inventory) -> int:
    """How many VMs a clump can have at most, 1 where there is none."""
    return max((len(vms) for vms in _joined([members for _, members in inventory.affinity_members])), default=1)


def _joined(groups: list[IntArray]) -> list[IntArray]:
    """Groups with those that share a VM made one; each ascending, by their first VM."""
    joined: list[set[int]] = []
    for group in groups:
        one = set(group.tolist())
        for other in [known for known in joined if not known.isdisjoint(one)]:
            joined.remove(other)
            one |= other
        joined.append(one)
    return [np.array(sorted(one), dtype=np.int64) for one in sorted(joined, key=min)]
