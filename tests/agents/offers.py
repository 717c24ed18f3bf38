"""Shortlists with chosen moves on them."""

from __future__ import annotations

import numpy as np

from quell.env.gym.shortlist import Kind, Shortlist


def offer(*moves: tuple[int, int], slots: int = 4) -> Shortlist:
    """A shortlist with exactly these moves."""
    movable_K, target_K, kind_K = np.full(slots, -1), np.full(slots, -1), np.full(slots, int(Kind.NONE))
    mask_S = np.zeros(slots + 1, dtype=np.bool_)
    mask_S[: len(moves) + 1] = True
    for k, (m, target) in enumerate(moves):
        movable_K[k], target_K[k], kind_K[k] = m, target, int(Kind.RELIEF)
    return Shortlist(movable_K, target_K, kind_K, mask_S)
