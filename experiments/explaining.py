"""`quell explain`: one snapshot, its plan, and why: for one VM, or for the cluster as a whole."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..baseline.blocking import FactKind
from ..baseline.blocking_words import WORDS, counted, fact_sentence
from ..baseline.conflict import Conflict, Prover
from ..baseline.effects import Change, Step
from ..baseline.explain import ClusterAnswer, Fate, VmAnswer, explain_cluster, explain_movable
from ..baseline.least_room import MOST_REPAIRS, Repair, rounded_up
from ..baseline.questions import Moves
from ..env.model.cluster import CPU, MEMORY, STORAGE, Cluster
from ..env.model.plan import Plan
from ..env.model.snapshot import read_snapshot
from ..env.model.state import State, state_of
from .legible import legible
from .planners import planner_for_snapshot
from .planning import contention_tables, find_id, resize_tables, with_limit

COLUMNS = ((CPU, "cpu"), (MEMORY, "memory"), (STORAGE, "storage_cpu"))


class Explanation:
    """A snapshot's plan and why it is so."""

    def __init__(self, cluster: Cluster, plan: Plan, answer: ClusterAnswer | VmAnswer) -> None:
        self.state: State = state_of(cluster)
        self.plan, self.answer = plan, answer


def explain_snapshot(
    snapshot: Path, planner_name: str, movable: str | None = None, limit_seconds: float | None = None
) -> Explanation:
    """Why a planner's plan for a snapshot file is as it is; for one VM or session where `movable` is its id.

    Args:
        snapshot: the file.
        planner_name: what people type.
        movable: id of a VM or session; None for the cluster.
        limit_seconds: how long the planner may search; None for what the settings of the snapshot say.

    Raises:
        QuellError: the snapshot or the planner cannot be read, nothing has this id, or the planner takes no limit.
    """
    planner = planner_for_snapshot(planner_name)
    cluster = with_limit(read_snapshot(snapshot), planner_name, limit_seconds)
    if movable is None:
        plan = planner.plan(cluster)
        return Explanation(cluster, plan, explain_cluster(cluster, plan, _prover_of(planner_name)))
    m = find_id(snapshot, movable, cluster.inventory.session_index | cluster.inventory.vm_index, "VM or session")
    plan = planner.plan(cluster)
    return Explanation(cluster, plan, explain_movable(cluster, plan, m))


def _prover_of(planner_name: str) -> Prover | None:
    """How the planner proves what the search cannot; None for all but `exact`."""
    if planner_name != "exact":
        return None
    from ..baseline.exact_proof import prove  # here, so that the others do not wait for OR-tools

    def ask(state: State) -> tuple[Moves | None, bool]:
        result = prove(state)
        return result.moves, result.is_proven

    return ask


def explanation_text(explained: Explanation) -> Group:
    """The explanation as sentences and tables."""
    plan, answer = explained.plan, explained.answer
    if isinstance(answer, VmAnswer):
        parts: list[Text | Table] = [legible(f"{plan.cluster}: {_told_fate(answer)}", style="bold")]
        parts += [legible(reason) for reason in answer.reasons]
        if answer.fate is Fate.PLACED and answer.steps:
            parts.append(_steps_table(answer.steps))
        if answer.fate is Fate.MOVES:
            parts.append(Text(f"The hosts just before move {answer.steps[0].number}:"))
        return Group(*parts, *([_hosts_table(answer)] if answer.hosts else []))
    parts = [legible(f"{plan.cluster}: {plan.status} by {plan.planner}", style="bold"), legible(plan.reason)]
    parts += [legible(reason) for reason in answer.reasons]
    parts += contention_tables(plan)
    parts += [_steps_table(answer.steps)] if answer.steps else []
    parts += resize_tables(plan)
    parts += [_changes_table(answer.hosts)] if answer.hosts else []
    if answer.conflict is not None:
        parts += _conflict_parts(explained.state, plan, answer.conflict)
    return Group(*parts)


