"""`quell explain`: one snapshot, its plan, and why: for one VM, or for the cluster as a whole."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..baseline.ads import Ads
from ..baseline.blocking import Fact, FactKind, figures
from ..baseline.blocking_words import fact_sentence, told
from ..baseline.conflict import Conflict, Repair
from ..baseline.effects import Change, Step
from ..baseline.explain import ClusterAnswer, Fate, VmAnswer, explain_cluster, explain_movable
from ..baseline.search import SearchLimits
from ..env.model.cluster import CPU, MEMORY, STORAGE, Cluster
from ..env.model.errors import DocumentError
from ..env.model.plan import Plan
from ..env.model.snapshot import plan_document, read_snapshot
from ..env.model.state import State, state_of
from .planners import planner_for_snapshot
from .planning import contention_tables, resize_tables

ADS_LIMITS = SearchLimits(nodes=40_000)  # counted, so that the same snapshot always has the same explanation
MANY = 8  # repairs shown in text
COLUMNS = ((CPU, "cpu"), (MEMORY, "memory"), (STORAGE, "storage_cpu"))


class Explanation:
    """A snapshot's plan and why it is so, as text and as a document."""

    def __init__(self, cluster: Cluster, plan: Plan, answer: ClusterAnswer | VmAnswer) -> None:
        self.state: State = state_of(cluster)
        self.plan, self.answer = plan, answer


