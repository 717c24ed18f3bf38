"""Planners over the same episodes: figures, pairs, and what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from quell.env.model.errors import QuellError
from quell.env.world.rounds import EpisodeResult
from quell.experiments.bootstrap import Interval
from quell.experiments.compare import compare, compare_suites

Results = dict[str, list[EpisodeResult]]
SuiteBuilder = Callable[..., list[EpisodeResult]]

PLANNER_KEYS = {
    "cost_core_minutes",
    "overload_core_minutes",
    "unserved_core_minutes",
    "swap_gib_minutes",
    "moved_gib",
    "moves",
    "contended_host_minutes",
    "violations",
    "episodes",
    "intervals",
    "plan_seconds",
}
PAIRED_KEYS = {
    "difference_percent",
    "interval_percent",
    "interval_by_day_percent",
    "probability_of_improvement",
    "regret_closed",
}


class TestFigures:
    def test_of_a_small_suite_by_hand(self, suite: SuiteBuilder) -> None:
        comparison = compare(
            {
                "ads": suite([100, 200, 300, 400]),
                "learned": suite([50, 100, 150, 900]),
                "clairvoyant": suite([20, 50, 100, 500]),
            }
        )
        learned, difference = comparison.summary("learned"), comparison.difference("learned")
        assert learned is not None and difference is not None
        assert learned.cost_core_minutes.value == pytest.approx(125)  # of 100 and 150
        assert learned.overload_core_minutes.value == pytest.approx(100)
        assert learned.moved_gib.value == pytest.approx(25)
        assert learned.episode_costs == (50, 100, 150, 900)
        assert difference.core_minutes.value == pytest.approx(-125)
        assert difference.percent == pytest.approx(-50)
        assert difference.probability_of_improvement.value == 0.75
        assert difference.regret_closed == pytest.approx((250 - 125) / (250 - 75))

    def test_the_middle_terms_add_up_to_the_cost(self, many_results: Results) -> None:
        for summary in compare(many_results, resamples=10).planners:
            assert summary.middle_terms.total == pytest.approx(summary.cost_core_minutes.value)

    def test_violations_are_summed_not_averaged(self, result: Callable[..., EpisodeResult]) -> None:
        results = [result(seed=seed, violations=seed == 3) for seed in range(8)]
        (summary,) = compare({"ads": results}).planners
        assert summary.violations == 1

    def test_ties_are_half_an_improvement(self, suite: SuiteBuilder) -> None:
        difference = compare({"ads": suite([1, 2, 3, 4]), "tuned": suite([1, 2, 3, 3])}).difference("tuned")
        assert difference is not None
        assert difference.probability_of_improvement.value == pytest.approx((3 * 0.5 + 1) / 4)

    def test_whole_days_are_drawn_where_clusters_of_one_day_are_alike(self, suite: SuiteBuilder) -> None:
        """On one of three days of the trace the planner wins, on the others not: 60 clusters do not hide that."""
        ads, tuned = suite([100.0] * 60), suite([50.0] * 20 + [100.0] * 40)
        results = {
            name: [replace(result, day_name=f"day-{i // 20}") for i, result in enumerate(episodes)]
            for name, episodes in (("ads", ads), ("tuned", tuned))
        }
        comparison = compare(results)
        difference = comparison.difference("tuned")
        assert difference is not None and comparison.trace_days == 3
        assert difference.percent_interval is not None and difference.percent_interval.low > -50
        assert difference.percent_interval_by_day == Interval(-50, 0)
        assert comparison.to_json()["episode_days"] == [f"day-{i // 20}" for i in range(60)]

    def test_one_day_of_the_trace_has_no_interval_by_day(self, suite: SuiteBuilder) -> None:
        difference = compare({"ads": suite([1, 2, 3, 4]), "tuned": suite([1, 2, 3, 3])}).difference("tuned")
        assert difference is not None and difference.percent_interval_by_day is None

    def test_pairs_make_the_interval_narrow_where_episodes_differ_much(self, suite: SuiteBuilder) -> None:
        costs = np.geomspace(10, 100_000, 40)
        comparison = compare({"ads": suite(costs), "tuned": suite(0.9 * costs)})
        ads, difference = comparison.summary("ads"), comparison.difference("tuned")
        assert ads is not None and ads.cost_core_minutes.interval is not None
        assert ads.cost_core_minutes.interval.high > 3 * ads.cost_core_minutes.interval.low
        assert difference is not None and difference.percent_interval is not None
        assert difference.percent_interval.low == pytest.approx(-10)
        assert difference.percent_interval.high == pytest.approx(-10)

    def test_the_same_seed_gives_the_same_figures_whatever_the_order_of_episodes(self, many_results: Results) -> None:
        shuffled = {planner: results[::-1] for planner, results in many_results.items()}
        shuffled["none"] = many_results["none"]  # the first planner sets the order
        assert compare(many_results, resamples=200) == compare(shuffled, resamples=200)
        assert compare(many_results, resamples=200, seed=1) != compare(many_results, resamples=200)

    def test_ten_thousand_resamples_of_seven_planners_and_a_hundred_episodes_are_quick(
        self, suite: SuiteBuilder
    ) -> None:
        generator = np.random.default_rng(0)
        results = {name: suite(generator.gamma(3, 1000, 100), name) for name in ("ads", *"abcdef")}
        started = time.process_time()
        compare(results)
        assert time.process_time() - started < 2.0  # 0.4 s on a free core


class TestRegret:
    @pytest.mark.parametrize("clairvoyant", [[100, 100], [200, 200]])
    def test_is_not_defined_where_knowing_the_future_gains_nothing(
        self, suite: SuiteBuilder, clairvoyant: list[float]
    ) -> None:
        results = {"ads": suite([100, 100]), "clairvoyant": suite(clairvoyant), "learned": suite([50, 50])}
        difference = compare(results).difference("learned")
        assert difference is not None and difference.regret_closed is None

    def test_is_not_defined_without_clairvoyant(self, suite: SuiteBuilder) -> None:
        difference = compare({"ads": suite([100]), "learned": suite([50])}).difference("learned")
        assert difference is not None and difference.regret_closed is None


class TestFewEpisodes:
    def test_one_episode_has_figures_but_no_interval(self, suite: SuiteBuilder) -> None:
        comparison = compare({"ads": suite([100]), "learned": suite([80])})
        summary, difference = comparison.summary("learned"), comparison.difference("learned")
        assert summary is not None and summary.cost_core_minutes.interval is None
        assert difference is not None and difference.percent == pytest.approx(-20)
        assert difference.percent_interval is None and not difference.excludes_zero

    def test_a_reference_that_costs_nothing_leaves_no_percentage(self, suite: SuiteBuilder) -> None:
        comparison = compare({"ads": suite([0] * 8), "learned": suite([5] * 8)})
        difference = comparison.difference("learned")
        assert difference is not None and difference.percent is None and difference.percent_interval is None
        assert difference.core_minutes.value == 5
        assert difference.excludes_zero

    def test_a_reference_that_costs_nothing_in_some_resample_leaves_no_interval_of_percent(
        self, suite: SuiteBuilder
    ) -> None:
        difference = compare({"ads": suite([0, 0, 0, 90]), "x": suite([1, 1, 1, 80])}).difference("x")
        assert difference is not None and difference.percent_interval is None
        assert difference.core_minutes.interval is not None


class TestSuitesAndTrainings:
    def test_suites_may_use_the_same_seeds(self, suite: SuiteBuilder) -> None:
        suites = {"small": {"ads": suite([1, 2])}, "large": {"ads": suite([10, 20, 30])}}
        comparison = compare_suites(suites)
        assert comparison.seeds == (("small", 1), ("small", 2), ("large", 1), ("large", 2), ("large", 3))

    def test_a_policy_trained_twice_is_judged_on_both(self, suite: SuiteBuilder) -> None:
        results = {"ads": suite([100, 100]), "learned": suite([50, 50]) + suite([150, 150])}
        comparison = compare(results)
        learned, difference = comparison.summary("learned"), comparison.difference("learned")
        assert learned is not None and learned.trainings == 2
        assert learned.episode_costs == (100, 100)
        assert difference is not None and difference.probability_of_improvement.value == 0.5
        assert difference.percent_interval is not None
        assert difference.percent_interval.low == pytest.approx(-50)  # both draws may be of the same training
        assert difference.percent_interval.high == pytest.approx(50)


class TestJson:
    def test_has_exactly_the_documented_keys_and_survives_json(self, many_results: Results) -> None:
        document = json.loads(json.dumps(compare(many_results, resamples=50).to_json(), allow_nan=False))
        assert set(document) == {"planners", "against", "paired", "pairs", "episode_days"}
        assert document["against"] == "ads"
        assert set(document["planners"]) == set(many_results)
        assert set(document["paired"]) == set(many_results) - {"ads"}
        assert all(set(figures) == PLANNER_KEYS for figures in document["planners"].values())
        assert all(set(figures) == PAIRED_KEYS for figures in document["paired"].values())
        assert len(document["planners"]["ads"]["episodes"]) == 20
        low, high = document["paired"]["learned"]["interval_percent"]
        assert low < document["paired"]["learned"]["difference_percent"] < high

    def test_every_averaged_figure_has_its_interval(self, many_results: Results) -> None:
        learned = compare(many_results, resamples=50).to_json()["planners"]["learned"]  # type: ignore[index]
        assert set(learned["intervals"]) == PLANNER_KEYS - {"violations", "episodes", "intervals", "plan_seconds"}
        for name, (low, high) in learned["intervals"].items():
            assert low <= learned[name] <= high
        assert learned["plan_seconds"] == 0.5

    def test_with_several_references_the_first_is_the_main_one(self, many_results: Results) -> None:
        several = compare(many_results, against=("ads", "tuned", "absent"), resamples=50).to_json()
        assert several["against"] == "ads" and set(several["pairs"]) == {"ads", "tuned"}  # type: ignore[call-overload]
        assert several["pairs"]["ads"] == several["paired"]  # type: ignore[index]
        alone = compare(many_results, against="tuned", resamples=50).to_json()
        assert several["pairs"]["tuned"] == alone["paired"]  # type: ignore[index]
        assert set(alone["paired"]) == set(many_results) - {"tuned"}  # type: ignore[call-overload]

    def test_what_is_not_defined_is_null(self, suite: SuiteBuilder) -> None:
        document = compare({"ads": suite([0]), "learned": suite([5])}).to_json()
        paired = json.loads(json.dumps(document, allow_nan=False))["paired"]["learned"]
        assert paired["difference_percent"] is None
        assert paired["interval_percent"] == [None, None]
        assert paired["regret_closed"] is None

    def test_without_the_reference_nothing_is_paired(self, suite: SuiteBuilder) -> None:
        document = compare({"none": suite([5, 6])}).to_json()
        assert document["against"] is None
        assert document["paired"] == document["pairs"] == {}


class TestRefusals:
    def test_planners_that_played_other_episodes(self, suite: SuiteBuilder) -> None:
        with pytest.raises(QuellError, match="'tuned' lacks the episode with seed 1, which 'ads' has"):
            compare({"ads": suite([1, 2]), "tuned": suite([1, 2], first_seed=2)})
        with pytest.raises(QuellError, match="'ads' lacks the episode with seed 3, which 'tuned' has"):
            compare({"ads": suite([1, 2]), "tuned": suite([1, 2, 3])})
        with pytest.raises(QuellError, match="lacks the episode with seed 1 of suite 'b'"):
            compare_suites({"a": {"ads": suite([1]), "x": suite([1])}, "b": {"ads": suite([1])}})

    def test_a_training_that_left_out_an_episode(self, suite: SuiteBuilder) -> None:
        with pytest.raises(QuellError, match="'learned' has seed 1 2 times and seed 2 1"):
            compare({"ads": suite([1, 2]), "learned": suite([1, 2]) + suite([1])})

    def test_nothing_to_compare(self) -> None:
        with pytest.raises(QuellError, match="no planner"):
            compare({})
        with pytest.raises(QuellError, match="'ads' has no episode"):
            compare({"ads": []})

    def test_a_cost_that_is_no_number(self, result: Callable[..., EpisodeResult]) -> None:
        broken = replace(result(seed=4), costs=replace(result().costs, swap_gib_minutes=float("nan")))
        with pytest.raises(QuellError, match="'ads', seed 4, is nan"):
            compare({"ads": [broken]})
