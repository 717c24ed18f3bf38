"""How figures look: colours, type sizes, axes.

Figures are matplotlib `Figure` objects of their own, without pyplot and its global state. Planners keep their colour in
every plot, and no meaning hangs on colour alone. Colours after Okabe and Ito, "Color Universal Design" (2008), darker
or lighter so that they show on white and on near-black.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from .comparison import short_name

INK, FAINT = "#24292f", "#c9d1d9"  # text and lines, grid; the report replaces them to suit light and dark
PLANNER_COLOURS = {
    "none": "#8a8a8a",
    "spread": "#c98a00",
    "ads": "#2f7fc1",
    "exact": "#56b4e9",
    "tuned": "#009e73",
    "forecast": "#c46a9b",
    "clairvoyant": "#8c6bb1",
    "learned": "#d55e00",
    "hbal": "#7d6608",
    "proxlb-solver": "#943126",
}
OTHER_COLOURS = ("#b0603a", "#5b8c5a", "#7a7acd", "#a0a03c")
WIDTH_INCHES = 7.6
TITLE_SIZE, TEXT_SIZE = 10.0, 9.0
HIGHEST_UTILIZATION = 1.1  # where the colour scale ends


def planner_colour(planner: str) -> str:
    """The colour of a planner, the same in every plot."""
    return PLANNER_COLOURS.get(planner) or OTHER_COLOURS[sum(planner.encode()) % len(OTHER_COLOURS)]


def plain(text: str) -> str:
    """The text with its dollar signs escaped: matplotlib would read formulas between them."""
    return text.replace("$", r"\$")


def utilization_colours(threshold: float) -> tuple[LinearSegmentedColormap, Normalize]:
    """A scale that is blue below the threshold and jumps to orange above it."""
    at = threshold / HIGHEST_UTILIZATION
    stops = [(0.0, "#f3f6fa"), (at, "#4a86b8"), (at, "#fdb863"), (1 / HIGHEST_UTILIZATION, "#d1495b"), (1.0, "#6b0f3a")]
    return LinearSegmentedColormap.from_list("utilization", stops, N=512), Normalize(0, HIGHEST_UTILIZATION)


def new_figure(height_inches: float) -> tuple[Figure, Axes]:
    """A figure of the report's width with one set of axes."""
    figure, grid = new_grid(height_inches, 1, 1)
    return figure, grid[0]


def new_grid(height_inches: float, rows: int, columns: int, *, share: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of the report's width with a grid of axes, row by row."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained", facecolor="none")
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).flat)
    for axes in grid:
        style(axes)
    return figure, grid


def style(axes: Axes) -> None:
    """Gives axes the look of all figures."""
    axes.set_facecolor("none")
    axes.tick_params(colors=INK, labelcolor=INK, labelsize=TEXT_SIZE, length=3, color=FAINT)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
    axes.set_axisbelow(True)


def label(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Title and axis labels in the figure's type."""
    if title:
        axes.set_title(plain(title), fontsize=TITLE_SIZE, color=INK, loc="left")
    if x:
        axes.set_xlabel(plain(x), fontsize=TEXT_SIZE, color=INK)
    if y:
        axes.set_ylabel(plain(y), fontsize=TEXT_SIZE, color=INK)


def legend(axes: Axes, **where: Any) -> None:
    """A legend without a frame."""
    axes.legend(frameon=False, fontsize=TEXT_SIZE, labelcolor=INK, **where)


def planner_axis(axes: Axes, planners: Sequence[str]) -> None:
    """Planners down the y axis, the first on top, the learned one in bold."""
    axes.set_yticks(range(len(planners)), labels=[plain(short_name(planner)) for planner in planners])
    for tick, planner in zip(axes.get_yticklabels(), planners, strict=True):
        tick.set_fontweight("bold" if planner == "learned" else "normal")
    axes.set_ylim(len(planners) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)


def whisker(axes: Axes, y: float, ends: Sequence[float], colour: str, width: float = 1.2) -> None:
    """A horizontal interval with caps."""
    axes.plot(
        list(ends), [y, y], color=colour, linewidth=width, marker="|", markersize=7, markeredgewidth=width, zorder=3
    )
