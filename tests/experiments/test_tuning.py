"""Tuning: the same settings on the same days, the best of which is told."""

from __future__ import annotations

import json

import pytest

from quell.baseline.tuned import Tuned
from quell.env.world.split import part
from quell.env.world.synthetic import synthetic_trace
from quell.experiments import tuning
from tests.command_line import run_cli


def test_settings_are_drawn_by_seed_with_the_defaults_first() -> None:
    once, again = tuning.drawn_settings(5, 1), tuning.drawn_settings(5, 1)
    assert once == again != tuning.drawn_settings(5, 2)
    assert once[0] == Tuned().settings


def test_the_best_of_what_was_tried_is_told(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(tuning, "HOSTS", (3, 4))
    monkeypatch.setattr(tuning, "VMS_PER_HOST", (6, 8))
    document = tuning.tune(part(synthetic_trace(0), "validation"), Tuned, settings=2, days=1)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["cost_core_minutes"] == min(one["cost"] for one in document["tried"] if one["cost"] is not None)
    assert document["best"] in [one["settings"] for one in document["tried"]]


def test_the_command_tells_the_best_setting_and_what_it_costs_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tuning, "HOSTS", (3, 4))
    monkeypatch.setattr(tuning, "VMS_PER_HOST", (6, 8))
    assert run_cli(monkeypatch, "tune", "--settings", "1", "--days", "1") == 0
    out = capsys.readouterr().out
    assert "best of 1 settings of tuned: quantile 0.5, window_minutes 30, " in out
    assert "on 1 other days of the same part: " in out and "where nothing is done)" in out


def test_what_has_no_settings_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(monkeypatch, "tune", "--planner", "ads") == 2
    assert "--planner ads: only the rules tuned, forecast and forecast:BUNDLE" in " ".join(
        capsys.readouterr().err.split()
    )
