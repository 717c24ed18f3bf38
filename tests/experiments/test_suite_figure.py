"""The plot of a suite: both halves hold what they promise, and nothing overlaps the page."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from matplotlib.image import AxesImage
from matplotlib.text import Text

from quell.baseline.nothing import Nothing
from quell.env.gym.generator import ToyGenerator
from quell.env.world.rounds import EpisodeResult, run_episode
from quell.experiments.compare import compare
from quell.experiments.suite_figure import suite_figure

Results = dict[str, list[EpisodeResult]]

EPISODE = ToyGenerator()(np.random.default_rng(0))


@pytest.fixture(autouse=True)
def no_warning_from_drawing() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # matplotlib's, where a layout does not fit
        yield


@pytest.fixture(scope="module")
def day() -> EpisodeResult:
    """The toy day with nothing done: 1,440 core-minutes."""
    return run_episode(EPISODE, Nothing())


def test_both_halves_hold_what_they_promise(many_results: Results, day: EpisodeResult) -> None:
    comparison = compare(many_results, resamples=100)
    figure = suite_figure(comparison, {"ads": day, "learned": day}, EPISODE)
    figure.draw_without_rendering()
    texts = [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    assert "Cost of a day by planner, interquartile mean of 20 days" in texts
    assert "A day, of median cost under ads: toy, 2 hosts" in texts
    assert "cost of a day, core-minutes (whiskers: 95 % interval)" in texts
    assert "ads: cost 1,440, 0 moves, 24.0 host-h contended" in texts
    assert {f"{summary.cost_core_minutes.value:,.0f}" for summary in comparison.planners} <= set(texts)
    assert len(figure.findobj(AxesImage)) == 2
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.02 and drawn.x1 <= width + 0.02 and drawn.y1 <= height + 0.02


def test_one_planner_and_one_day_are_drawn(suite: Callable[..., list[EpisodeResult]], day: EpisodeResult) -> None:
    figure = suite_figure(compare({"none": suite([1440])}), {"none": day}, EPISODE)
    figure.draw_without_rendering()
    assert not any("interval" in text.get_text() for text in figure.findobj(Text))
