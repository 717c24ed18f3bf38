"""The explanation of a plan as a document, `quell.explanation/1` (docs/explain.md has every key)."""

from __future__ import annotations

from typing import Any

from ..baseline.blocking import Fact, figures
from ..baseline.blocking_words import told
from ..baseline.conflict import Conflict
from ..baseline.effects import Change, Step
from ..baseline.explain import VmAnswer
from ..baseline.least_room import Repair, rounded_up
from ..baseline.stranded import Stranded
from ..env.model.snapshot import plan_document
from ..env.model.state import State
from .explaining import COLUMNS, Explanation

EXPLANATION_FORMAT = "quell.explanation/1"


def explanation_document(explained: Explanation) -> dict[str, Any]:
    """The explanation as JSON; every id as it is."""
    plan, answer = explained.plan, explained.answer
    known = plan_document(plan)
    head: dict[str, Any] = {"format": EXPLANATION_FORMAT}
    head |= {key: known[key] for key in ("cluster", "planner", "status", "reason", "contentions")}
    steps = [_step_document(step) for step in answer.steps]
    if isinstance(answer, VmAnswer):
        return head | _vm_document(answer) | {"moves": steps}
    document = head | {"reasons": list(answer.reasons), "cost_gib": round(plan.cost_gib, 4), "moves": steps}
    document["resizes"] = known["resizes"]
    document["hosts"] = [_change_document(change) for change in answer.hosts]
    document |= _stranded_document(answer.stranded)
    if answer.conflict is not None:
        document |= _conflict_document(explained.state, answer.conflict)
    return document


def _vm_document(answer: VmAnswer) -> dict[str, Any]:
    """What becomes of one VM or session."""
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


def _stranded_document(found: Stranded) -> dict[str, Any]:
    """What is on and does not run."""
    down = [
        {
            "host": host.host,
            "restarts": [{"vm": vm, "target": target or None} for vm, target in host.restarts],
            "waiting": list(host.waiting),
            "sessions": list(host.sessions),
        }
        for host in found.down
    ]
    return {"down": down, "unplaced": list(found.unplaced)}


def _conflict_document(state: State, conflict: Conflict) -> dict[str, Any]:
    """What blocks every plan, and which plans single facts forbid."""
    facts = [_fact_document(state, fact) for fact in conflict.facts]
    known = {"refusal_proven": conflict.is_proven, "facts_proven": conflict.is_blocking, "proven": conflict.is_smallest}
    repairs = [_repair_document(state, repair) for repair in conflict.repairs]
    return {"facts": facts} | known | {"plan_exists": conflict.moves is not None, "repairs": repairs}


def _repair_document(state: State, repair: Repair) -> dict[str, Any]:
    """A plan that a single fact forbids."""
    document = _fact_document(state, repair.fact)
    document |= {"cost_gib": round(repair.cost_gib, 4), "cheapest": repair.is_cheapest, "moves": len(repair.moves)}
    if repair.missing:
        document |= {"missing": rounded_up(repair.missing, 4), "least": repair.is_least}
    return document


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
