"""The plots of an experiment: cost by planner, paired differences, one day of the hosts, training curves."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..env.model.cluster import Inventory
from ..env.model.plan import MoveKind
from ..env.world.migration import Outcome
from ..env.world.rounds import EpisodeResult
from .bootstrap import Interval
from .comparison import Comparison
from .figures import (
    FAINT,
    INK,
    TEXT_SIZE,
    label,
    legend,
    new_figure,
    new_grid,
    plain,
    planner_axis,
    planner_colour,
    utilization_colours,
    whisker,
)

TERMS = (  # in the order of `CostTerms`
    ("overload, core-min", "#d98c4a"),
    ("unserved, core-min", "#a63d40"),
    ("swap, GiB-min", "#8a8a8a"),
    ("migration, GiB", "#4a90a4"),
)
ROW_INCHES, FRAME_INCHES = 0.4, 0.9
MINUTES_PER_HOUR, SECONDS_PER_HOUR, DAY_HOURS = 60, 3600, 24
SHOWN_MINUTES = 5  # a column of the day's heat map, which shows the highest minute of them
PNG_DOTS_PER_INCH = 160
SVG_DOTS_PER_INCH = 200  # of the pictures inside it
MOST_ARROWS = 30  # more of them would hide the heat map
CLIPPED_PERCENT = 100.0
LINE_STYLES = ("-", "--", ":", "-.")
LINE_COLOURS = ("#d55e00", "#2f7fc1", "#009e73", "#8c6bb1")


@dataclass(frozen=True)
class Series:
    """One line of a panel: its name and its points (x, y)."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Curves:
    """One panel of training curves; labels carry the units."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]


def cost_figure(comparison: Comparison) -> Figure:
    """Cost terms of each planner as stacked bars, with the interval of the total.

    The terms are those of the middle half of a planner's episodes: they add up to its cost.
    """
    figure, axes = new_figure(FRAME_INCHES + 0.25 + ROW_INCHES * len(comparison.planners))
    draw_costs(axes, comparison, columns=4)
    return figure


def draw_costs(axes: Axes, comparison: Comparison, columns: int) -> None:
    """The bars of `cost_figure`, with a legend of so many columns above them."""
    planners = comparison.planners
    terms_PK = np.array([astuple(s.middle_terms) for s in planners])
    starts_PK = np.cumsum(terms_PK, axis=1) - terms_PK
    for k, (name, colour) in enumerate(TERMS):
        if terms_PK[:, k].any():
            axes.barh(range(len(planners)), terms_PK[:, k], left=starts_PK[:, k], height=0.6, color=colour, label=name)
    ends = []
    for p, summary in enumerate(planners):
        cost = summary.cost_core_minutes
        if cost.interval:
            whisker(axes, p, astuple(cost.interval), INK)
        ends.append(max(cost.value, cost.interval.high if cost.interval else 0.0))
        _beside(axes, ends[-1], p, f"{cost.value:,.0f}")
    axes.set_xlim(0, 1.12 * max(*ends, 1.0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}" if x < 1 else f"{x:,.0f}"))
    planner_axis(axes, [s.planner for s in planners])
    label(axes, x="cost of a day, core-minutes")
    if terms_PK.any():
        legend(axes, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0, handlelength=1.2)


def difference_figure(comparison: Comparison) -> Figure | None:
    """Each planner's paired difference to the reference, with its interval; None where none is defined.

    What lies beyond +100 % is an arrow at the edge, so that it does not squeeze the rest; its figures stand there.
    """
    shown = [(d.planner, d.percent, d.percent_interval) for d in comparison.paired if d.percent is not None]
    if not shown:
        return None
    figure, axes = new_figure(FRAME_INCHES + ROW_INCHES * len(shown))
    axes.axvline(0, color=INK, linewidth=1.0, zorder=1)
    ends = [0.0]
    for i, (planner, percent, interval) in enumerate(shown):
        colour = planner_colour(planner)
        around = interval or Interval(percent, percent)
        low, middle, high = (min(x, CLIPPED_PERCENT) for x in (around.low, percent, around.high))
        if low < high:
            whisker(axes, i, (low, high), colour, width=2.0)
        axes.plot([middle], [i], "o" if percent <= CLIPPED_PERCENT else ">", markersize=7, color=colour, zorder=4)
        ends += [low, middle, high]
        text = f"{percent:+,.1f}" + (f"  ({interval.low:+,.1f} to {interval.high:+,.1f})" if interval else "")
        axes.annotate(text, (1.02, i), xycoords=axes.get_yaxis_transform(), va="center", fontsize=TEXT_SIZE, color=INK)
    margin = 0.03 * (max(ends) - min(ends)) + 0.5
    axes.set_xlim(min(ends) - margin, max(ends) + margin)
    axes.xaxis.set_major_formatter(FuncFormatter(_short_number))
    planner_axis(axes, [planner for planner, _, _ in shown])
    label(axes, x=f"cost compared with {comparison.against} on the same days, % (left of 0: cheaper)")
    return figure


def _beside(axes: Axes, x: float, y: float, text: str) -> None:
    """A figure just to the right of a point."""
    axes.annotate(text, (x, y), xytext=(7, 0), textcoords="offset points", va="center", fontsize=TEXT_SIZE, color=INK)


def day_figure(results: Mapping[str, EpisodeResult], inventory: Inventory) -> Figure:
    """CPU utilization of every host through one day under each planner: heat maps, with the moves.

    Args:
        results: the same episode under each planner, by the planner's name.
        inventory: of that episode's cluster.
    """
    columns = min(2, len(results))
    rows = -(-len(results) // columns)
    height_inches = min(max(1.8, 1.1 + 0.2 * inventory.host_count), 4.5)
    figure, grid = new_grid(rows * height_inches + 0.8, rows, columns, share=True)
    threshold = inventory.settings.cpu_threshold
    colours, scale = utilization_colours(threshold)
    for i, (axes, (planner, result)) in enumerate(zip(grid, results.items(), strict=False)):
        draw_day(axes, result, inventory, colours, scale)
        is_lowest = i + columns >= len(results)
        label(axes, title=day_title(planner, result), x="hour of the day" if is_lowest else "")
        axes.tick_params(labelbottom=is_lowest)
    for axes in grid[len(results) :]:
        axes.set_visible(False)
    utilization_bar(figure, grid, threshold)
    return figure


def utilization_bar(figure: Figure | SubFigure, grid: Sequence[Axes], threshold: float) -> None:
    """What the colours of heat maps mean, below them."""
    colours, scale = utilization_colours(threshold)
    bar = figure.colorbar(
        ScalarMappable(scale, colours), ax=grid, location="bottom", shrink=0.6, aspect=45, extend="max", pad=0.03
    )
    meaning = "CPU utilization, % (highest of 5 minutes; orange: above the threshold; arrows and ticks: moves)"
    bar.set_label(meaning, size=TEXT_SIZE, color=INK)
    ticks = [0.0, 0.25, 0.5, threshold, 1.0]
    bar.set_ticks(ticks, labels=[f"{100 * tick:.0f}" for tick in ticks])
    bar.outline.set_edgecolor(FAINT)
    bar.ax.tick_params(labelcolor=INK, color=FAINT, labelsize=TEXT_SIZE)


def day_title(planner: str, result: EpisodeResult) -> str:
    """The planner, what its day cost, and what it did."""
    contended_hours = result.contended_host_minutes / MINUTES_PER_HOUR
    moves = "1 move" if result.moves == 1 else f"{result.moves:,} moves"
    return f"{planner}\ncost {result.costs.total:,.0f}, {moves}, {contended_hours:,.1f} host-h contended"


def draw_day(axes: Axes, result: EpisodeResult, inventory: Inventory, colours: Colormap, scale: Normalize) -> None:
    """One day under one planner: the heat map, the moves, and what the rows and columns are."""
    _draw_utilization(axes, result, colours, scale)
    _draw_moves(axes, result, inventory)
    _draw_hosts(axes, inventory)


def _draw_utilization(axes: Axes, result: EpisodeResult, colours: Colormap, scale: Normalize) -> None:
    """The heat map: a row for each host, a column for each five minutes, their highest utilization."""
    cpu_TH = result.utilization_THK[:, :, 0]
    whole = len(cpu_TH) // SHOWN_MINUTES
    shown_HC = cpu_TH[: whole * SHOWN_MINUTES].reshape(whole, SHOWN_MINUTES, -1).max(axis=1).T
    extent = (0.0, whole * SHOWN_MINUTES / MINUTES_PER_HOUR, len(shown_HC) - 0.5, -0.5)
    axes.imshow(shown_HC, aspect="auto", interpolation="nearest", extent=extent, cmap=colours, norm=scale)


def _draw_hosts(axes: Axes, inventory: Inventory) -> None:
    """Hours and names along the edges: at most 16 hosts, and below them a row for the moves."""
    axes.set_xticks(range(0, DAY_HOURS + 1, 6))
    hosts = inventory.host_count
    named = range(0, hosts, 1 + (hosts - 1) // 16)
    axes.set_yticks([*named, hosts], labels=[*(plain(inventory.hosts[h].id) for h in named), "moves"])
    axes.set_ylim(hosts + 0.5, -0.5)
    axes.spines[["left", "bottom"]].set_visible(False)


def _draw_moves(axes: Axes, result: EpisodeResult, inventory: Inventory) -> None:
    """A tick for each move at the time it began; where they are few, also an arrow to its target, sessions dashed."""
    moves = [record for record in result.log if record.outcome is not Outcome.DROPPED]
    hour_N = np.array([record.start_seconds for record in moves]) / SECONDS_PER_HOUR
    axes.vlines(hour_N, inventory.host_count - 0.3, inventory.host_count + 0.4, color=INK, linewidth=0.8)
    if len(moves) > MOST_ARROWS:
        return
    for hour, record in zip(hour_N, moves, strict=True):
        source, target = inventory.host_index[record.move.source], inventory.host_index[record.move.target]
        style = "solid" if record.move.kind is MoveKind.VM else "dashed"
        arrow = {"arrowstyle": "-|>", "mutation_scale": 7, "color": "black", "linewidth": 0.9, "linestyle": style}
        axes.annotate("", (hour, target), xytext=(hour, source), arrowprops={**arrow, "shrinkA": 0, "shrinkB": 0})


def curves_figure(panels: Sequence[Curves]) -> Figure | None:
    """Training curves, a panel each; None where there is no point to show."""
    shown = [panel for panel in panels if any(series.points for series in panel.series)]
    if not shown:
        return None
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure, grid = new_grid(2.3 * rows, rows, columns)
    for i, axes in enumerate(grid):
        axes.set_visible(i < len(shown))
        if i < len(shown):
            _draw_curves(axes, shown[i])
    return figure


def _draw_curves(axes: Axes, panel: Curves) -> None:
    """One panel: a line for each series, told apart by style as well as by colour."""
    lines = [series for series in panel.series if series.points]
    for i, series in enumerate(lines):
        x, y = zip(*series.points, strict=True)
        marker = "o" if len(series.points) < 30 else ""
        style, colour = LINE_STYLES[i % len(LINE_STYLES)], LINE_COLOURS[i % len(LINE_COLOURS)]
        axes.plot(
            x, y, linestyle=style, color=colour, marker=marker, markersize=3, linewidth=1.5, label=plain(series.name)
        )
    axes.grid(color=FAINT, linewidth=0.6)
    is_whole = all(x == int(x) for series in lines for x, _ in series.points)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=is_whole))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(_short_number))
    axes.yaxis.set_major_formatter(FuncFormatter(_short_number))
    label(axes, title=panel.title, x=panel.x_label, y=panel.y_label)
    if len(lines) > 1:
        legend(axes, loc="best", handlelength=2.6)


def _short_number(value: float, _: object = None) -> str:
    """`12,000` as `12 k`, small numbers as they are."""
    if abs(value) >= 1_000_000:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if abs(value) >= 10_000 else f"{value:,g}"


def to_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as a `png` or `svg` file, on white."""
    if kind == "svg":
        return to_svg(figure, background="white").encode()
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=PNG_DOTS_PER_INCH, facecolor="white")
    return buffer.getvalue()


def to_svg(figure: Figure, background: str = "none") -> str:
    """The figure as an SVG element: text stays text, and nothing in it depends on when or where it was made."""
    buffer = io.StringIO()
    no_metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "quell"}):
        figure.savefig(buffer, format="svg", dpi=SVG_DOTS_PER_INCH, facecolor=background, metadata=no_metadata)
    return re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), count=1, flags=re.DOTALL)
