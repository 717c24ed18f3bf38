"""Interquartile means and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.experiments.bootstrap import DayDraw, Draw, Interval, boot_means, interquartile_mean, interval_of


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

    def test_whole_days_are_drawn_with_all_their_episodes_and_each_suite_keeps_its_number_of_days(self) -> None:
        draw = DayDraw(("a", "a", "a", "b", "b"), ("mon", "mon", "tue", "mon", "tue"), 1, resamples=200)
        assert draw.days == 4
        seen = {tuple(sorted(episodes.tolist())) for episodes in draw.episodes_B}
        of_a = {(0, 0, 1, 1), (0, 1, 2), (2, 2)}
        assert seen == {tuple(sorted((*a, *b))) for a in of_a for b in ((3, 3), (3, 4), (4, 4))}

    def test_days_of_one_episode_each_give_the_interval_of_episodes(self) -> None:
        values_E = np.random.default_rng(0).lognormal(size=60)
        days = [str(e) for e in range(60)]
        by_day = interval_of(DayDraw([""] * 60, days, 1).means(values_E[None]), 60)
        by_episode = interval_of(boot_means(values_E, Draw([""] * 60, 4_000, 2).count_EB), 60)
        assert by_day is not None and by_episode is not None
        assert (by_day.low, by_day.high) == pytest.approx((by_episode.low, by_episode.high), rel=0.05)

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
