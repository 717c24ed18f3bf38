"""Interquartile means and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.experiments.bootstrap import Draw, Interval, boot_means, interquartile_mean, interval_of


def sorted_means(values_N: np.ndarray, count_NB: np.ndarray) -> np.ndarray:
    """The same as `boot_means`, one resample after another, by sorting it."""
    return np.array([interquartile_mean(np.repeat(values_N, count_N)) for count_N in count_NB.T])


class TestInterquartileMean:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([5.0], 5.0),
            ([1.0, 2.0], 1.5),
            ([0.0, 0.0, 9.0], 3.0),  # fewer than four: the mean
            ([0.0, 2.0, 4.0, 1000.0], 3.0),
            ([1000.0, 4.0, 2.0, 0.0], 3.0),
            ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 700.0], 3.5),
            ([0.0, 1.0, 2.0, 3.0, 99.0], 2.0),  # a quarter of five is one
        ],
    )
    def test_of_known_values(self, values: list[float], expected: float) -> None:
        assert interquartile_mean(np.array(values)) == pytest.approx(expected)


class TestResampling:
    @given(
        st.lists(st.floats(0, 1e6), min_size=1, max_size=24),
        st.integers(0, 2**32 - 1),
    )
    def test_the_fast_means_are_those_of_sorting(self, values: list[float], seed: int) -> None:
        values_N = np.array(values)
        count_NB = Draw(("",) * len(values), 40, seed).count_EB
        assert boot_means(values_N, count_NB) == pytest.approx(sorted_means(values_N, count_NB), rel=1e-9, abs=1e-6)

    def test_more_resamples_than_one_chunk_are_all_computed(self) -> None:
        values_N = np.arange(10.0)
        count_NB = Draw(("",) * 10, 4_500, 3).count_EB
        assert boot_means(values_N, count_NB) == pytest.approx(sorted_means(values_N, count_NB))

    def test_each_suite_keeps_its_number_of_episodes(self) -> None:
        count_EB = Draw(("a", "b", "a", "a", "b"), 500, 1).count_EB
        assert (count_EB[[0, 2, 3]].sum(axis=0) == 3).all()
        assert (count_EB[[1, 4]].sum(axis=0) == 2).all()
        assert count_EB.max() > 1

    def test_trainings_are_drawn_on_top_of_the_same_episodes(self) -> None:
        draw = Draw(("",) * 6, 300, 1)
        count_NB = draw.of_trainings(4)
        assert count_NB.shape == (24, 300)
        assert (count_NB.sum(axis=0) == 24).all()
        drawn_TB = count_NB.reshape(4, 6, 300).sum(axis=1) // 6
        assert (count_NB.reshape(4, 6, 300) == drawn_TB[:, None] * draw.count_EB).all()

    def test_the_same_seed_draws_the_same(self) -> None:
        first, again, other = (Draw(("",) * 9, 50, seed).count_EB for seed in (5, 5, 6))
        assert (first == again).all()
        assert (first != other).any()


class TestInterval:
    def test_it_covers_the_truth_about_as_often_as_it_says(self) -> None:
        generator = np.random.default_rng(2)
        covered = 0
        for trial in range(200):
            values_N = generator.normal(50.0, 10.0, 40)
            interval = interval_of(boot_means(values_N, Draw(("",) * 40, 400, trial).count_EB), 40)
            assert interval is not None
            covered += interval.low <= 50.0 <= interval.high
        assert 0.88 <= covered / 200 <= 0.99

    @pytest.mark.parametrize(("boot", "episodes"), [([1.0, 2.0], 1), ([1.0, np.inf], 9), ([np.nan, 2.0], 9)])
    def test_there_is_none_where_it_has_no_meaning(self, boot: list[float], episodes: int) -> None:
        assert interval_of(np.array(boot), episodes) is None

    @pytest.mark.parametrize(
        ("low", "high", "excludes"), [(-2, -1, True), (1, 2, True), (-1, 1, False), (0, 1, False), (-1, 0, False)]
    )
    def test_zero_is_outside_only_where_it_is_strictly_outside(self, low: float, high: float, excludes: bool) -> None:
        assert Interval(low, high).excludes_zero == excludes
