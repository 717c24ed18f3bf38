"""The plot of `quell bench plan`: cost against the optimum by planner and peer, and seconds by size."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from .figures import FAINT, INK, TEXT_SIZE, label, legend, new_grid, planner_colour

HEIGHT_INCHES = 3.1
JITTER = 0.22  # how far dots of one planner spread, so that equal ones can be told apart
COST_TICKS = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
SECOND_TICKS = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0)
MARKERS = ("o", "s", "^", "D")
INTERACTIVE_SECONDS = 5.0  # the default of `solve_limit_seconds`
NOTHING_TO_COMPARE = "no plan with a move whose least cost is known"


def plans_figure(figures: dict[str, Any]) -> Figure:
    """Two panels from the figures of `bench_plan.bench_plan`.

    Left, on the clusters that peers were asked about too, a dot a cluster: GiB moved by the optimum's; hollow where
    the plan breaks a rule or leaves a host contended. Right: median seconds by number of hosts, up to the 95th
    percentile.
    """
    figure, (costs, seconds) = new_grid(HEIGHT_INCHES, 1, 2)
    _draw_costs(costs, figures)
    _draw_seconds(seconds, figures)
    return figure


def _draw_costs(axes: Axes, figures: dict[str, Any]) -> None:
    """Dots of cost by the optimum's, planner below planner."""
    answers = figures["answers"]
    asked = {row["planner"] for row in figures["peers"]} | {row["planner"] for row in figures["planners"]}
    names = [name for name in dict.fromkeys(a["planner"] for a in answers) if name in asked]
    rng = np.random.default_rng(0)
    is_comparable = False
    for y, name in enumerate(names):
        shown = [a for a in answers if a["planner"] == name and a["status"] == "planned" and a["best_gib"]]
        ratio = np.array([a["cost_gib"] / a["best_gib"] for a in shown])
        is_valid = np.array([not a["broken"] and a["contended_hosts"] == 0 for a in shown], dtype=np.bool_)
        is_comparable |= bool((ratio > 0).any())
        at = y + rng.uniform(-JITTER, JITTER, len(shown))
        dots: dict[str, Any] = {"s": 16, "edgecolors": planner_colour(name), "linewidths": 0.8, "zorder": 3}
        axes.scatter(ratio[is_valid], at[is_valid], color=planner_colour(name), **dots)
        axes.scatter(ratio[~is_valid], at[~is_valid], facecolors="none", **dots)
    axes.scatter([], [], s=16, color=INK, label="valid")
    axes.scatter(
        [], [], s=16, facecolors="none", edgecolors=INK, linewidths=0.8, label="a rule broken, or a host still hot"
    )
    axes.set_yticks(range(len(names)), labels=names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    if is_comparable:  # of nothing above 0 there is no logarithm
        axes.set_xscale("log")
        _ticks(axes, "x", COST_TICKS, "{:g}x")
    else:
        axes.set_xticks([])
        axes.text(0.5, 0.5, NOTHING_TO_COMPARE, transform=axes.transAxes, ha="center", fontsize=TEXT_SIZE, color=INK)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    label(axes, title="GiB moved, by the least that would do")
    legend(axes, loc="upper center", bbox_to_anchor=(0.45, -0.1), ncols=2, handletextpad=0.1, columnspacing=1.0)


def _draw_seconds(axes: Axes, figures: dict[str, Any]) -> None:
    """Median seconds by hosts, a line a planner, with a whisker to the 95th percentile."""
    answers = figures["answers"]
    for i, name in enumerate(dict.fromkeys(a["planner"] for a in answers)):
        spent: dict[int, list[float]] = {}
        for answer in answers:
            if answer["planner"] == name:
                spent.setdefault(answer["hosts"], []).append(answer["wall_seconds"])
        hosts = np.array(sorted(spent))
        median = np.array([np.median(spent[h]) for h in hosts])
        high = np.array([np.quantile(spent[h], 0.95) for h in hosts])
        colour = planner_colour(name)
        style: dict[str, Any] = {
            "color": colour,
            "marker": MARKERS[i % len(MARKERS)],
            "markersize": 4,
            "linewidth": 1.4,
        }
        axes.plot(hosts, median, label=name, zorder=3, **style)
        axes.vlines(hosts, median, high, color=colour, linewidth=0.9, alpha=0.7)
    axes.axhline(INTERACTIVE_SECONDS, color=INK, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = sorted({answer["hosts"] for answer in answers})
    _ticks(axes, "x", [h for i, h in enumerate(sizes) if i == 0 or h >= 1.5 * sizes[i - 1] or h > 24], "{:g}")
    _ticks(axes, "y", SECOND_TICKS, "{:g}")
    axes.grid(color=FAINT, linewidth=0.6)
    label(axes, title="Seconds a plan, median to 95th percentile", x="hosts")
    legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=4, handlelength=1.4, columnspacing=1.0)


def _ticks(axes: Axes, axis: Literal["x", "y"], values: Any, text: str) -> None:
    """Plain numbers on a logarithmic axis."""
    one = axes.xaxis if axis == "x" else axes.yaxis
    low, high = one.get_view_interval()
    one.set_ticks([value for value in values if low / 1.3 <= value <= high * 1.3])
    one.set_major_formatter(FuncFormatter(lambda value, _: text.format(value)))
    one.set_minor_formatter(NullFormatter())
    axes.tick_params(axis=axis, which="minor", length=0)
    axes.tick_params(labelsize=TEXT_SIZE)
