"""Final placements as a CP-SAT model: every rule that binds the end of a plan, and what is known about orders.

The model is a relaxation: figures become whole numbers, rounded so that no valid plan is lost, and what it does not
know yet (orders, restarts after a failure) is added once a placement shows that it is needed. So its bound holds for
every plan, and a placement that it likes has still to be judged.

What binds the end although it is asked after every move: a host that something came to is within R1, R4, R6 and R8
after the last arrival, and later departures keep it so. R7 is asked after the last move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from ..env.model.cluster import MEMORY, RESOURCES, Array, BoolArray, IntArray
from .exact_order import Draft
from .search_board import FREE, Board

DECIMALS = 6  # of figures in the model at most; as many as they need where that is less
SLACK = 1e-6  # of the last decimal: rounding errors of sums
CHEAPER_GIB = 1e-4  # a plan must be cheaper by more than this to count as cheaper: what rounding can hide


@dataclass(frozen=True)
class Scaled:
    """Figures as whole numbers: about `value * scale`, never more by more than `SLACK` in sum."""

    values: IntArray
    scale: int

    def limit(self, most: float) -> int:
        """The whole number that sums of values stay within where the figures stay within `most`."""
        return math.floor(most * self.scale + SLACK)


def scaled(values: Array) -> Scaled:
    """Figures with no more decimals than they need; what has more than `DECIMALS` is rounded down."""
    for decimals in range(DECIMALS + 1):
        whole = np.round(values * 10**decimals)
        if np.abs(values * 10**decimals - whole).sum() < SLACK / 2:
            return Scaled(whole.astype(np.int64), 10**decimals)
    return Scaled(np.floor(values * 10**DECIMALS).astype(np.int64), 10**DECIMALS)


Literal = cp_model.LiteralT
Term = tuple[Literal, int]
"""A literal and what it counts."""


def _weighted(terms: list[Term]) -> cp_model.LinearExprT:
    """Sum of what counts."""
    return cp_model.LinearExpr.weighted_sum([literal for literal, _ in terms], [count for _, count in terms])


class OutOfTimeError(Exception):
    """The model was not complete in time."""


class PlacementModel:
    """The model, which learns: every method but `draft` and `cost_gib` adds to it.

    Args:
        board: the start.
        has_time_left: asked while the model is built, which takes seconds for large clusters.

    Raises:
        OutOfTimeError: it had none left.
    """

    def __init__(self, board: Board, has_time_left: Callable[[], bool] = lambda: True) -> None:
        self.board, self._has_time_left = board, has_time_left
        self.cp = cp_model.CpModel()
        units = board.units
        can_UH = board.can_UH & (units["mode"] == FREE)[:, None]
        self._stays = [self.cp.new_bool_var("") if can_H.any() else None for can_H in can_UH]
        self._goes = [self._choices(can_H) for can_H in can_UH]
        self._there_H: dict[int, tuple[list[int], list[Literal]]] = {}
        self._arrivals = [[int(u) for u in np.flatnonzero(can_U)] for can_U in can_UH.T]
        self._demand_UR = [scaled(np.nan_to_num(units["demand"][:, r])) for r in range(RESOURCES)]
        self._need_M = scaled(board.movables["demand"][:, MEMORY])
        self._cost_M = scaled(board.movables["cost_gib"])
        self._terms: list[cp_model.LinearExprT] = []
        self._asked = (np.inf, 0)
        self._stops: dict[tuple[int, int], cp_model.IntVar] = {}
        self._rules_A = [
            [m for m in range(board.movables.size) if a in self._rules_of(m)] for a in range(board.members_HA.shape[1])
        ]
        self._place_units()
        for h in np.flatnonzero(board.hosts["is_up"]):
            self._go_on()
            self._fit(int(h))
            self._keep_apart(int(h))
            self._pack_vgpus(int(h))

    def _go_on(self) -> None:
        """Asks whether there is time left."""
        if not self._has_time_left():
            raise OutOfTimeError

    def _choices(self, can_H: BoolArray) -> dict[int, cp_model.IntVar]:
        """A variable for every host that a unit may go to."""
        self._go_on()
        return {h: self.cp.new_bool_var("") for h in np.flatnonzero(can_H).tolist()}

    @property
    def free(self) -> list[int]:
        """Units that can move."""
        return [u for u, stays in enumerate(self._stays) if stays is not None]

    def must_cost_less(self, cost_gib: float) -> None:
        """Only plans that are cheaper than this, by more than `CHEAPER_GIB`."""
        if (cost_gib, len(self._terms)) == self._asked:
            return
        self._asked = cost_gib, len(self._terms)
        self.cp.add(sum(self._terms) <= math.floor((cost_gib - CHEAPER_GIB) * self._cost_M.scale))

    def minimize(self) -> None:
        """Sets the objective, which grows with the stops that are known."""
        self.cp.minimize(sum(self._terms))

    def cost_gib(self, objective: float) -> float:
        """The cost that a value of the objective stands for."""
        return objective / self._cost_M.scale

    def draft(self, solver: cp_model.CpSolver) -> Draft:
        """The moves of the solution."""
        moving = [(u, h) for u in self.free for h, goes in self._goes[u].items() if solver.boolean_value(goes)]
        gone = {u for u, _ in moving}
        staying = np.flatnonzero(self.board.units["home"] >= 0)
        stops = [m for (m, _), stop in self._stops.items() if solver.boolean_value(stop)]
        return Draft(tuple(moving), tuple(int(u) for u in staying if u not in gone), tuple(sorted(stops)))

    def forbid(self, core: Draft, members: Iterable[int] = ()) -> None:
        """No plan has these moves and stays unless one of these movables stops on the way more often than here."""
        clause = [~self._goes[u][h] for u, h in core.moving]
        clause += [~stays for u in core.staying if (stays := self._stays[u]) is not None]
        for m in members:
            level = core.stops.count(m)
            if level < 2 and self.board.can_MH[m].any():
                clause.append(self._stop(m, level))
        self.cp.add_bool_or(clause)

    def survive(self, failed: Sequence[int]) -> None:
        """Every `ha` VM on these hosts can restart on the others (R7)."""
        board = self.board
        restarts_H: list[list[tuple[int, cp_model.IntVar]]] = [[] for _ in range(board.hosts.size)]
        survivors = [h for h in np.flatnonzero(board.hosts["is_up"]).tolist() if h not in failed]
        for v in board.restart_order:
            is_hit = [at for h in failed if (at := self._at(int(board.movables["unit"][v]), int(h))) is not None]
            if not is_hit:
                continue
            choices = [(h, self.cp.new_bool_var("")) for h in survivors if board.restart_MH[v, h]]
            self.cp.add(sum(restart for _, restart in choices) == sum(is_hit))
            for h, restart in choices:
                restarts_H[h].append((int(v), restart))
        for h in survivors:
            self._fit_restarts(h, restarts_H[h])

    def _fit_restarts(self, h: int, restarts: list[tuple[int, cp_model.IntVar]]) -> None:
        """Those who restart on h have memory and vGPUs there."""
        if not restarts:
            return
        is_any = self.cp.new_bool_var("")
        for _, restart in restarts:
            self.cp.add_implication(restart, is_any)
        room = self._need_M.limit(float(self.board.hosts["limit"][h, MEMORY]))
        needed = [(restart, int(self._need_M.values[v])) for v, restart in restarts]
        self.cp.add(_weighted([*self._memory_used(h), *needed]) <= room).only_enforce_if(is_any)
        self._pack(h, [(v, restart) for v, restart in restarts if self.board.movables["profile"][v] >= 0])

    def _place_units(self) -> None:
        """Every unit is on one host, and pays where it is not the one it comes from."""
        for u, stays in enumerate(self._stays):
            if self.board.units["must_leave"][u]:
                self.cp.add_bool_or([] if stays is None else [~stays])
            if stays is None:
                continue
            self.cp.add_exactly_one([stays, *self._goes[u].values()])
            cost = int(self._cost_M.values[self.members(u)].sum())
            self._terms.append(cost * (1 - stays))

    def _fit(self, h: int) -> None:
        """Within the limits of R1, R8 and R9 at the end; memory binds where something arrives or swaps."""
        host = self.board.hosts[h]
        for r in range(RESOURCES):
            if np.isnan(host["used"][r]):
                for u in self._arrivals[h]:
                    self.cp.add(self._goes[u][h] == 0)
                continue
            limit = self._demand_UR[r].limit(float(host["limit"][r]))
            there, literals = self._there(h)
            used = cp_model.LinearExpr.weighted_sum(literals, self._demand_UR[r].values[there].tolist())
            bound = self.cp.add(used <= limit)
            if r == MEMORY and host["used"][r] > host["limit"][r] and not host["needs_memory"]:
                bound.only_enforce_if(self._arrived(h))

    def _keep_apart(self, h: int) -> None:
        """R4: one newcomer at most, and then nobody else of the rule."""
        board = self.board
        for members in self._rules_A:
            goes = [g for m in members if (g := self._goes[board.movables["unit"][m]].get(h)) is not None]
            there = [int(board.movables["unit"][m]) for m in members if board.movables["host"][m] == h]
            if not goes:
                continue
            self.cp.add_at_most_one(goes)
            for u in there:
                stays = self._stays[u]
                self.cp.add_at_most_one([*goes, stays if stays is not None else 1])

    def _pack_vgpus(self, h: int) -> None:
        """R6 where a vGPU arrives: every GPU holds one profile."""
        board = self.board
        arriving = [(m, goes) for m in np.flatnonzero(board.movables["profile"] >= 0).tolist()
                    if (goes := self._goes[board.movables["unit"][m]].get(h)) is not None]  # fmt: skip
        self._pack(h, arriving, are_there=True)

    def _pack(self, h: int, coming: list[tuple[int, cp_model.IntVar]], *, are_there: bool = False) -> None:
        """What comes to h and is there at the end can be packed on its GPUs; what comes may be there already."""
        if not coming:
            return
        board = self.board
        slots_GC = board.slots_GC[board.hosts["first_gpu"][h] : board.hosts["end_gpu"][h]]
        is_split = [[self.cp.new_bool_var("") for _ in row] for row in slots_GC]
        for row in is_split:
            self.cp.add_at_most_one(row)
        is_any = self.cp.new_bool_var("")
        for _, comes in coming:
            self.cp.add_implication(comes, is_any)
        for c in range(slots_GC.shape[1]):
            used = [at for m in np.flatnonzero(board.movables["profile"] == c)
                    if (at := self._at(int(board.movables["unit"][m]), h)) is not None]  # fmt: skip
            used += [] if are_there else [comes for m, comes in coming if board.movables["profile"][m] == c]
            room = sum(int(slots_GC[g, c]) * is_split[g][c] for g in range(len(is_split)))
            self.cp.add(sum(used) <= room).only_enforce_if(is_any)

    def _stop(self, m: int, level: int) -> cp_model.IntVar:
        """Whether m stops on the way more than `level` times; a stop costs a move, and going home another."""
        if (m, level) in self._stops:
            return self._stops[m, level]
        stop, cost = self.cp.new_bool_var(""), int(self._cost_M.values[m])
        self._stops[m, level] = stop
        self._terms.append(cost * stop)
        stays = self._stays[self.board.movables["unit"][m]]
        if level > 0:
            self.cp.add_implication(stop, self._stop(m, level - 1))
        elif stays is None:
            self._terms.append(cost * stop)
        else:
            returns = self.cp.new_bool_var("")
            self.cp.add(returns >= stop + stays - 1)
            self._terms.append(cost * returns)
        return stop

    def members(self, u: int) -> IntArray:
        """The movables of a unit."""
        return self.board.member[self.board.units["first_member"][u] : self.board.units["end_member"][u]]

    def _rules_of(self, m: int) -> IntArray:
        """Anti-affinity rules of a movable."""
        return self.board.anti_rule[self.board.movables["first_rule"][m] : self.board.movables["end_rule"][m]]

    def _at(self, u: int, h: int) -> Literal | None:
        """Whether unit u is on host h at the end: a literal, 1 where it cannot leave, None where it cannot be."""
        if self.board.units["home"][u] == h:
            stays = self._stays[u]
            return 1 if stays is None else stays
        return self._goes[u].get(h)

    def _memory_used(self, h: int) -> list[Term]:
        """Memory in use on h at the end, in the scale of single needs."""
        need_U = np.zeros(self.board.units.size, dtype=np.int64)
        np.add.at(need_U, self.board.movables["unit"], self._need_M.values)
        there, literals = self._there(h)
        return list(zip(literals, need_U[there].tolist(), strict=True))

    def _there(self, h: int) -> tuple[list[int], list[Literal]]:
        """The units that may be on h at the end, and whether they are."""
        if h not in self._there_H:
            pairs = [(u, at) for u in range(len(self._stays)) if (at := self._at(u, h)) is not None]
            self._there_H[h] = [u for u, _ in pairs], [at for _, at in pairs]
        return self._there_H[h]

    def _arrived(self, h: int) -> cp_model.IntVar:
        """Whether something comes to h."""
        arrived = self.cp.new_bool_var("")
        for u in self._arrivals[h]:
            self.cp.add_implication(self._goes[u][h], arrived)
        return arrived
