"""`quell audits`: what is written is read again, filters find it, and foreign files are told by file and line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quell.env.model.contention import ContentionKind
from quell.env.model.effectiveness import MoveOutcome, PlanOutcome, Relief
from quell.env.model.errors import QuellError
from quell.env.model.plan import Move, MoveKind
from quell.env.world.alerts import Alert
from quell.env.world.audit import AuditRecord, audit_records
from quell.env.world.migration import MoveRecord, Outcome
from quell.env.world.rounds import EpisodeResult
from quell.env.world.tasks import Operation, TaskRecord
from quell.experiments.audits import audits_text, make_filter, read_audits, write_audits
from tests.experiments.conftest import make_result
from tests.experiments.test_cli import run_cli

HOUR = 3600.0
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def a_day(cluster: str = "lab", day: int = 1) -> EpisodeResult:
    """vm-1 moves at 9 in vain and at 15 to some avail, judged an hour later; vm-2 is off from 12, an alert at 18."""
    midnight = MIDNIGHT + timedelta(days=day - 1)
    reliefs = tuple(Relief(ContentionKind.CPU, "host-1", 5.0, measured) for measured in (0.0, 4.5))
    return replace(
        make_result(moves=0),
        log=tuple(_moved(plan, hour) for plan, hour in ((1, 9), (2, 15))),
        tasks=(TaskRecord(Operation.POWER_OFF, "vm-2", "host-2", "", 12 * HOUR, 12 * HOUR),),
        outcomes=tuple(
            PlanOutcome(
                i, midnight + timedelta(hours=h), (r,), (MoveOutcome(MoveKind.VM, "vm-1", "host-1", "host-2", (r,)),)
            )
            for i, (r, h) in enumerate(zip(reliefs, (10, 16), strict=True), start=1)
        ),
        alerts=(Alert(ContentionKind.CPU, "host-3", 18 * HOUR, 19 * HOUR, "95.0%, threshold 85.0%", "no room"),),
        cluster=cluster,
        midnight=midnight,
    )


def _moved(plan: int, hour: int) -> MoveRecord:
    """vm-1 went to host-2 for half a minute of this hour."""
    move = Move(MoveKind.VM, "vm-1", "host-1", "host-2", 4.0, "relieves CPU of host-1")
    return MoveRecord(move, hour * HOUR, hour * HOUR + 30, Outcome.DONE, plan=plan)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two days under ads, one of them under `none` too."""
    path = tmp_path / "audits.jsonl"
    write_audits(path, {"ads": [a_day(), a_day("lab", 2)], "none": [a_day()]})
    return path


def found(path: Path, **wanted: str) -> list[AuditRecord]:
    """The records a filter lets through."""
    options = {key: wanted.get(key, "") for key in ("operation", "since", "until", "planner", "vm")}
    keeps = make_filter(**options).keeps
    return [record for record in read_audits(path) if keeps(record)]


def test_what_is_written_is_read_again(file: Path) -> None:
    records = read_audits(file)
    assert records[:6] == audit_records(a_day())
    assert [r.planner for r in records] == ["ads"] * 12 + ["none"] * 6
    assert json.loads(file.read_text().splitlines()[0])["time"] == "2026-01-01T09:00:00.000Z"
    assert [r.effectiveness for r in records[:6]] == [0.0, 0.0, None, 0.9, 0.9, None]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 18),
        ({"operation": "migrate"}, 6),
        ({"operation": "alert"}, 3),
        ({"vm": "vm-2"}, 3),
        ({"planner": "none"}, 6),
        ({"operation": "migrate", "planner": "ads", "vm": "vm-1"}, 4),
        ({"since": "2026-01-02"}, 6),
        ({"until": "2026-01-01"}, 12),
        ({"since": "2026-01-01T12:00"}, 14),
        ({"since": "2026-01-01T12:00:01"}, 12),
        ({"since": "2026-01-01T13:00+01:00"}, 14),
        ({"since": "12:00"}, 12),
        ({"since": "2026-01-02", "until": "12:00"}, 3),
        ({"since": "2026-01-01T12:00", "until": "2026-01-02T09:00"}, 9),
    ],
)
def test_filters(wanted: dict[str, str], count: int, file: Path) -> None:
    assert len(found(file, **wanted)) == count


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"operation": "migrat"}, "did you mean 'migrate'"),
        ({"operation": "xyz"}, "there are migrate, verdict, alert, place"),
        ({"since": "noon"}, "--since 'noon' is no time"),
        ({"until": "2026-13-01"}, "--until '2026-13-01' is no time"),
        ({"since": "25:00"}, "--since '25:00'"),
        ({"since": "12:00", "until": "11:00"}, "--since 12:00 is after --until 11:00"),
        ({"since": "2026-01-02", "until": "2026-01-01"}, "nothing lies between"),
    ],
)
def test_conditions_that_cannot_be_met_are_told(wanted: dict[str, str], told: str, file: Path) -> None:
    with pytest.raises(QuellError, match=told):
        found(file, **wanted)


