"""A cluster's day for people, as a picture.

Hosts that are down or in maintenance are marked as such, and the title says how many VMs wait for a host.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..model.cluster import CPU, MEMORY, STORAGE
from ..model.contention import unresolved_H
from ..model.plan import MoveKind
from ..world.migration import Outcome
from ..world.workload import DAY_MINUTES
from .scene import COST_COLUMNS, Scene, counted, state_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage

HOUR_MINUTES = 60
EDGE, HOT, GREY, INK, QUIET_INK = "#2c6ca4", "#c8321f", "#a9b3bd", "#1d2733", "#66727f"
LARGEST_PRESSURE = 1.3  # of the colour scale; above, all is the darkest red
PIXELS_PER_INCH, WIDTH_INCHES = 100, 12.0
LABELLED_HOSTS = 32  # with more, only every other host and so on has its name beside its row


def render_image(scene: Scene) -> npt.NDArray[np.uint8]:
    """The day as a picture: pressure of every host by the minute with the moves, bars of now, and the cost so far.

    Returns:
        RGB, shape (h, w, 3).
    """
    # Imported here: drawing is for people, and nobody else should wait for it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    H = scene.inventory.host_count
    rows_inches = min(max(0.22 * H, 1.3), 4.2)
    figure = Figure(figsize=(WIDTH_INCHES, 2.9 + 2 * rows_inches), dpi=PIXELS_PER_INCH, layout="constrained")
    figure.patch.set_facecolor("white")
    grid = figure.add_gridspec(3, 2, width_ratios=[3.6, 1.0], height_ratios=[rows_inches, rows_inches, 1.35])
    cpu, storage = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    for j, (axes, r, name) in enumerate(((cpu, CPU, "CPU"), (storage, STORAGE, "Storage controllers"))):
        image = _draw_day(axes, scene, j, r)
        axes.set_title(f"{name}: demand / threshold", loc="left", fontsize=10, color=INK)
    bar = figure.colorbar(
        image, ax=[cpu, storage], pad=0.01, aspect=25 * rows_inches, extend="max", ticks=[0, 0.5, 1, LARGEST_PRESSURE]
    )
    bar.ax.set_yticklabels(["0", "0.5", "1", f"{LARGEST_PRESSURE:g}"], fontsize=8, color=QUIET_INK)
    bar.outline.set_visible(False)
    _draw_now(figure.add_subplot(grid[0, 1]), scene, ((CPU, EDGE, "CPU"),))
    _draw_now(figure.add_subplot(grid[1, 1]), scene, ((STORAGE, EDGE, "storage"), (MEMORY, GREY, "memory")))
    _draw_course(figure.add_subplot(grid[2, 0]), scene)
    _write_costs(figure.add_subplot(grid[2, 1]), scene)
    figure.suptitle(
        " · ".join([scene.view.round.name, scene.clock, *_waiting_words(scene)]),
        x=0.01,
        ha="left",
        fontsize=12,
        color=INK,
        weight="bold",
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _waiting_words(scene: Scene) -> list[str]:
    """How many VMs wait for a host, where any do."""
    number = len(scene.waiting)
    return [f"{counted(number, 'VM')} without a host"] if number else []


def _draw_day(axes: Axes, scene: Scene, j: int, r: int) -> AxesImage:
    """A row of colour for each host, a column for each minute so far; arrows from source to target for the moves."""
    H = scene.inventory.host_count
    pressure_HT = np.full((H, DAY_MINUTES), np.nan)
    limit_H = scene.inventory.capacity_HR[:, r] * scene.threshold_R[r]
    pressure_HT[:, : len(scene.used_THJ)] = (scene.used_THJ[:, :, j] / limit_H).T
    image = axes.imshow(
        pressure_HT,
        aspect="auto",
        interpolation="nearest",
        cmap=_pressure_colours(),
        vmin=0,
        vmax=LARGEST_PRESSURE,
        extent=(0, DAY_MINUTES, H - 0.5, -0.5),
    )
    _draw_moves(axes, scene, MoveKind.VM if r == CPU else MoveKind.SESSION)
    axes.set_xticks(range(0, DAY_MINUTES + 1, 3 * HOUR_MINUTES), [f"{hour:02d}:00" for hour in range(0, 25, 3)])
    _name_hosts(axes, scene)
    for h in range(1, H):
        axes.axhline(h - 0.5, color="white", linewidth=1.0)
    axes.set_xlim(0, DAY_MINUTES)
    _plain(axes)
    return image


def _draw_moves(axes: Axes, scene: Scene, kind: MoveKind) -> None:
    """An arrow from source to target for each move of a kind, when it started; dotted for those of the plan so far."""
    from matplotlib.patheffects import withStroke

    index = scene.inventory.host_index
    done = [(r.start_seconds / 60, r.move, "-") for r in scene.log if r.outcome is not Outcome.DROPPED]
    planned = [(scene.minute, move, ":") for move in scene.view.plan("agent").moves]
    for minute, move, line in done + planned:
        if move.kind is not kind:
            continue
        source, target = index[move.source], index[move.target]
        arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 10, "color": INK, "linewidth": 1.2}
        arrow |= {"linestyle": line, "path_effects": [withStroke(linewidth=2.6, foreground="white")]}
        axes.annotate("", xy=(minute, target), xytext=(minute, source), arrowprops=arrow, annotation_clip=False)
        axes.plot(minute, source, marker="o", markersize=4, color=INK, markeredgecolor="white", zorder=4, clip_on=False)


def _draw_now(axes: Axes, scene: Scene, shown: tuple[tuple[int, str, str], ...]) -> None:
    """Bars of the estimated utilization now, with a line at the threshold; what is above it in red."""
    utilization_HR = scene.view.state.utilization_HR
    H, height = scene.inventory.host_count, 0.76 / len(shown)
    for i, (r, colour, name) in enumerate(shown):
        threshold = float(scene.threshold_R[r])
        at_H = np.arange(H) - 0.38 + height * (i + 0.5)
        axes.barh(at_H, np.minimum(utilization_HR[:, r], threshold), height=height, color=colour, label=name)
        over_H = np.maximum(utilization_HR[:, r] - threshold, 0)
        axes.barh(at_H, over_H, left=threshold, height=height, color=HOT)
        if threshold < 1:
            axes.axvline(threshold, color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
    axes.set_xlim(0, max(1.0, 1.02 * float(utilization_HR[:, [r for r, *_ in shown]].max())))
    axes.set_ylim(H - 0.5, -0.5)
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_title("Now", loc="left", fontsize=10, color=INK)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.03, 1.0),
        borderaxespad=0.2,
        ncols=2,
        fontsize=8,
        frameon=False,
        handlelength=0.8,
        handletextpad=0.4,
    )
    _plain(axes)


def _draw_course(axes: Axes, scene: Scene) -> None:
    """The cost so far against the twin's."""
    minutes, own, twin = np.array(scene.course, dtype=np.float64).T
    axes.fill_between(minutes, own, twin, where=twin >= own, color=EDGE, alpha=0.12, linewidth=0)
    axes.plot(minutes, twin, color=QUIET_INK, linewidth=1.6, label=scene.twin)
    axes.plot(minutes, own, color=EDGE, linewidth=2.0, label="own")
    axes.set_title("Cost so far, core-minutes", loc="left", fontsize=10, color=INK)
    axes.set_xlim(0, DAY_MINUTES)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(0, DAY_MINUTES + 1, 3 * HOUR_MINUTES), [f"{hour:02d}:00" for hour in range(0, 25, 3)])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    _plain(axes)


