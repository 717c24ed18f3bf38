"""The tuned rule: the pipeline of ADS, which relieves what it can instead of all or nothing.

    hot     a host whose estimated use is above `trigger` times a threshold; the hottest one first
    move    the cheapest one that brings it down to `aim`; where none does, the one with the most relief per GiB
    target  the one that is used least after it, and below `ceiling`

again and again, until no hot host can be relieved or the plan is full. What must leave its host leaves first: all of a
host in maintenance, and VMs of a host whose memory is overfull. The estimate is an argument: a quantile of the last
hour (`tuned`), or a forecast (`forecast`). R1-R8 are kept by the trend estimate, as by everyone; VMs that R5 ties to
one another move as one where that can be told (`clumps.py`), else they stay.

Shapes besides those of the model: J = CPU, STORAGE; N movables in question.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np

from ..env.model.clumps import Clumped
from ..env.model.cluster import CPU, NOWHERE, STORAGE, Array, BoolArray, Cluster, IntArray
from ..env.model.contention import contentions, must_leave_M
from ..env.model.cost import migration_cost_M
from ..env.model.memory import resizes
from ..env.model.plan import Plan, Status, moves_of
from ..env.model.rules import is_ha_binding
from ..env.model.state import State, state_of
from .estimates import DemandEstimate, RecentQuantile

BALANCED = (CPU, STORAGE)


@dataclass(frozen=True)
class TunedSettings:
    """When the rule acts, and how far it goes; shares are of a threshold.

    The defaults are the best of 55 settings on Bitbrains' validation part (`experiments/tuning.py`, seeds 0 and 1; 8-16
    hosts, loads of 0.60-0.75, HA): 24.9k core-minutes a day on 12 days, of 41.0k when nothing is done; on 12 other days
    30.0k of 47.4k.

    Attributes:
        quantile: of the estimate.
        window_minutes: that the estimate is about: the last ones, or those to come.
        trigger: estimated use above which a host is hot.
        aim: estimated use it is brought down to.
        ceiling: estimated use of a target after the move.
        move_gib: what a move costs beside the GiB to copy.
        least_relief: cores that a move must relieve for each GiB it costs.
        moves: after which a plan is full.
    """

    quantile: float = 0.5
    window_minutes: int = 30
    trigger: float = 1.0
    aim: float = 0.95
    ceiling: float = 1.0
    move_gib: float = 4.0
    least_relief: float = 0.1
    moves: int = 8


@dataclass(frozen=True, eq=False)
class _Board:
    """The cluster while the plan grows.

    Attributes:
        here: by the estimate that rules judge by.
        estimate_MJ: demand the rule acts on, cores, that of a clump on its lead; shape (M, J).
        used_HJ: the same summed by host; shape (H, J).
        is_tried_H: hosts that nothing helps; shape (H,).
    """

    here: Clumped
    estimate_MJ: Array
    used_HJ: Array
    is_tried_H: BoolArray

    @staticmethod
    def of(before: State, estimate_MJ: Array) -> _Board:
        """The cluster before any move."""
        here, hosts = Clumped.of(before), before.inventory.host_count
        estimate_MJ = here.clumps.gathered(estimate_MJ)
        placed = np.flatnonzero(before.host_of_M != NOWHERE)
        used_HJ = np.zeros((hosts, len(BALANCED)))
        np.add.at(used_HJ, before.host_of_M[placed], estimate_MJ[placed])
        return _Board(here, estimate_MJ, used_HJ, np.zeros(hosts, dtype=np.bool_))

    def moved(self, m: int, target: int) -> _Board:
        """The cluster after a move."""
        used_HJ = self.used_HJ.copy()
        used_HJ[self.state.host_of_M[m]] -= self.estimate_MJ[m]
        used_HJ[target] += self.estimate_MJ[m]
        return replace(self, here=self.here.moved(m, target), used_HJ=used_HJ)

    def without(self, h: int) -> _Board:
        """The same with a host given up."""
        is_tried_H = self.is_tried_H.copy()
        is_tried_H[h] = True
        return replace(self, is_tried_H=is_tried_H)

    @property
    def state(self) -> State:
        """The state with the demand of each clump on its lead."""
        return self.here.state

    @property
    def threshold_HJ(self) -> Array:
        """Thresholds of each host, cores; shape (H, J)."""
        settings = self.state.inventory.settings
        shares_J = np.array([settings.cpu_threshold, settings.storage_cpu_threshold])
        return np.asarray(self.state.inventory.capacity_HR[:, BALANCED] * shares_J)


@dataclass(frozen=True)
class Tuned:
    """Relieves hot hosts by an estimate.

    Attributes:
        settings: when it acts and how far it goes.
        estimate: demand it acts on; None: the settings' quantile of the last minutes.
    """

    settings: TunedSettings = TunedSettings()
    estimate: DemandEstimate | None = field(default=None)
    name: str = "tuned"
    observes_after_plan: bool = False

    def plan(self, cluster: Cluster) -> Plan:
        """The moves that relieve the hottest hosts."""
        started = time.perf_counter()
        before = state_of(cluster)
        found = contentions(before)
        estimate = self.estimate or RecentQuantile(self.settings.quantile, self.settings.window_minutes)
        moves, reasons, after = self._moves(_Board.of(before, estimate(cluster)))
        seconds = time.perf_counter() - started
        if not moves:
            status = Status.REFUSED if found else Status.NO_CONTENTION
            reason = "no allowed move relieves a hot host" if found else "no host is contended"
            return Plan(cluster.name, self.name, status, reason, found, solve_seconds=seconds)
        made = moves_of(before, moves, reasons)
        return Plan(
            cluster=cluster.name,
            planner=self.name,
            status=Status.PLANNED,
            reason=f"{_counted(len(made))} the hosts that are hottest by estimate",
            contentions=found,
            moves=made,
            resizes=resizes(before, after),
            cost_gib=sum(move.cost_gib for move in made),
            solve_seconds=seconds,
        )

    def _moves(self, board: _Board) -> tuple[list[tuple[int, int]], list[str], State]:
        """The moves in order, why each is made, and the state after them."""
        is_ha_enforced = is_ha_binding(board.here.before)
        moves: list[tuple[int, int]] = []
        reasons: list[str] = []
        while len(moves) < self.settings.moves:
            move, reason = _leaving(board, is_ha_enforced), "leaves a host in maintenance or short of memory"
            if move is None:
                h = _hottest(board, self.settings.trigger)
                if h is None:
                    break
                move = _relief(board, h, self.settings, is_ha_enforced)
                if move is None:
                    board = board.without(h)
                    continue
                use = (board.used_HJ[h] / board.threshold_HJ[h]).max()
                reason = f"relieves {board.state.inventory.hosts[h].id}, estimated at {use:.0%} of its threshold"
            added = board.here.clumps.moves(*move)
            board = board.moved(*move)
            moves += added
            reasons += [reason] * len(added)
        return moves, reasons, board.here.before


def _counted(moves: int) -> str:
    """ "1 move relieves", "2 moves relieve"."""
    return "1 move relieves" if moves == 1 else f"{moves} moves relieve"


def _leaving(board: _Board, is_ha_enforced: bool) -> tuple[int, int] | None:
    """What must leave its host, the largest first, and where to; None where nothing must or can."""
    leaving = np.flatnonzero(board.here.is_free_M & must_leave_M(board.state))
    if leaving.size == 0:
        return None
    cost_M = np.nan_to_num(migration_cost_M(board.state))
    return _first_allowed(board, leaving[np.argsort(-cost_M[leaving], kind="stable")], np.inf, is_ha_enforced)


def _hottest(board: _Board, trigger: float) -> int | None:
    """The host that is furthest above the trigger and may still be helped."""
    use_H = (board.used_HJ / board.threshold_HJ).max(axis=1)
    use_H[board.is_tried_H | ~board.state.inventory.is_up_H] = -np.inf
    h = int(use_H.argmax())
    return h if use_H[h] > trigger else None


def _relief(board: _Board, h: int, settings: TunedSettings, is_ha_enforced: bool) -> tuple[int, int] | None:
    """The cheapest move that brings a host down to the aim, else the one with the most relief per GiB."""
    candidates = np.flatnonzero(board.here.is_free_M & (board.state.host_of_M == h))
    aim_J = settings.aim * board.threshold_HJ[h]
    over = np.maximum(board.used_HJ[h] - aim_J, 0.0).sum()
    left_N = np.maximum(board.used_HJ[h] - board.estimate_MJ[candidates] - aim_J, 0.0).sum(axis=1)
    cost_N = np.nan_to_num(migration_cost_M(board.state))[candidates] + settings.move_gib
    relief_N = (over - left_N) / np.maximum(cost_N, 1e-9)
    is_full_N = left_N <= 1e-9
    order = np.lexsort((np.where(is_full_N, cost_N, -relief_N), ~is_full_N))
    order = order[relief_N[order] > settings.least_relief]
    return _first_allowed(board, candidates[order], settings.ceiling, is_ha_enforced)


def _first_allowed(board: _Board, movables: IntArray, ceiling: float, is_ha_enforced: bool) -> tuple[int, int] | None:
    """The first of some movables that may go somewhere, and the target that is used least after it."""
    for m, allowed_H in zip(movables, board.here.allowed_moves_NH(movables), strict=True):
        after_H = ((board.used_HJ + board.estimate_MJ[m]) / board.threshold_HJ).max(axis=1)
        targets = np.flatnonzero(allowed_H & (after_H <= ceiling))
        for h in targets[np.argsort(after_H[targets], kind="stable")]:
            # Of the rules only R7 is left to look at.
            if not is_ha_enforced or not board.here.check_moves(int(m), int(h), is_ha_enforced=True):
                return int(m), int(h)
    return None
