"""The lowest and the highest of many numbers, compiled, as numpy has them; and hosts worked out side by side."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from quell.env.gym.host_kernels import figures_with
from quell.env.gym.lane_kernels import CAPACITY, HIGH, PEAK, STRAIN, THRESHOLD, WEIGHTED, work_lanes
from quell.env.gym.look_arrays import BLOCKS, FAMILY_ROWS, LANE_ROWS, LANES, ROW_STEP, _turns
from quell.env.gym.lowest_kernels import first_lowest, highest_below, highest_of, least_of

values = st.lists(st.sampled_from([-1.5, -0.0, 0.0, 0.25, 3.0, np.inf]), max_size=40).map(
    lambda x: np.array(x, dtype=float)
)


@njit
def extremes(values_X: np.ndarray) -> tuple[int, float, float]:
    """Kernels that only kernels call, for Python."""
    return first_lowest(values_X), least_of(values_X), highest_of(values_X)


@njit
def highest_under(values_X: np.ndarray, above: float) -> float:
    """One more of them."""
    return highest_below(values_X, above)


@given(values_X=values)
def test_lowest_and_highest_are_those_of_numpy(values_X: np.ndarray) -> None:
    at, least, highest = extremes(values_X)
    assert least == values_X.min(initial=np.inf)
    assert highest == values_X.max(initial=-np.inf)
    assert at == (int(values_X.argmin()) if np.isfinite(values_X).any() else -1)


@given(values_X=values, above=st.sampled_from([0.0, 0.25, 3.0, np.inf]))
def test_highest_below_a_bound(values_X: np.ndarray, above: float) -> None:
    assert highest_under(values_X, above) == values_X[values_X < above].max(initial=0.0)


def test_hosts_side_by_side_are_as_hosts_one_by_one() -> None:
    lane_X = np.random.default_rng(0).exponential(5.0, LANE_ROWS * LANES)
    used_LB = lane_X[: (1 + BLOCKS) * LANES].reshape(1 + BLOCKS, LANES).T.copy()
    limits_L2 = np.stack([lane_X[THRESHOLD : THRESHOLD + LANES], lane_X[CAPACITY : CAPACITY + LANES]], axis=1)
    work_lanes.py_func(lane_X)
    for i in range(LANES):
        own = [lane_X[row + i] for row in (HIGH, PEAK, WEIGHTED, STRAIN)]
        np.testing.assert_allclose(own, figures_with.py_func(used_LB[i], used_LB[i], 0.0, *limits_L2[i]))


def test_rows_take_turns_by_their_rank_and_that_of_the_target() -> None:
    hosts = 3
    turns = _turns(hosts)[0, : FAMILY_ROWS[0] * hosts]
    seen = dict.fromkeys(range(FAMILY_ROWS[0]), 0)
    due = []
    for row in turns.tolist():
        due.append((seen[row] + ROW_STEP * row, row))
        seen[row] += 1
    assert due == sorted(due) and set(seen.values()) == {hosts}
