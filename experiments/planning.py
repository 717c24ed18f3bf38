"""`quell plan` and `quell check`: one snapshot, one plan, and what a person reads of them."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..env.model.plan import Plan, validate
from ..env.model.rules import Violation
from ..env.model.snapshot import read_plan, read_snapshot
from ..env.model.state import state_of
from .planners import planner_for_snapshot


def plan_snapshot(snapshot: Path, planner_name: str) -> Plan:
    """The plan of one planner for a snapshot file.

    Raises:
        QuellError: the snapshot or the planner cannot be read; or the planner broke a rule, which no planner may.
    """
    planner = planner_for_snapshot(planner_name)
    return planner.plan(read_snapshot(snapshot))


def check_plan(snapshot: Path, plan: Path) -> tuple[Violation, ...]:
    """Everything a plan file breaks against a snapshot file; empty where it is valid.

    Raises:
        QuellError: one of the files cannot be read.
    """
    cluster = read_snapshot(snapshot)
    document = read_plan(plan)
    return validate(state_of(cluster), document, cluster_name=cluster.name)


def plan_text(plan: Plan) -> Group:
    """The plan as tables: contentions, moves, resizes."""
    moves = f"{len(plan.moves)} move{'' if len(plan.moves) == 1 else 's'}"
    head = (
        f"{plan.cluster}: {plan.status} by {plan.planner}, {moves}, {plan.cost_gib:.2f} GiB, {plan.solve_seconds:.3f} s"
    )
    parts: list[Text | Table] = [Text(head, style="bold")]
    if plan.reason:
        parts.append(Text(plan.reason))
    if plan.contentions:
        table = _table("Contention", "Host", "Figures")
        for contention in plan.contentions:
            table.add_row(contention.kind, contention.host, contention.figures)
        parts.append(table)
    if plan.moves:
        table = _table("#", "Moves", "From", "To", "Cost (GiB)", "Why", right=("#", "Cost (GiB)"))
        for i, move in enumerate(plan.moves, start=1):
            what = move.id if move.kind == "vm" else f"{move.id} (session)"
            table.add_row(str(i), what, move.source, move.target, f"{move.cost_gib:.2f}", move.reason)
        parts.append(table)
    if plan.resizes:
        table = _table("Resizes", "On", "Memory (GiB)", right=("Memory (GiB)",))
        for resize in plan.resizes:
            table.add_row(resize.vm, resize.host, f"{resize.memory_gib:.2f}")
        parts.append(table)
    return Group(*parts)


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A plain table; figures stand to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
