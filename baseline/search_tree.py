"""The working memory of the search, and how a finished placement becomes the best plan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..env.model.cluster import NOWHERE, Array, IntArray
from .order_kernels import FOUND, find_order
from .rule_kernels import has_reservation, inner
from .search_board import MOVED, Board

EPSILON_GIB = 1e-6  # a plan must be cheaper by more than this to count as cheaper
TRIES_PER_NODE = 4  # moves tried that count as one node

LEVEL = np.dtype(
    [("count", "i8"), ("position", "i8"), ("kind", "i8"), ("unit", "i8"), ("spent_gib", "f8")],
    align=True,
)
TALLY = np.dtype(
    [
        ("nodes", "i8"),
        ("node_limit", "i8"),
        ("waiting", "i8"),  # units that wait
        ("found", "i8"),  # moves of the best plan, 0 where there is none
        ("lost_gib", "f8"),  # cost of the cheapest placement that fits but cannot be reached
        ("limit_gib", "f8"),  # only plans below this cost count
        ("next_gib", "f8"),  # lowest bound that was cut off by the limit
        ("may_add_extras", "?"),
        ("is_place_first", "?"),  # settle what waits before the next unit leaves
        ("is_best_fit", "?"),  # prefer the tightest host instead of the lowest node score
        ("only_host", "i8"),  # where >= 0: seek only the cheapest relief of this host, and settle nothing
    ],
    align=True,
)


class Tree(NamedTuple):
    """Working memory of the search: one row a level, and the best plan so far."""

    tally: np.ndarray  # (1,) of TALLY
    levels: np.ndarray  # of LEVEL
    options: IntArray  # (levels, width): units or hosts to try
    keys: Array  # (width): scratch for sorting
    waiting: IntArray
    draft_moves: IntArray  # (2, M): movables and targets of the placement at hand
    best_moves: IntArray  # (2, M + 2): those of the best plan, in order


def tree_of(b: Board, levels: int = 1024) -> Tree:
    """Memory for searches on a board."""
    levels = min(levels, 2 * b.units.size + 2)
    width = max(b.units.size, b.hosts.size)
    tally = np.zeros(1, dtype=TALLY)
    tally["only_host"], tally["limit_gib"], tally["next_gib"] = NOWHERE, np.inf, np.inf
    return Tree(
        tally=tally,
        levels=np.zeros(levels, dtype=LEVEL),
        options=np.zeros((levels, width), dtype=np.int64),
        keys=np.zeros(width),
        waiting=np.zeros(b.units.size, dtype=np.int64),
        draft_moves=np.zeros((2, b.movables.size), dtype=np.int64),
        best_moves=np.zeros((2, b.movables.size + 2), dtype=np.int64),
    )


@inner
def list_moves(b: Board, t: Tree) -> int:
    """Puts the moves settled so far into `draft_moves`; returns how many."""
    n = 0
    for m in range(b.movables.size):
        if b.units[b.movables[m].unit].mode == MOVED:
            t.draft_moves[0, n], t.draft_moves[1, n] = m, b.movables[m].host
            n += 1
    return n


@inner
def keep_if_ordered(b: Board, t: Tree, start: Board, cost_gib: float) -> bool:
    """Keeps the moves of a finished placement as the best plan if they are cheaper and can be put in an order."""
    tally = t.tally[0]
    if cost_gib > tally.limit_gib - EPSILON_GIB:
        return False
    n = list_moves(b, t)
    moves = t.draft_moves[:, :n]
    tries, order = np.full(1, 10 * n + 200), np.empty(n, np.int64)
    if start.failed_SF.size == 0 or has_reservation(b):
        if find_order(start, moves[0], moves[1], tries, order) == FOUND:
            for i in range(n):
                t.best_moves[0, i], t.best_moves[1, i] = moves[0, order[i]], moves[1, order[i]]
            tally.found, tally.limit_gib = n, cost_gib
            return True
        tally.nodes += (10 * n + 200 - tries[0]) // TRIES_PER_NODE
    tally.lost_gib = min(tally.lost_gib, cost_gib)
    return False
