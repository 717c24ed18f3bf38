"""What is said of a comparison, and what is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quell.env.world.rounds import EpisodeResult
from quell.experiments.compare import compare
from quell.experiments.verdict import findings, lowest_planners, signed_percent, verdict

SuiteBuilder = Callable[..., list[EpisodeResult]]

ADS = [100.0, 110.0, 90.0, 105.0, 95.0, 100.0, 108.0, 92.0]


class TestVerdict:
    def test_a_clear_win(self, suite: SuiteBuilder) -> None:
        text = verdict(compare({"ads": suite(ADS), "learned": suite([0.8 * cost for cost in ADS])}))
        assert text == (
            "Of the planners that cannot see the future, learned had the lowest cost (80 core-minutes); the learned "
            "policy cost 20.0 % less than ads (95 % interval -20.0 % to -20.0 %, 8 episodes): the interval excludes 0."
        )

    def test_a_clear_loss_is_told_as_plainly(self, suite: SuiteBuilder) -> None:
        text = verdict(compare({"ads": suite(ADS), "learned": suite([1.5 * cost for cost in ADS])}))
        assert text.startswith("Of the planners that cannot see the future, ads had the lowest cost (100 core-minutes)")
        assert "the learned policy cost 50.0 % more than ads" in text
        assert text.endswith("the interval excludes 0.")

    def test_no_winner_where_the_interval_includes_zero(self, suite: SuiteBuilder) -> None:
        text = verdict(compare({"ads": suite(ADS), "learned": suite(ADS[::-1])}))
        assert text.endswith("the interval includes 0, so no winner is claimed.")

    def test_no_winner_from_three_episodes_even_if_all_agree(self, suite: SuiteBuilder) -> None:
        text = verdict(compare({"ads": suite([100, 110, 90]), "learned": suite([50, 60, 40])}))
        assert text.endswith("the interval excludes 0, but with fewer than 6 episodes no winner is claimed.")

    def test_one_episode_defines_no_interval(self, suite: SuiteBuilder) -> None:
        text = verdict(compare({"ads": suite([100]), "learned": suite([50])}))
        assert text.endswith("less than ads (1 episode, which defines no interval): no winner is claimed.")

    def test_clairvoyant_never_wins(self, suite: SuiteBuilder) -> None:
        comparison = compare({"clairvoyant": suite([1, 1]), "ads": suite([9, 9])})
        assert lowest_planners(comparison) == ("ads",)
        assert "ads had the lowest cost" in verdict(comparison)
        assert verdict(compare({"clairvoyant": suite([1, 1])})).startswith("Every planner in this comparison sees")

    def test_equals_are_named_together(self, suite: SuiteBuilder) -> None:
        text = verdict(compare({"none": suite([1, 1]), "ads": suite([1, 1]), "learned": suite([2, 2])}))
        assert "none and ads together had the lowest cost" in text

    def test_a_reference_that_cost_nothing(self, suite: SuiteBuilder) -> None:
        text = verdict(compare({"ads": suite([0] * 8), "learned": suite([4.0] * 8)}))
        assert "the learned policy cost 4.0 core-minutes more than ads, which cost nothing" in text
        assert "95 % interval +4.0 to +4.0 core-minutes" in text

    def test_the_same_cost(self, suite: SuiteBuilder) -> None:
        assert "cost the same as ads" in verdict(compare({"ads": suite(ADS), "learned": suite(ADS)}))

    @pytest.mark.parametrize("planners", [("ads",), ("none", "learned"), ("none",), ("learned", "ads"), ("x", "ads")])
    @pytest.mark.parametrize("episodes", [1, 2, 3, 7])
    def test_it_is_always_one_sentence(self, suite: SuiteBuilder, planners: tuple[str, ...], episodes: int) -> None:
        comparison = compare(
            {name: suite([float(i)] * episodes, name) for i, name in enumerate(planners)}, resamples=50
        )
        text = verdict(comparison)
        assert text[0].isupper() and text.endswith(".")
        assert "\n" not in text and ". " not in text


class TestFindings:
    def test_tell_everyone_the_cheapest_first(self, suite: SuiteBuilder) -> None:
        comparison = compare(
            {
                "none": suite([3 * cost for cost in ADS]),
                "ads": suite(ADS),
                "clairvoyant": suite([0.2 * cost for cost in ADS]),
                "learned": suite([0.9 * cost for cost in ADS]),
            }
        )
        told = findings(comparison)
        assert [text.split(" cost ")[0] for text in told] == [
            "clairvoyant, which sees the future,",
            "The learned policy",
            "none",
        ]
        assert "200.0 % more than ads" in told[-1]


@pytest.mark.parametrize(
    ("percent", "text"), [(-12.34, "-12.3 %"), (4.0, "+4.0 %"), (-0.01, "0.0 %"), (12345.6, "+12,345.6 %")]
)
def test_signed_percent(percent: float, text: str) -> None:
    assert signed_percent(percent) == text