def _write_costs(axes: Axes, scene: Scene) -> None:
    """The cost terms of the day so far in figures."""
    axes.axis("off")
    heads = ("core-minutes", "own", scene.twin)
    rows = [heads] + [
        (name, f"{own:,.0f}", f"{twin:,.0f}")
        for name, own, twin in zip(
            COST_COLUMNS,
            (*astuple(scene.costs), scene.costs.total),
            (*astuple(scene.twin_costs), scene.twin_costs.total),
            strict=True,
        )
    ]
    for i, row in enumerate(rows):
        colour, weight = (QUIET_INK if i == 0 else INK), ("bold" if i == len(rows) - 1 else "normal")
        for text, x, side in zip(row, (0.0, 0.54, 1.0), ("left", "right", "right"), strict=True):
            y = 0.95 - 0.17 * i
            axes.text(
                x, y, text, ha=side, va="top", transform=axes.transAxes, fontsize=8.5, color=colour, fontweight=weight
            )


def _name_hosts(axes: Axes, scene: Scene) -> None:
    """The hosts' ids beside their rows, contended ones in red; those that are not up in grey, with their state."""
    inventory = scene.inventory
    shown = range(0, inventory.host_count, -(-inventory.host_count // LABELLED_HOSTS))
    states = [state_words(inventory.hosts[h]) for h in shown]
    names = [inventory.hosts[h].id + (f" · {state}" if state else "") for h, state in zip(shown, states, strict=True)]
    axes.set_yticks(list(shown), names)
    is_contended_H = unresolved_H(scene.view.state)
    for h, state, label in zip(shown, states, axes.get_yticklabels(), strict=True):
        if is_contended_H[h]:
            label.set_color(HOT)
            label.set_fontweight("bold")
        elif state:
            label.set_color(QUIET_INK)


def _plain(axes: Axes) -> None:
    """No frame, small quiet ticks."""
    axes.tick_params(length=0, labelsize=8)
    axes.tick_params(axis="x", colors=QUIET_INK)
    for side in axes.spines.values():
        side.set_visible(False)


def _pressure_colours() -> Colormap:
    """Blue up to the threshold, red above it, pale grey where the day has not come to yet."""
    from matplotlib.colors import LinearSegmentedColormap

    threshold = 1 / LARGEST_PRESSURE
    stops = [
        (0.0, "#f4f8fb"),
        (0.6 * threshold, "#b9d3e8"),
        (threshold, EDGE),
        (threshold, "#f5a582"),
        (1.0, "#8e1206"),
    ]
    return LinearSegmentedColormap.from_list("pressure", stops).with_extremes(bad="#f3f3f3")
