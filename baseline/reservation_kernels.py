"""R7 along a whole plan, in numba: whether every move keeps the HA reservation."""

from __future__ import annotations

from numba import njit

from ..env.model.cluster import IntArray
from .rule_kernels import has_reservation, shift
from .search_board import Board


@njit(cache=True)
def keeps_reservation(b: Board, moves_N2: IntArray) -> bool:
    """Whether the reservation holds after each of N moves (movable, target), which are made on the board."""
    for i in range(moves_N2.shape[0]):
        shift(b, moves_N2[i, 0], moves_N2[i, 1])
        if not has_reservation(b):
            return False
    return True
