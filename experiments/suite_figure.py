"""A suite at a glance: what each planner costs, and one day of the hosts under two of them."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from ..env.world.rounds import EpisodeResult
from ..env.world.workload import Episode
from .comparison import Comparison
from .figures import INK, TITLE_SIZE, label, plain, style, utilization_colours
from .plots import day_title, draw_costs, draw_day, utilization_bar

WIDTH_INCHES = 13.0
LEAST_INCHES, MOST_INCHES = 5.2, 9.0
DAY_SHARE = 1.35  # width of the day to that of the costs
PANEL_INCHES, HOST_INCHES = 0.9, 0.16  # of a day: its frame, and each host
FRAME_INCHES, PLANNER_INCHES = 1.6, 0.42  # of the costs: their frame, and each planner


def suite_figure(comparison: Comparison, results: Mapping[str, EpisodeResult], episode: Episode) -> Figure:
    """Left the cost terms of all planners with the interval of the total, right one day's utilization.

    Args:
        comparison: of the suite.
        results: the day under each planner that is to be shown; under the first its cost is the median.
        episode: the day.
    """
    hosts = episode.inventory.host_count
    wanted_inches = max(
        FRAME_INCHES + PLANNER_INCHES * len(comparison.planners),
        FRAME_INCHES + (PANEL_INCHES + HOST_INCHES * hosts) * len(results),
    )
    height_inches = min(max(wanted_inches, LEAST_INCHES), MOST_INCHES)
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained", facecolor="none")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, DAY_SHARE), wspace=0.02).flat
    _draw_suite(left, comparison)
    _draw_days(right, results, episode)
    return figure


def _draw_suite(part: SubFigure, comparison: Comparison) -> None:
    """The costs."""
    days = "1 day" if comparison.episodes == 1 else f"{comparison.episodes} days"
    _heading(part, f"Cost of a day by planner, interquartile mean of {days}")
    axes = _axes(part, 1)[0]
    draw_costs(axes, comparison, columns=2)
    intervals = "" if comparison.episodes == 1 else " (whiskers: 95 % interval)"
    label(axes, x=f"cost of a day, core-minutes{intervals}")


def _draw_days(part: SubFigure, results: Mapping[str, EpisodeResult], episode: Episode) -> None:
    """The day, a panel for each planner."""
    inventory = episode.inventory
    threshold = inventory.settings.cpu_threshold
    first = next(iter(results))
    _heading(part, f"A day, of median cost under {first}: {episode.day_name}, {inventory.host_count} hosts")
    grid = _axes(part, len(results))
    for axes, (planner, result) in zip(grid, results.items(), strict=True):
        draw_day(axes, result, inventory, *utilization_colours(threshold))
        title = day_title(planner, result).replace("\n", ": ", 1)
        is_lowest = axes is grid[-1]
        label(axes, title=title, x="hour of the day" if is_lowest else "")
        axes.tick_params(labelbottom=is_lowest)
    utilization_bar(part, grid, threshold)


def _axes(part: SubFigure, rows: int) -> list[Axes]:
    """Axes one below the other."""
    grid = list(part.subplots(rows, 1, squeeze=False, sharex=True).flat)
    for axes in grid:
        style(axes)
    return grid


def _heading(part: SubFigure, text: str) -> None:
    """What one half of the figure shows."""
    part.suptitle(plain(text), x=0.01, ha="left", fontsize=TITLE_SIZE + 1, color=INK, fontweight="bold")
