"""The plots: what is in them, that nothing falls off, and that they are the same every time."""

from __future__ import annotations

import io
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import replace

import matplotlib
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text
from PIL import Image

from quell.env.model.cluster import Inventory
from quell.env.world.migration import Outcome
from quell.env.world.rounds import EpisodeResult
from quell.experiments.compare import compare
from quell.experiments.comparison import Comparison
from quell.experiments.figures import PLANNER_COLOURS, planner_colour, utilization_colours
from quell.experiments.plots import (
    Curves,
    Series,
    cost_figure,
    curves_figure,
    day_figure,
    difference_figure,
    to_bytes,
    to_svg,
)

Results = dict[str, list[EpisodeResult]]


@pytest.fixture(scope="module")
def comparison(many_results: Results) -> Comparison:
    return compare(many_results, resamples=100)


@pytest.fixture(autouse=True)
def no_warning_from_drawing() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # matplotlib's, where a layout does not fit
        yield


def texts_of(figure: Figure) -> list[str]:
    """Every text that is drawn."""
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def assert_nothing_falls_off(figure: Figure) -> None:
    """All that is drawn lies on the page."""
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.02
    assert drawn.x1 <= width + 0.02 and drawn.y1 <= height + 0.02


def bar_lengths(axes: Axes) -> list[float]:
    """The whole length of each stacked bar, top down."""
    ends: dict[float, float] = {}
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        ends[patch.get_y()] = max(ends.get(patch.get_y(), 0.0), patch.get_x() + patch.get_width())
    return [ends[y] for y in sorted(ends)]


class TestCostFigure:
    def test_bars_are_as_long_as_the_costs(self, comparison: Comparison) -> None:
        figure = cost_figure(comparison)
        expected = [summary.cost_core_minutes.value for summary in comparison.planners]
        assert bar_lengths(figure.axes[0]) == pytest.approx(expected)
        assert_nothing_falls_off(figure)
        assert {f"{cost:,.0f}" for cost in expected} <= set(texts_of(figure))

    def test_terms_that_are_zero_for_all_are_left_out(self, comparison: Comparison) -> None:
        shown = " ".join(texts_of(cost_figure(comparison)))
        assert "overload" in shown and "migration" in shown
        assert "swap" not in shown

    def test_costs_of_nothing_and_single_episodes_are_drawn(self, suite: Callable[..., list[EpisodeResult]]) -> None:
        assert_nothing_falls_off(cost_figure(compare({"ads": suite([0])})))
        assert_nothing_falls_off(cost_figure(compare({"ads": suite([5]), "none": suite([9])})))


class TestDifferenceFigure:
    def test_shows_each_planner_with_its_figures(self, comparison: Comparison) -> None:
        figure = difference_figure(comparison)
        assert figure is not None
        assert_nothing_falls_off(figure)
        shown = " ".join(texts_of(figure))
        for difference in comparison.paired:
            assert f"{difference.percent:+,.1f}" in shown

    def test_a_planner_far_off_does_not_squeeze_the_others(self, comparison: Comparison) -> None:
        figure = difference_figure(comparison)
        assert figure is not None
        assert figure.axes[0].get_xlim()[1] < 115  # none is at +200 %

    def test_there_is_none_without_anything_to_show(self, suite: Callable[..., list[EpisodeResult]]) -> None:
        assert difference_figure(compare({"ads": suite([1])})) is None
        assert difference_figure(compare({"ads": suite([0]), "none": suite([1])})) is None


