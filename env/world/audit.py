"""The audit: one record for all that was done to a cluster, for what came of each plan, and for each alert."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..model.effectiveness import PlanOutcome
from .alerts import Alert
from .migration import MoveRecord
from .rounds import EpisodeResult
from .tasks import Operation, TaskRecord

MIGRATE, VERDICT, ALERT = "migrate", "verdict", "alert"
OPERATIONS = (MIGRATE, VERDICT, ALERT, *(operation.value for operation in Operation))


@dataclass(frozen=True)
class AuditRecord:
    """One task or alert.

    Attributes:
        time: when it began.
        operation: one of `OPERATIONS`.
        cluster: its name; of a simulated day it tells the day and the seed.
        planner: who planned for the cluster then.
        plan: running number of the executed plan it belongs to, 0 for none.
        id: the VM, session or host it was done to; of a verdict the plan.
        source, target: hosts before and after; "" where there is none.
        cause: why it was done: of a migration the reason in the plan, of an alert the kind of contention.
        outcome: what became of it.
        effectiveness: measured / predicted relief of a migration or plan; None where there is no verdict.
        cost_gib: GiB copied, 0 where nothing was.
        duration_seconds: from begin to end; of an alert that lasts to the end of the day 0.
        detail: figures, or why it was not done.
    """

    time: datetime
    operation: str
    cluster: str
    planner: str
    plan: int
    id: str
    source: str
    target: str
    cause: str
    outcome: str
    effectiveness: float | None
    cost_gib: float
    duration_seconds: float
    detail: str


def audit_records(result: EpisodeResult) -> tuple[AuditRecord, ...]:
    """The records of a day, by time: migrations, verdicts on plans, other tasks, alerts."""
    outcomes = {outcome.plan: outcome for outcome in result.outcomes}
    records = [_of_move(result, move, outcomes.get(move.plan)) for move in result.log]
    records += [_of_task(result, task) for task in result.tasks]
    records += [_of_verdict(result, outcome) for outcome in result.outcomes]
    records += [_of_alert(result, alert) for alert in result.alerts]
    return tuple(sorted(records, key=lambda record: record.time))


def _of_move(result: EpisodeResult, done: MoveRecord, outcome: PlanOutcome | None) -> AuditRecord:
    """The record of a migration, with the verdict on it."""
    moves = outcome.moves if outcome is not None else ()
    verdict = next((m for m in moves if (m.kind, m.id) == (done.move.kind, done.move.id)), None)
    return AuditRecord(
        time=_time(result, done.start_seconds),
        operation=MIGRATE,
        cluster=result.cluster,
        planner=result.planner,
        plan=done.plan,
        id=done.move.id,
        source=done.move.source,
        target=done.move.target,
        cause=done.move.reason,
        outcome=done.outcome,
        effectiveness=verdict.effectiveness if verdict is not None else None,
        cost_gib=done.move.cost_gib,
        duration_seconds=done.end_seconds - done.start_seconds,
        detail=done.detail,
    )


def _of_task(result: EpisodeResult, task: TaskRecord) -> AuditRecord:
    """The record of what is no migration."""
    return AuditRecord(
        time=_time(result, task.start_seconds),
        operation=task.operation,
        cluster=result.cluster,
        planner=result.planner,
        plan=task.plan,
        id=task.id,
        source=task.source,
        target=task.target,
        cause="",
        outcome=task.outcome,
        effectiveness=None,
        cost_gib=0.0,
        duration_seconds=task.end_seconds - task.start_seconds,
        detail=task.detail,
    )


def _of_verdict(result: EpisodeResult, outcome: PlanOutcome) -> AuditRecord:
    """The record of what a plan was predicted to keep away and did."""
    figures = (
        f"{relief.host} {relief.kind}: {relief.predicted:.2f} predicted, {relief.measured:.2f} measured"
        for relief in outcome.reliefs
    )
    return AuditRecord(
        time=outcome.ended,
        operation=VERDICT,
        cluster=result.cluster,
        planner=result.planner,
        plan=outcome.plan,
        id=f"plan {outcome.plan}",
        source="",
        target="",
        cause="",
        outcome="none" if outcome.effectiveness is None else "judged",
        effectiveness=outcome.effectiveness,
        cost_gib=0.0,
        duration_seconds=0.0,
        detail="; ".join(figures),
    )


def _of_alert(result: EpisodeResult, alert: Alert) -> AuditRecord:
    """The record of a contention that was left alone."""
    return AuditRecord(
        time=_time(result, alert.start_seconds),
        operation=ALERT,
        cluster=result.cluster,
        planner=result.planner,
        plan=0,
        id=alert.host,
        source=alert.host,
        target="",
        cause=alert.kind,
        outcome="lasting" if alert.end_seconds is None else "ended",
        effectiveness=None,
        cost_gib=0.0,
        duration_seconds=0.0 if alert.end_seconds is None else alert.end_seconds - alert.start_seconds,
        detail=f"{alert.figures}: {alert.reason}",
    )


def _time(result: EpisodeResult, seconds: float) -> datetime:
    """A moment of the day."""
    return result.midnight + timedelta(seconds=seconds)
