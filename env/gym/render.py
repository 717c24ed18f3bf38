"""A cluster's day for people, as a table of bars.

Hosts that are down or in maintenance and VMs that wait for a host are named where there are any.
"""

from __future__ import annotations

from dataclasses import astuple

import numpy as np

from ..model.cluster import CPU, MEMORY, NOWHERE, STORAGE
from ..model.contention import unresolved_H
from ..world.migration import Outcome
from ..world.workload import DAY_MINUTES
from .scene import COST_COLUMNS, Scene, counted, state_words

BAR_CELLS = 16  # characters for 0 to 100 %
EIGHTHS = " ▏▎▍▌▋▊▉█"
SHOWN = ((CPU, "CPU"), (STORAGE, "storage"), (MEMORY, "memory"))
LISTED_VMS = 8  # that wait for a host; of more only the number is told


def render_text(scene: Scene) -> str:
    """The cluster as a table: a bar for each resource with a mark at its threshold, `!` beside contended hosts."""
    title = f"{scene.view.round.name} · {scene.clock} · minute {scene.minute} of {DAY_MINUTES}"
    waiting = ["", f"without a host: {_listed(scene.waiting)}"] if scene.waiting else []
    return "\n".join([title, "", *_host_table(scene), *waiting, "", *_plan_lines(scene), "", *_cost_table(scene)])


def _listed(names: tuple[str, ...]) -> str:
    """The first few names, and how many there are if there are more."""
    more = f" and {len(names) - LISTED_VMS} more" if len(names) > LISTED_VMS else ""
    return ", ".join(names[:LISTED_VMS]) + more


def _host_table(scene: Scene) -> list[str]:
    """One line a host."""
    inventory = scene.inventory
    utilization_HR, is_contended_H = scene.view.state.utilization_HR, unresolved_H(scene.view.state)
    V = inventory.vm_count
    on = scene.view.state.host_of_M[:V][inventory.is_on_M[:V] & (scene.view.state.host_of_M[:V] != NOWHERE)]
    vms_H = np.bincount(on, minlength=inventory.host_count)
    width = max(4, *(len(host.id) for host in inventory.hosts))
    cell = BAR_CELLS + 7
    lines = [f"{'host':<{width}}     VMs  " + "  ".join(f"{name:<{cell}}" for _, name in SHOWN).rstrip()]
    for h, host in enumerate(inventory.hosts):
        mark = "!" if is_contended_H[h] else " "
        cells = [
            f"{_bar(float(utilization_HR[h, r]), float(scene.threshold_R[r]))} {utilization_HR[h, r]:>4.0%}  "
            for r, _ in SHOWN
        ]
        bars = "  ".join(cells) + f"  {state_words(host)}"
        lines.append(f"{host.id:<{width}}  {mark}  {vms_H[h]:>3}  " + bars.rstrip())
    return lines


def _bar(utilization: float, threshold: float) -> str:
    """A bar of `BAR_CELLS` characters with a mark at the threshold, where that is below 100 %."""
    eighths = round(min(max(utilization, 0.0), 1.0) * BAR_CELLS * 8)
    cells = [EIGHTHS[min(8, max(0, eighths - 8 * i))] for i in range(BAR_CELLS)]
    cells = ["·" if cell == " " else cell for cell in cells]
    if threshold < 1:
        cells.insert(round(threshold * BAR_CELLS), "|")
    return "".join(cells) + ("" if threshold < 1 else " ")


def _plan_lines(scene: Scene) -> list[str]:
    """The moves of the plan so far."""
    plan = scene.view.plan("agent")
    if not plan.moves:
        return ["plan so far: no moves"]
    width = max(len(move.id) for move in plan.moves)
    return [f"plan so far: {counted(len(plan.moves), 'move')}, {plan.cost_gib:.1f} GiB"] + [
        f"  {i + 1}. {move.id:<{width}}  {move.source} -> {move.target}  {move.cost_gib:6.1f} GiB"
        for i, move in enumerate(plan.moves)
    ]


def _cost_table(scene: Scene) -> list[str]:
    """The cost terms of the day so far, own and the twin's."""
    moved = sum(record.outcome is not Outcome.DROPPED for record in scene.log)
    rows = [(f"own, {counted(moved, 'move')}", scene.costs), (scene.twin, scene.twin_costs)]
    width = max(len("core-minutes so far"), *(len(name) for name, _ in rows))
    lines = [f"{'core-minutes so far':<{width}}" + "".join(f"{column:>11}" for column in COST_COLUMNS)]
    for name, costs in rows:
        lines.append(f"{name:<{width}}" + "".join(f"{value:>11,.1f}" for value in (*astuple(costs), costs.total)))
    return lines