class TestDayFigure:
    def test_shows_utilization_and_every_move_carried_out(
        self, result: Callable[..., EpisodeResult], inventory: Inventory
    ) -> None:
        ads = result(moves=3)
        dropped = replace(ads, log=(*ads.log[:2], replace(ads.log[2], outcome=Outcome.DROPPED)))
        figure = day_figure({"ads": ads, "learned": dropped}, inventory)
        assert_nothing_falls_off(figure)
        for axes, arrows in zip(figure.axes[:2], (3, 2), strict=True):
            assert len([a for a in axes.findobj(Annotation) if a.arrow_patch is not None]) == arrows
            (image,) = axes.images
            shown_HC = image.get_array()
            assert shown_HC is not None and shown_HC.shape == (3, 288)
            assert shown_HC[0].max() == pytest.approx(0.95) and shown_HC[1].max() == pytest.approx(0.5)

    def test_many_moves_are_ticks_only(self, result: Callable[..., EpisodeResult], inventory: Inventory) -> None:
        axes = day_figure({"ads": result(moves=40)}, inventory).axes[0]
        assert not [a for a in axes.findobj(Annotation) if a.arrow_patch is not None]
        (ticks,) = axes.collections
        assert len(ticks.get_paths()) == 40

    def test_a_single_minute_of_contention_stays_visible(
        self, result: Callable[..., EpisodeResult], inventory: Inventory
    ) -> None:
        short = result(moves=0)
        short.utilization_THK[:, :, 0] = 0.5
        short.utilization_THK[700, 1, 0] = 0.99
        (image,) = day_figure({"ads": short}, inventory).axes[0].images
        shown_HC = image.get_array()
        assert shown_HC is not None and shown_HC[1, 140] == pytest.approx(0.99)

    @pytest.mark.parametrize("planners", [1, 2, 3, 4])
    def test_any_number_of_planners_fits(
        self, result: Callable[..., EpisodeResult], inventory: Inventory, planners: int
    ) -> None:
        figure = day_figure({f"planner-{i}": result() for i in range(planners)}, inventory)
        assert_nothing_falls_off(figure)

    def test_the_colour_jumps_at_the_threshold(self) -> None:
        colours, scale = utilization_colours(0.85)
        below, above = colours(scale(0.845)), colours(scale(0.855))
        assert below[2] > below[0] and above[0] > above[2]  # blue, then orange


class TestCurvesFigure:
    def test_panels_of_different_numbers_of_points(self) -> None:
        panels = (
            Curves("Imitation", "epoch", "loss", (Series("training", ((1, 2.0), (2, 1.0))), Series("none", ()))),
            Curves("PPO", "steps", "reward", (Series("mean", tuple((1e4 * i, float(i)) for i in range(50))),)),
            Curves("one point", "steps", "core-minutes", (Series("cost", ((5.0, 3.0),)),)),
        )
        figure = curves_figure(panels)
        assert figure is not None
        assert_nothing_falls_off(figure)
        assert len([axes for axes in figure.axes if axes.get_visible()]) == 3

    def test_there_is_none_without_points(self) -> None:
        assert curves_figure(()) is None
        assert curves_figure((Curves("empty", "x", "y", (Series("a", ()),)),)) is None


class TestFiles:
    def test_svg_is_one_element_of_well_formed_xml_with_its_text(self, comparison: Comparison) -> None:
        svg = to_svg(cost_figure(comparison))
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        assert "clairvoyant" in "".join(root.itertext())
        assert to_svg(cost_figure(comparison)) == svg  # twice the same
        file = to_bytes(cost_figure(comparison), "svg")
        assert b"fill: #ffffff" in file and "fill: #ffffff" not in svg  # a file has its own background

    def test_png_is_as_wide_as_a_report(self, comparison: Comparison) -> None:
        image = Image.open(io.BytesIO(to_bytes(cost_figure(comparison), "png")))
        assert image.format == "PNG"
        assert image.width == 1216

    def test_names_are_no_formulas(self, suite: Callable[..., list[EpisodeResult]]) -> None:
        name = r"$\x$<b>&"
        comparison = compare({"ads": suite([1] * 8), name: suite([2] * 8)}, resamples=50)
        figure = difference_figure(comparison)
        assert figure is not None
        assert name in "".join(ElementTree.fromstring(to_svg(figure)).itertext())

    def test_global_settings_of_matplotlib_stay_as_they_are(self, comparison: Comparison) -> None:
        before = dict(matplotlib.rcParams)
        to_svg(cost_figure(comparison))
        assert dict(matplotlib.rcParams) == before


def test_planners_keep_their_colours_and_differ() -> None:
    assert len(set(PLANNER_COLOURS.values())) == len(PLANNER_COLOURS)
    assert planner_colour("my-policy") == planner_colour("my-policy")
