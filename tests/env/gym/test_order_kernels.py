"""Movables in order, batch by batch, as one stable sort has them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from quell.env.gym.order_kernels import sort_more
from quell.env.gym.rank_arrays import Ranks, new_ranks

worths = st.lists(
    st.one_of(st.just(0.0), st.sampled_from([1e-12, 0.5, 1.0, 3.0]), st.floats(1e-9, 1e6)), min_size=1, max_size=60
)


@njit
def sort_all(ranks: Ranks, wanted: int) -> None:
    """Asks for batch after batch."""
    while sort_more(ranks, 1, wanted):
        pass


@given(worths=worths, wanted=st.integers(1, 70))
def test_batches_make_a_stable_sort(worths: list[float], wanted: int) -> None:
    ranks = new_ranks(M=len(worths), H=1, F=1, L=1, Q=1, N=1)
    ranks.worth_2M[1] = worths
    sort_all(ranks, wanted)
    best = np.argsort(-ranks.worth_2M[1], kind="stable")
    np.testing.assert_array_equal(ranks.order_2M[1, : ranks.known_2[1]], best[: np.count_nonzero(worths)])