LINE = '{"time": "2026-01-01T09:00:00Z", "operation": "migrate", "cluster": "c", "planner": "p", "plan": 1, "id": "i", \
"source": "", "target": "", "cause": "", "outcome": "done", "effectiveness": null, "cost_gib": 1, \
"duration_seconds": 1, "detail": ""}'


@pytest.mark.parametrize(
    "line",
    [
        LINE[:80],
        "",
        "[]",
        "{}",
        LINE.replace('"plan": 1', '"plan": "1"'),
        LINE.replace('"plan": 1', '"plan": true'),
        LINE.replace('"cost_gib": 1', '"cost_gib": NaN'),
        LINE.replace('"cost_gib": 1', '"cost_gib": 1e999'),
        LINE.replace('"id": "i"', '"id": "\\ud800"'),
        LINE.replace("09:00:00Z", "09:00:00"),
        LINE.replace("2026-01-01T09:00:00Z", "noon"),
        LINE.replace('"id": "i"', '"vm": "i"'),
        "[" * 100_000,
        "\x00\xff",
    ],
)
def test_a_cut_or_foreign_line_is_told_by_file_and_number(line: str, tmp_path: Path) -> None:
    path = tmp_path / "audits.jsonl"
    path.write_text(f"{LINE}\n{line}\n{LINE}\n")
    with pytest.raises(QuellError, match=r"audits.jsonl, line 2: cut short, or no audit record"):
        read_audits(path)


def test_a_file_cut_in_its_last_line(file: Path) -> None:
    file.write_text(file.read_text()[:-20])
    with pytest.raises(QuellError, match="line 18"):
        read_audits(file)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(QuellError, match="there is no such file"):
        read_audits(tmp_path / "nowhere.jsonl")
    with pytest.raises(QuellError, match="cannot be read"):
        read_audits(tmp_path)


def test_a_day_of_nothing_is_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "audits.jsonl"
    write_audits(path, {"none": [make_result(moves=0)]})
    assert (path.read_text(), read_audits(path)) == ("", ())


def test_the_table_is_aligned_and_has_one_line_a_record(file: Path) -> None:
    records = found(file, planner="none")
    header, *rows = audits_text(records).splitlines()
    assert len(rows) == 6 and "cluster" not in header
    for name, cell in (("operation", "migrate"), ("from", "host-1"), ("outcome", "done"), ("why", "relieves CPU")):
        assert rows[0].index(cell) == header.index(name)
    assert rows[0].index(" 0%") + 3 == header.index("effective") + len("effective")
    assert "cluster" in audits_text([*records, replace(records[0], cluster="other")]).splitlines()[0]


class TestCommand:
    def test_what_simulate_writes_audits_finds(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
    ) -> None:
        path = tmp_path / "audits.jsonl"
        days = ("simulate", "-p", "ads", "-p", "spread", "--hosts", "4", "--vms-per-host", "10", "--load", "0.75")
        assert run_cli(monkeypatch, *days, "--audits", str(path), "--json") == 0
        moves = {name: rs[0]["moves"] for name, rs in json.loads(capsys.readouterr().out)["planners"].items()}
        assert moves["ads"] > 0
        for name, count in moves.items():
            arguments = ("audits", str(path), "--operation", "migrate", "--planner", name)
            assert run_cli(monkeypatch, *arguments, "--json") == 0
            done = [r for r in json.loads(capsys.readouterr().out) if r["outcome"] != "dropped"]
            assert len(done) == count
            assert any(r["effectiveness"] is not None for r in done)

    def test_disabled_ads_leaves_alerts_and_no_moves(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
    ) -> None:
        path = tmp_path / "audits.jsonl"
        days = ("simulate", "-p", "ads", "--hosts", "4", "--vms-per-host", "10", "--load", "0.75", "--json")
        assert run_cli(monkeypatch, *days, "--mode", "disabled", "--audits", str(path)) == 0
        assert json.loads(capsys.readouterr().out)["planners"]["ads"][0]["moves"] == 0
        operations = {record.operation for record in read_audits(path)}
        assert "alert" in operations and "migrate" not in operations

    def test_the_table_and_how_many_there_are(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
    ) -> None:
        assert run_cli(monkeypatch, "audits", str(file), "--vm", "vm-1", "--since", "12:00") == 0
        printed = capsys.readouterr()
        assert len(printed.out.splitlines()) == 1 + 3
        assert f"3 of 18 records in {file}" in printed.err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_leaves_early_is_no_failure(file: Path, options: list[str]) -> None:
    """`quell audits | head -1`: with `set -o pipefail` any other exit code than 0 would end a script."""
    file.write_text(file.read_text() * 2_000)
    command = [sys.executable, "-m", "quell", "audits", str(file), *options]
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=kept) as started:
        assert started.stdout is not None and started.stderr is not None
        assert started.stdout.readline()
        started.stdout.close()
        errors = started.stderr.read()
    assert (started.returncode, b"Traceback" in errors) == (0, False)
