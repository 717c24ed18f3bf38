"""Lower node scores at the same cost: the second goal among valid plans, by local search in numba.

A plan is changed a little (another target and place in the order, targets exchanged, another movable of the same cost),
replayed under all rules, and kept if the sum of its targets' node scores is lower. The score of a target is taken just
after its move, so the order counts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..env.model.cluster import RESOURCES, IntArray
from .draft_kernels import excess
from .rule_kernels import has_reservation, inner, is_allowed, shift
from .search_board import Board

SAME_COST_GIB = 1e-9
HA_WORK = 10_000  # failures times `ha` VMs for which asking for R7 takes as long as to replay a move
GAIN = 1e-9  # a score must be lower by more than this to count as lower


@inner
def replay_score(b: Board, moves: IntArray, n: int, below: float) -> float:
    """Sum of the targets' node scores of the plan, inf where it is not below a bar or breaks a rule R1-R9.

    The bar comes before R7, which takes longer than all other rules together. The board is put back.

    Args:
        b: the board before the plan.
        moves: movables and targets, in order; shape (2, at least n).
        below: the bar.
    """
    score = _replay(b, moves, n, False)
    if score < below and b.failed_SF.size > 0:
        score = _replay(b, moves, n, True)
    return score if score < below else np.inf


@inner
def _replay(b: Board, moves: IntArray, n: int, is_ha_asked: bool) -> float:
    """The score of the plan, inf where it breaks a rule; R7 only if asked."""
    sources = np.empty(n, dtype=np.int64)
    done, score = 0, 0.0
    while done < n and is_allowed(b, moves[0, done], moves[1, done]):
        sources[done] = shift(b, moves[0, done], moves[1, done])
        score += _node_score(b, moves[1, done])
        done += 1
        if is_ha_asked and not has_reservation(b):
            score = np.inf
            break
    if done < n or (score < np.inf and not _is_resolved(b, moves, n)):
        score = np.inf
    while done > 0:
        done -= 1
        shift(b, moves[0, done], sources[done])
    return score


@inner
def _node_score(b: Board, h: int) -> float:
    """Node score of a host as it is."""
    score = b.hosts[h].vgpu_gib * b.hosts[h].vgpu_weight
    for r in range(RESOURCES):
        score += b.hosts[h].used[r] * b.hosts[h].score_weight[r]
    return score


@inner
def _is_resolved(b: Board, moves: IntArray, n: int) -> bool:
    """R9 and R5 at the end of the moves."""
    for h in range(b.hosts.size):
        for r in range(RESOURCES):
            if b.hosts[h].is_contended and excess(b, h, r) > 0:
                return False
        for i in range(b.hosts[h].first_unit, b.hosts[h].end_unit if not b.hosts[h].is_up else b.hosts[h].first_unit):
            u = b.by_efficiency_RU[0, i]
            if b.units[u].must_leave and b.movables[b.member[b.units[u].first_member]].host == h:
                return False
    for i in range(n):
        u = b.movables[moves[0, i]].unit
        for j in range(b.units[u].first_member, b.units[u].end_member):
            if b.movables[b.member[j]].host != b.movables[moves[0, i]].host:
                return False
    return True


@njit(cache=True)
def polish(b: Board, moves: IntArray, n: int, tries: int) -> float:
    """Improves the order and the targets of a valid plan in place; its cost stays.

    Args:
        b: the board before the plan; put back.
        moves: movables and targets, in order; shape (2, at least n).
        tries: plans to replay at most.

    Returns:
        the score of the plan.
    """
    best = replay_score(b, moves, n, np.inf)
    trial, left = np.empty((2, n), dtype=np.int64), np.full(1, tries)
    before = np.inf
    while best < before - GAIN:
        before = best
        for step in range(n):  # first every target in its place, then one place later, ...
            for i in range(n):
                for target in range(b.hosts.size if left[0] > 0 else 0):
                    _copy_moves(moves, trial, n)
                    if _retarget(b, trial, n, i, target, (i + step) % n):
                        best = _keep_if_better(b, moves, trial, n, best, left)
        for i in range(n):
            for j in range(i):
                _copy_moves(moves, trial, n)
                trial[1, i], trial[1, j] = trial[1, j], trial[1, i]
                if trial[1, i] != trial[1, j]:
                    best = _keep_if_better(b, moves, trial, n, best, left)
            for other in range(b.movables.size if left[0] > 0 else 0):
                for target in range(b.hosts.size if _may_replace(b, moves, n, i, other) else 0):
                    _copy_moves(moves, trial, n)
                    trial[0, i], trial[1, i] = other, target
                    best = _keep_if_better(b, moves, trial, n, best, left)
    return best


@inner
def _keep_if_better(b: Board, moves: IntArray, trial: IntArray, n: int, best: float, left: IntArray) -> float:
    """Replays the changed plan and keeps it if its score is lower; returns the best score; nothing without tries."""
    if left[0] <= 0:
        return best
    score = replay_score(b, trial, n, best - GAIN)
    left[0] -= 1 + (b.failed_SF.shape[0] * b.restart_order.size // HA_WORK if score < np.inf else 0)
    if score < np.inf:
        _copy_moves(trial, moves, n)
        return score
    return best


@inner
def _copy_moves(source: IntArray, target: IntArray, n: int) -> None:
    """Writes n moves over others."""
    for i in range(n):
        target[0, i], target[1, i] = source[0, i], source[1, i]


@inner
def _retarget(b: Board, trial: IntArray, n: int, i: int, target: int, place: int) -> bool:
    """Gives the unit of move i another target, and move i another place in the order; False where that is no change."""
    m = trial[0, i]
    if not b.can_MH[m, target] or (target == trial[1, i] and place == i):
        return False
    for j in range(n):
        if b.movables[trial[0, j]].unit == b.movables[m].unit:
            trial[1, j] = target
    step, j = 1 if place > i else -1, i
    while j != place:
        trial[0, j], trial[1, j] = trial[0, j + step], trial[1, j + step]
        j += step
    trial[0, place], trial[1, place] = m, target
    return True


@inner
def _may_replace(b: Board, moves: IntArray, n: int, i: int, other: int) -> bool:
    """Whether `other`, which the plan does not move, costs the same as the movable of move i; both units of one."""
    m = moves[0, i]
    u, v = b.movables[m].unit, b.movables[other].unit
    is_same_cost = abs(b.movables[m].cost_gib - b.movables[other].cost_gib) <= SAME_COST_GIB
    if not is_same_cost or b.units[u].end_member - b.units[u].first_member > 1:
        return False
    is_moved = False
    for j in range(n):
        is_moved = is_moved or moves[0, j] == other or (j != i and moves[0, j] == m)
    return not is_moved and b.units[v].end_member - b.units[v].first_member == 1
