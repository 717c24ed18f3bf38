"""What was done to a cluster, as it is written down."""

from __future__ import annotations

from datetime import timedelta

import pytest

from quell.baseline.ads import Ads
from quell.baseline.mode import Mode
from quell.env.world.audit import ALERT, MIGRATE, AuditRecord, audit_records
from quell.env.world.events import Event, EventKind
from quell.env.world.rounds import EpisodeResult, run_episode
from tests.env.world.episodes import QUICK, build_episode


def play(*events: Event, planner: Ads | None = None, **episode: object) -> EpisodeResult:
    """A day on which host-0 has 40 of 40 cores from the start, so that vm-0 (8 GiB) moves to host-1."""
    return run_episode(build_episode(events=events, **episode), planner or Ads(), QUICK)  # type: ignore[arg-type]


def test_a_migration_with_cause_and_effectiveness() -> None:
    result = play()
    record, verdict = audit_records(result)
    assert (verdict.operation, verdict.plan, verdict.id) == ("verdict", 1, "plan 1")
    assert verdict.effectiveness == record.effectiveness
    assert verdict.detail == "host-0 cpu: 6.00 predicted, 6.00 measured", "40 cores, threshold 34"
    assert record.effectiveness == pytest.approx(1.0, abs=1e-3)
    assert record == AuditRecord(
        time=result.midnight,
        operation=MIGRATE,
        cluster="cluster",
        planner="ads",
        plan=1,
        id="vm-0",
        source="host-0",
        target="host-1",
        cause="relieves CPU of host-0",
        outcome="done",
        effectiveness=record.effectiveness,
        cost_gib=8.0,
        duration_seconds=7 + 2.3 * 8,
        detail="",
    )


def test_a_migration_that_was_cut_off_says_why_and_has_no_verdict() -> None:
    """60 GiB take more than two minutes; the VM is powered off in the second."""
    result = play(Event(1, EventKind.DEPARTURE, 0), memory_gib=(60, 200, 8))
    migrations = [r for r in audit_records(result) if r.operation == MIGRATE]
    assert [(r.outcome, r.effectiveness, r.detail) for r in migrations] == [("dropped", None, "vm-0 was powered off")]


def test_other_tasks_stand_between_the_migrations_by_time() -> None:
    result = play(Event(600, EventKind.DEPARTURE, 2), Event(20, EventKind.FAILURE, 1, 60))
    records = audit_records(result)
    assert [r.time for r in records] == sorted(r.time for r in records)
    first = {r.operation: r for r in reversed(records)}
    assert {MIGRATE, "fail", "restart", "recover", "power-off"} <= first.keys()
    assert (first["power-off"].id, first["power-off"].source) == ("vm-2", first["restart"].target)
    assert first["power-off"].time == result.midnight + timedelta(minutes=600)
    assert first["fail"].duration_seconds == 3600


def test_disabled_ads_moves_nothing_and_raises_an_alert() -> None:
    result = play(planner=Ads(mode=Mode.DISABLED))
    (record,) = audit_records(result)
    assert (result.moves, record.operation, record.id, record.cause) == (0, ALERT, "host-0", "cpu")
    assert record.detail == "100.0%, threshold 85.0%: disabled: 1 contention found, nothing is moved"
    assert record.outcome == "lasting"
