"""The search for the cheapest moves after which some host can take a VM that is on none yet.

The VM is put on one host after another as if it were there, and branch and bound (`placement_kernels.py`) seeks the
cheapest placement of the others that leaves this host within all its limits: memory, thresholds, GPUs, HA reservation.
Cost limits rise together for all hosts, so that cheap plans are found first and dear hosts are never searched. The
order of the moves is sought on the cluster without the VM, which starts when they are done. A host that was contended
before may stay so, and a host in maintenance need not be emptied: that is for remediation to resolve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..env.model.cluster import CPU, MEMORY, NOWHERE, RESOURCES, STORAGE, TOLERANCE
from ..env.model.gpu import vgpus_fit
from ..env.model.plan import COST_TOLERANCE_GIB
from ..env.model.rules import is_ha_binding
from ..env.model.state import State
from .polish_kernels import polish
from .refusal import NAMES
from .search import SearchLimits
from .search_board import Board
from .search_tree import EPSILON_GIB
from .solver import POLISH_WORK, Solver

LIMIT_STEPS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, np.inf)  # times the least any host could cost
BRANCH_NODES = 100  # for each host and limit, in the first turn
TURN_GROWTH = 2


@dataclass(frozen=True)
class Room:
    """What the search found.

    Attributes:
        target: index of the host that takes the VM; -1 where there is none.
        moves: (movable, target host) in order; they make room there.
        reason: how good the plan is known to be, or why there is none; a clause for people.
        nodes: effort.
    """

    target: int
    moves: tuple[tuple[int, int], ...]
    reason: str
    nodes: int


def possible_hosts(state: State, m: int) -> list[int]:
    """Hosts that are up, allowed by R3, and would hold the VM if they were empty (R1, R6, R8)."""
    inventory = state.inventory
    can_H = inventory.is_up_H & inventory.is_allowed_MH[m]
    can_H &= (state.demand_MR[m] <= inventory.limit_HR).all(axis=1)
    gpu = inventory.vms[m].gpu
    return [int(h) for h in np.flatnonzero(can_H) if gpu is None or vgpus_fit(inventory.gpu_stock_H[h], [gpu])]


def blocking_fact(state: State, m: int, hosts: Sequence[int]) -> str | None:
    """A fact that no moves can change, as a clause; None where there is none of these kinds."""
    inventory = state.inventory
    if not hosts:
        return "no host that may run it would hold it even if it were empty"
    room_HR = np.maximum(inventory.limit_HR - state.used_HR, 0.0)[inventory.is_up_H]
    for r in range(RESOURCES):
        if state.demand_MR[m, r] > room_HR[:, r].sum() + TOLERANCE:
            what, unit = NAMES[r]
            return (
                f"moving others cannot help: it needs {state.demand_MR[m, r]:.2f} {unit} of {what}, "
                f"and all hosts together have {room_HR[:, r].sum():.2f} {unit} left"
            )
    return _too_little_to_restart(state, m) if is_ha_binding(state) else None


def _too_little_to_restart(state: State, m: int) -> str | None:
    """R7, were VMs divisible: all `ha` VMs on hosts that are up must fit on those that are left, wherever they are."""
    inventory = state.inventory
    V = inventory.vm_count
    is_up_V = (state.host_of_M[:V] != NOWHERE) & inventory.is_up_H[state.host_of_M[:V]]
    is_up_V[m] = True
    need_gib = float(state.demand_MR[:V, MEMORY][is_up_V & inventory.is_ha_V].sum())
    limit_gib = np.sort(inventory.limit_HR[inventory.is_up_H, MEMORY])
    failures = min(inventory.high_availability.host_failures, limit_gib.size)
    left_gib = float(limit_gib[: limit_gib.size - failures].sum())
    if need_gib <= left_gib + TOLERANCE:
        return None
    failing = "host fails" if failures == 1 else f"{failures} hosts fail"
    return (
        f"moving others cannot help: the VMs to restart need {need_gib:.1f} GiB with it, "
        f"and {left_gib:.1f} GiB are left when the largest {failing}"
    )


def make_room(state: State, m: int, hosts: Sequence[int], limits: SearchLimits) -> Room:
    """The cheapest ordered moves after which one of the hosts can take the VM, or why there are none.

    Args:
        state: the VM is on and on no host; its demand is known.
        m: the VM.
        hosts: hosts it may start on, the best first: at the same cost the earlier one is taken.
        limits: when the search gives up; only the nodes count.
    """
    return _Search(RoomSolver(state, m), hosts, limits).run()


class RoomSolver(Solver):
    """The engines of the search, aimed at one host at a time.

    Attributes:
        target: the host it is aimed at.
    """

    def __init__(self, state: State, m: int) -> None:
        super().__init__(state)
        self.target = NOWHERE
        self._m = m
        self._calm = _calm(self.start)
        self._must_gib = 0.0  # nothing has to leave a host in maintenance

    def aim(self, target: int) -> None:
        """The VM is on `target` as if it had started there; what was lost elsewhere is forgotten."""
        self.target = target
        self._draft, self._lifted = _with_vm(self._calm, self.start, self._m, target), self.start.copy()
        self.lost_gib = np.inf

    def polished(self, moves: np.ndarray) -> np.ndarray:
        """The moves, or others of the same cost with lower node scores; whether they are valid is for others to say."""
        better, n = moves.copy(), moves.shape[1]
        if n > 0:
            polish(self._draft, better, n, POLISH_WORK // n)
        return better


def _calm(start: Board) -> Board:
    """The board where no host has to be relieved: hosts above their limits may stay as they are."""
    board = start.copy()
    hosts = board.hosts
    for r in (CPU, STORAGE):
        is_over_H = hosts["used"][:, r] > hosts["limit"][:, r]
        hosts["limit"][is_over_H, r] = hosts["used"][is_over_H, r] + TOLERANCE  # sums drift as things come and go
    hosts["needs_memory"], hosts["is_contended"] = False, False
    board.units["must_leave"] = False
    return board


def _with_vm(calm: Board, start: Board, m: int, target: int) -> Board:
    """The board with the VM on `target` as a newcomer, so that all its limits bind; R4 does not know it (soft)."""
    board = calm.copy()
    host, movable = board.hosts[target], board.movables[m]
    host["limit"] = start.hosts[target]["limit"]
    host["used"] += movable["demand"]
    host["is_contended"], host["arrivals"] = True, 1
    if movable["profile"] >= 0:
        board.profiles_HC[target, movable["profile"]] += 1
        host["vgpu_gib"] += movable["vgpu_gib"]
        host["vgpu_arrivals"] = 1
    movable["host"] = target
    return board


class _Search:
    """One run: which host is searched when, and what is known about each."""

    def __init__(self, solver: RoomSolver, hosts: Sequence[int], limits: SearchLimits) -> None:
        self.solver, self.hosts, self.limits = solver, hosts, limits
        self.bound_gib = dict.fromkeys(hosts, 0.0)  # no plan for this host costs less
        self.lost: set[int] = set()  # hosts with placements to which no order was found
        self.best_host = NOWHERE
        self.cheapest_gib = max(float(solver.start.units["cost_gib"].min(initial=np.inf)), 10 * EPSILON_GIB)

    def run(self) -> Room:
        """Turn by turn all hosts get more effort, until nothing is left to find or the limit is reached."""
        solver, turn = self.solver, 0
        for h in self.hosts:
            self._try(h, 2 * EPSILON_GIB, 1)  # the bound without any move
        while self._open() and self._nodes_left():
            self._turn(turn)
            turn += 1
        moves = solver.best_moves
        if moves is None:
            return Room(NOWHERE, (), self._reason(), solver.nodes)
        return Room(self.best_host, tuple((int(m), int(h)) for m, h in moves.T), self._reason(), solver.nodes)

    def _turn(self, turn: int) -> None:
        """All hosts under limits that rise from the least that any of them could cost."""
        base_gib = max(self.cheapest_gib, min(self.bound_gib[h] for h in self._open()))
        for step in LIMIT_STEPS:
            limit_gib = base_gib * step + 2 * EPSILON_GIB
            for h in self._open():
                if self.bound_gib[h] < limit_gib and self._nodes_left():
                    self._try(h, limit_gib, BRANCH_NODES * TURN_GROWTH**turn, turn)

    def _try(self, h: int, limit_gib: float, nodes: int, turn: int = 0) -> None:
        """Branch and bound for one host, with detours where placements have no order without them."""
        solver = self.solver
        solver.aim(h)
        solver.shuffle(turn)
        before_gib = solver.best_gib
        is_complete = solver.branch(min(limit_gib, before_gib), min(nodes, self._nodes_left()))
        if solver.lost_gib < solver.best_gib and self._nodes_left():
            limit_gib, solver.lost_gib = min(limit_gib, solver.best_gib), np.inf
            is_complete = solver.branch(limit_gib, min(nodes, self._nodes_left()), may_detour=True)
        if solver.best_gib < before_gib:
            self.best_host = h
        if solver.lost_gib < solver.best_gib:
            self.lost.add(h)
        else:
            self.lost.discard(h)
        if is_complete:
            self.bound_gib[h] = max(self.bound_gib[h], min(solver.next_gib, solver.best_gib))

    def _open(self) -> list[int]:
        """Hosts for which a cheaper plan than the best may exist."""
        # Bounds lie a little low, by the tolerance of the limits; documents do not tell such costs apart.
        return [h for h in self.hosts if self.bound_gib[h] < self.solver.best_gib - COST_TOLERANCE_GIB]

    def _nodes_left(self) -> int:
        return max(0, self.limits.nodes - self.solver.nodes)

    def _reason(self) -> str:
        """What is known about the plan, or why there is none."""
        is_closed, is_found = not self._open(), self.solver.best_moves is not None
        if is_found:
            if is_closed:
                return "no other way to make room is cheaper"
            floor_gib = min(self.bound_gib[h] for h in self._open())
            gap_gib = self.solver.best_gib - floor_gib
            return f"the search ended at {self.limits.nodes:,} nodes; none is cheaper by more than {gap_gib:.1f} GiB"
        if not is_closed:
            return f"no moves that make room were found within {self.limits.nodes:,} nodes; there may be some"
        if self.lost:
            return "others could stand so that there is room, but no order of moves leads there by the rules"
        return "every way to make room would end in contention or break a rule (proven by exhaustive search)"
