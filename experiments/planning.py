"""`quell plan`, `quell place` and `quell check`: one snapshot, one plan, and what a person reads of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..baseline.placement import place_with_room
from ..baseline.search import SearchLimits
from ..env.model.cluster import NOWHERE, Cluster
from ..env.model.errors import DocumentError, QuellError
from ..env.model.files import write_atomically
from ..env.model.plan import Plan, validate
from ..env.model.rules import Violation
from ..env.model.snapshot import plan_document, read_plan, read_snapshot
from ..env.model.state import state_of
from .legible import legible, legible_words
from .planners import planner_for_snapshot, takes_limit, warm_up_for
from .terminal import console

PLACEMENT_LIMITS = SearchLimits(nodes=200_000)  # somebody waits, and looks at one answer: a second or two


def plan_snapshot(snapshot: Path, planner_name: str, limit_seconds: float | None = None) -> Plan:
    """The plan of one planner for a snapshot file.

    Args:
        snapshot: the file.
        planner_name: what people type.
        limit_seconds: how long the planner may search; None for what the settings of the snapshot say.

    Raises:
        QuellError: the snapshot or the planner cannot be read, or the planner takes no limit.
    """
    planner = planner_for_snapshot(planner_name)
    cluster = with_limit(read_snapshot(snapshot), planner_name, limit_seconds)
    warm_up_for(planner_name)  # or the first plan would tell the seconds of loading as its own
    return planner.plan(cluster)


def with_limit(cluster: Cluster, planner_name: str, limit_seconds: float | None) -> Cluster:
    """The cluster with settings by which the planner searches so many seconds; as it is where there is no limit.

    Raises:
        QuellError: the planner does not search.
    """
    if limit_seconds is None:
        return cluster
    if planner_name == "exact":
        from ..baseline.exact import PROOF_FACTOR  # here, so that the others do not wait for OR-tools

        limit_seconds /= PROOF_FACTOR  # of which the proof takes so many times as much
    elif not takes_limit(planner_name):
        raise QuellError(f"--limit: planner {planner_name!r} does not search, so it takes no limit")
    settings = replace(cluster.inventory.settings, solve_limit_seconds=limit_seconds)
    return replace(cluster, inventory=replace(cluster.inventory, settings=settings))


def find_id(snapshot: Path, movable: str, index: Mapping[str, int], what: str) -> int:
    """The movable that `--vm` names.

    Args:
        snapshot: the file, for errors.
        movable: the id that people type.
        index: movables by id.
        what: the index is of, for people.

    Raises:
        DocumentError: the id is empty, or nothing has it.
    """
    if not movable:
        raise DocumentError(f"{snapshot}: --vm: the id is empty, it must be that of a {what} of this cluster")
    if movable not in index:
        near = get_close_matches(movable, index, n=1)
        hint = f" (did you mean {legible_words(repr(near[0]))}?)" if near else ""
        raise DocumentError(f"{snapshot}: --vm: {legible_words(repr(movable))} is no {what} of this cluster{hint}")
    return index[movable]


def place_snapshot(snapshot: Path, vm: str) -> Plan:
    """Where a VM of a snapshot file starts, and the moves that make room for it; or why no host can take it.

    Raises:
        QuellError: the snapshot cannot be read, or the VM is unknown, off or on a host already.
    """
    cluster = read_snapshot(snapshot)
    inventory = cluster.inventory
    m, name = find_id(snapshot, vm, inventory.vm_index, "VM"), legible_words(repr(vm))
    if cluster.host_of_M[m] != NOWHERE:
        host = legible_words(repr(inventory.hosts[cluster.host_of_M[m]].id))
        raise DocumentError(f"{snapshot}: --vm: {name} is on host {host} already, only a VM without a host is placed")
    if not inventory.vms[m].is_on:
        raise DocumentError(f"{snapshot}: --vm: {name} is off, only a VM that is on is placed")
    return place_with_room(cluster, m, PLACEMENT_LIMITS)


def check_plan(snapshot: Path, plan: Path) -> tuple[Violation, ...]:
    """Everything a plan file breaks against a snapshot file; empty where it is valid.

    Raises:
        QuellError: one of the files cannot be read.
    """
    cluster = read_snapshot(snapshot)
    document = read_plan(plan)
    return validate(state_of(cluster), document, cluster_name=cluster.name)


def show_plan(plan: Plan, as_json: bool, output: Path | None) -> None:
    """Prints a plan, as its document or as tables, and writes the document where somebody asked for that."""
    document = json.dumps(plan_document(plan), indent=2, allow_nan=False)
    if output is not None:
        write_atomically(output, document + "\n")
    if as_json:
        print(document)
    else:
        console.print(plan_text(plan))


def plan_text(plan: Plan) -> Group:
    """The plan as tables: contentions, moves, resizes."""
    moves = f"{len(plan.moves)} move{'' if len(plan.moves) == 1 else 's'}"
    what = f"{plan.vm} {plan.status}" if plan.vm else plan.status.value
    where = f" on {plan.target}" if plan.target else ""
    by = f"by {plan.planner}, {moves}, {plan.cost_gib:.2f} GiB, {plan.solve_seconds:.3f} s"
    head = f"{plan.cluster}: {what}{where} {by}"
    parts: list[Text | Table] = [legible(head, style="bold")]
    if plan.reason:
        parts.append(legible(plan.reason))
    parts += contention_tables(plan)
    if plan.moves:
        table = _table("#", "Moves", "From", "To", "Cost (GiB)", "Why", right=("#", "Cost (GiB)"))
        for i, move in enumerate(plan.moves, start=1):
            what = move.id if move.kind == "vm" else f"{move.id} (session)"
            table.add_row(*map(legible, (str(i), what, move.source, move.target, f"{move.cost_gib:.2f}", move.reason)))
        parts.append(table)
    return Group(*parts, *resize_tables(plan))


def contention_tables(plan: Plan) -> list[Table]:
    """The contentions found before a plan; no table where there are none."""
    table = _table("Contention", "Host", "Figures")
    for contention in plan.contentions:
        table.add_row(contention.kind, legible(contention.host), contention.figures)
    return [table] if plan.contentions else []


def resize_tables(plan: Plan) -> list[Table]:
    """The physical memory that a plan gives to VMs; no table where it gives none."""
    table = _table("Resizes", "On", "Memory (GiB)", right=("Memory (GiB)",))
    for resize in plan.resizes:
        table.add_row(legible(resize.vm), legible(resize.host), f"{resize.memory_gib:.2f}")
    return [table] if plan.resizes else []


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A plain table; figures stand to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