def _told_fate(answer: VmAnswer) -> str:
    """What becomes of it, in a few words: "db-2 stays", "vm-9 can start on host-c"."""
    said = {
        Fate.OFF: "is off",
        Fate.PLACED: f"can start on {answer.target}",
        Fate.REJECTED: "can start on no host",
        Fate.RESTARTS: f"restarts on another host, {answer.target} as things are",
    }
    return f"{answer.id} {said.get(answer.fate, answer.fate.value)}"


def _conflict_parts(state: State, plan: Plan, conflict: Conflict) -> list[Text]:
    """What blocks every plan, and the single facts without which there is one."""
    if conflict.moves is not None:
        finder = "ads" if plan.planner != "ads" else "another search"
        found = f"one of {counted(len(conflict.moves), 'move')}, {conflict.cost_gib:.1f} GiB"
        return [legible(f"A plan exists: {finder} finds {found}.")]
    said = []
    if not conflict.is_proven:
        said.append(f"It is not proven that there is no plan{': ' if conflict.reason else ''}{conflict.reason}.")
    elif not conflict.is_blocking:
        said.append("There is no plan (proven); which facts block every plan is not.")
    if conflict.facts:
        said.append(fact_sentence(state, conflict.facts, is_proven=conflict.is_blocking))
    if conflict.is_blocking and not conflict.is_smallest:
        said.append("Fewer facts may block every plan too: the search for them ended at its limit.")
    said += [_told_repair(repair) for repair in conflict.repairs[:MOST_REPAIRS]]
    rest = len(conflict.repairs) - MOST_REPAIRS
    if rest > 0:
        said.append(f"{counted(rest, 'more fact')} {'forbids' if rest == 1 else 'each forbid'} a plan (see --json).")
    if not conflict.repairs:
        said.append("No plan was found that lifting a single fact would allow.")
    return [legible(sentence) for sentence in said]


def _told_repair(repair: Repair) -> str:
    """ "Without rule p0, a plan exists (1 move, 12.5 GiB, the cheapest)."."""
    fact = repair.fact
    count = (
        f"{counted(len(repair.moves), 'move')}, {repair.cost_gib:.1f} GiB" if repair.moves else "nothing has to move"
    )
    plan = f"a plan exists ({count}{', the cheapest' if repair.is_cheapest and repair.moves else ''})"
    match fact.kind:
        case FactKind.CPU | FactKind.MEMORY | FactKind.STORAGE_CPU:
            unit = "GiB" if fact.kind is FactKind.MEMORY else "cores"
            room = f"{rounded_up(repair.missing):.2f} more {unit} of {WORDS[fact.kind]}"
            least = "the least that does" if repair.is_least else "less may do"
            return f"With room for {room} on {fact.host} ({least}), {plan}."
        case FactKind.RULE:
            return f"Without rule {fact.rule}, {plan}."
        case FactKind.GPU:
            return f"With more GPUs on {fact.host}, {plan}."
        case FactKind.HA:
            return f"Without the HA reservation, {plan}."
        case FactKind.MAINTENANCE | FactKind.DOWN:
            return f"With {fact.host} back up, {plan}."


def _steps_table(steps: tuple[Step, ...]) -> Table:
    """Every move and what it brings."""
    table = _table("#", "Moves", "From", "To", "Cost (GiB)", "What it brings")
    for step in steps:
        move = step.move
        table.add_row(
            *map(legible, (str(step.number), move.id, move.source, move.target, f"{move.cost_gib:.2f}", step.effect))
        )
    return table


def _changes_table(changes: tuple[Change, ...]) -> Table:
    """Hosts before and after the plan."""
    table = _table("Host", "CPU", "Memory", "Storage controller")
    for change in changes:
        table.add_row(legible(change.host), *(_pair(change, r) for r, _ in COLUMNS))
    return table


def _hosts_table(answer: VmAnswer) -> Table:
    """How every host stands to a VM."""
    table = _table("Host", "", "Why")
    for host in answer.hosts:
        why = f"{host.rule}: {host.detail}" if host.rule else host.detail
        table.add_row(legible(host.host), host.standing.value, legible(why))
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