def explain_snapshot(snapshot: Path, planner_name: str, movable: str) -> Explanation:
    """Why a planner's plan for a snapshot file is as it is; for one VM or session where `movable` is its id.

    Raises:
        QuellError: the snapshot or the planner cannot be read, or nothing has this id.
    """
    cluster = read_snapshot(snapshot)
    planner = Ads(limits=ADS_LIMITS) if planner_name == "ads" else planner_for_snapshot(planner_name)
    if not movable:
        plan = planner.plan(cluster)
        return Explanation(cluster, plan, explain_cluster(cluster, plan))
    inventory = cluster.inventory
    index = inventory.session_index | inventory.vm_index
    if movable not in index:
        near = get_close_matches(movable, index, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise DocumentError(f"{snapshot}: --vm: {movable!r} is no VM or session of this cluster{hint}")
    plan = planner.plan(cluster)
    return Explanation(cluster, plan, explain_movable(cluster, plan, index[movable]))


def explanation_document(explained: Explanation) -> dict[str, Any]:
    """The explanation as JSON."""
    plan, answer = explained.plan, explained.answer
    head = {key: plan_document(plan)[key] for key in ("cluster", "planner", "status", "reason", "contentions")}
    steps = [_step_document(step) for step in answer.steps]
    if isinstance(answer, VmAnswer):
        return head | _vm_document(answer) | {"moves": steps}
    document = head | {"reasons": list(answer.reasons), "cost_gib": round(plan.cost_gib, 4), "moves": steps}
    document["resizes"] = plan_document(plan)["resizes"]
    document["hosts"] = [_change_document(change) for change in answer.hosts]
    if answer.conflict is not None:
        document |= _conflict_document(explained.state, answer.conflict)
    return document


def explanation_text(explained: Explanation) -> Group:
    """The explanation as sentences and tables."""
    plan, answer = explained.plan, explained.answer
    if isinstance(answer, VmAnswer):
        parts: list[Text | Table] = [Text(f"{plan.cluster}: {answer.id} {answer.fate}", style="bold")]
        parts += [Text(reason) for reason in answer.reasons]
        if answer.fate is Fate.PLACED and answer.steps:
            parts.append(_steps_table(answer.steps))
        if answer.fate is Fate.MOVES:
            parts.append(Text(f"The hosts just before move {answer.steps[0].number}:"))
        return Group(*parts, *([_hosts_table(answer)] if answer.hosts else []))
    parts = [Text(f"{plan.cluster}: {plan.status} by {plan.planner}", style="bold"), Text(plan.reason)]
    parts += [Text(reason) for reason in answer.reasons]
    parts += contention_tables(plan)
    parts += [_steps_table(answer.steps)] if answer.steps else []
    parts += resize_tables(plan)
    parts += [_changes_table(answer.hosts)] if answer.hosts else []
    if answer.conflict is not None:
        parts += _conflict_parts(explained.state, answer.conflict)
    return Group(*parts)


def _vm_document(answer: VmAnswer) -> dict[str, Any]:
    """What the plan does with one VM or session."""
    document: dict[str, Any] = {"id": answer.id, "fate": answer.fate.value, "host": answer.host or None}
    document |= {"target": answer.target or None, "reasons": list(answer.reasons)}
    document["hosts"] = [
        {"standing": host.standing.value, "rule": host.rule or None, "detail": host.detail}
        | _change_document(host.change)
        for host in answer.hosts
    ]
    if answer.forced is not None:
        cost_gib = answer.forced.cost_gib
        known = {"cost_gib": round(cost_gib, 4) if cost_gib < float("inf") else None, "exact": answer.forced.is_exact}
        document["if_it_had_to_move"] = known
    return document


def _conflict_document(state: State, conflict: Conflict) -> dict[str, Any]:
    """What blocks every plan, and which plans single facts forbid."""
    repairs = [
        _fact_document(state, repair.fact)
        | {"cost_gib": round(repair.cost_gib, 4), "cheapest": repair.is_cheapest, "moves": len(repair.moves)}
        | ({"missing": round(repair.missing, 4)} if repair.missing else {})
        for repair in conflict.repairs
    ]
    facts = [_fact_document(state, fact) for fact in conflict.facts]
    known = {"refusal_proven": conflict.is_proven, "proven": conflict.is_smallest}
    return {"facts": facts} | known | {"plan_exists": _is_planned(conflict), "repairs": repairs}


def _fact_document(state: State, fact: Fact) -> dict[str, Any]:
    """One fact with its figures."""
    document: dict[str, Any] = {"kind": fact.kind.value, "host": fact.host or None, "rule": fact.rule or None}
    document["detail"] = told(state, fact)
    if (room := figures(state, fact)) is not None:
        document |= {"used": round(room.used, 4), "limit": round(room.limit, 4), "unit": room.unit}
    return document


def _step_document(step: Step) -> dict[str, Any]:
    """One move and what it brings."""
    move = step.move
    document = {"kind": move.kind.value, "id": move.id, "source": move.source, "target": move.target}
    hosts = [_change_document(change) for change in (step.source, step.target)]
    return document | {
        "cost_gib": round(move.cost_gib, 4),
        "number": step.number,
        "effect": step.effect,
        "hosts": hosts,
    }


def _change_document(change: Change) -> dict[str, Any]:
    """Utilization of a host before and after."""
    before = {name: round(change.before_R[r], 6) for r, name in COLUMNS}
    return {"host": change.host, "before": before, "after": {name: round(change.after_R[r], 6) for r, name in COLUMNS}}


def _conflict_parts(state: State, conflict: Conflict) -> list[Text | Table]:
    """What blocks every plan, and the single facts without which there is one."""
    found = conflict.found
    if _is_planned(conflict):
        count = len(found.moves or ())
        return [
            Text(f"A plan exists: ads finds one of {count} move{'' if count == 1 else 's'}, {found.cost_gib:.1f} GiB.")
        ]
    parts: list[Text | Table] = []
    if not conflict.is_proven:
        parts.append(Text(f"It is not proven that there is no plan: {found.reason}."))
    if conflict.facts:
        parts.append(Text(fact_sentence(state, conflict.facts, is_proven=conflict.is_proven)))
    if conflict.is_proven and not conflict.is_smallest:
        parts.append(Text("Fewer facts may block every plan too: the search for them ended at its limit."))
    parts += [Text(_told_repair(repair)) for repair in conflict.repairs[:MANY]]
    if len(conflict.repairs) > MANY:
        parts.append(Text(f"{len(conflict.repairs) - MANY} more facts each forbid a plan (--json has them all)."))
    if not conflict.repairs:
        parts.append(Text("No plan was found that lifting a single fact would allow."))
    return parts


def _told_repair(repair: Repair) -> str:
    """ "Without rule p0 a plan of 12.5 GiB exists."."""
    fact = repair.fact
    count = f"{len(repair.moves)} move{'' if len(repair.moves) == 1 else 's'}, {repair.cost_gib:.1f} GiB"
    plan = f"a plan exists ({count}{', the cheapest' if repair.is_cheapest else ''})"
    match fact.kind:
        case FactKind.CPU | FactKind.MEMORY | FactKind.STORAGE_CPU:
            unit = "GiB of memory" if fact.kind is FactKind.MEMORY else "cores"
            what = "storage controller " if fact.kind is FactKind.STORAGE_CPU else ""
            return f"With room for {repair.missing:.2f} {what}{unit} more on {fact.host}, {plan}."
        case FactKind.RULE:
            return f"Without rule {fact.rule}, {plan}."
        case FactKind.GPU:
            return f"With more GPUs on {fact.host}, {plan}."
        case FactKind.HA:
            return f"Without the HA reservation, {plan}."
        case FactKind.MAINTENANCE | FactKind.DOWN:
            return f"With {fact.host} back up, {plan}."


def _is_planned(conflict: Conflict) -> bool:
    """Whether there is a plan after all: another planner refused."""
    return conflict.found.moves is not None


def _steps_table(steps: tuple[Step, ...]) -> Table:
    """Every move and what it brings."""
    table = _table("#", "Moves", "From", "To", "Cost (GiB)", "What it brings")
    for step in steps:
        move = step.move
        table.add_row(
            *map(Text, (str(step.number), move.id, move.source, move.target, f"{move.cost_gib:.2f}", step.effect))
        )
    return table


def _changes_table(changes: tuple[Change, ...]) -> Table:
    """Hosts before and after the plan."""
    table = _table("Host", "CPU", "Memory", "Storage controller")
    for change in changes:
        table.add_row(Text(change.host), *(_pair(change, r) for r, _ in COLUMNS))
    return table


def _hosts_table(answer: VmAnswer) -> Table:
    """How every host stands to a VM."""
    table = _table("Host", "", "Why")
    for host in answer.hosts:
        why = f"{host.rule}: {host.detail}" if host.rule else host.detail
        table.add_row(Text(host.host), host.standing.value, Text(why))
    return table


def _pair(change: Change, r: int) -> str:
    """ "90.2% to 74.1%", or one figure where nothing changes."""
    before, after = f"{change.before_R[r]:.1%}", f"{change.after_R[r]:.1%}"
    return before if before == after else f"{before} to {after}"


def _table(*columns: str) -> Table:
    """A plain table."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
