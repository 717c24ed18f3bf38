"""Where the days of a suite come from: scenarios by name, and the fixed day of the skew example."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from quell.agents.config import TrainConfig
from quell.env.model.errors import QuellError
from quell.env.world.workload import ClusterSpec
from quell.experiments.cli import main
from quell.experiments.run import RunConfig, how_to_go_on
from quell.experiments.simulation import load_source, load_workload
from quell.experiments.sources import SkewDays, TraceDays
from quell.experiments.training import TrainCommand

SMALL = ["--hosts", "3", "--vms-per-host", "8", "--planner", "none", "--planner", "ads", "--json"]


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `quell ARGUMENTS`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["quell", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return int(exit_info.value.code or 0)


def test_a_suite_knows_its_part_and_its_clusters() -> None:
    spec = ClusterSpec(3, 8, 0.6, scenario="churn")
    source = load_source("synthetic", spec, "test")
    assert isinstance(source, TraceDays)
    assert (source.part_name, source.spec) == ("test", spec)
    assert source.episode(3).events == source.episode(3).events != ()


def test_skew_is_the_same_day_for_every_seed_and_cannot_be_learned_from(capsys: pytest.CaptureFixture) -> None:
    source = load_source("skew", ClusterSpec(), "all")
    assert isinstance(source, SkewDays)
    assert "size, load, scenario and part do not count" in capsys.readouterr().err
    first, second = source.episode(1), source.episode(2)
    assert (first.seed, second.seed) == (1, 2)
    assert first.cpu_VN.tobytes() == second.cpu_VN.tobytes()
    assert (source.spec.hosts, source.spec.vms_per_host) == (3, first.inventory.vm_count // 3)
    with pytest.raises(QuellError, match="workload 'skew' is one fixed day and no trace"):
        load_workload("skew")


def test_simulate_shows_that_balancing_skew_costs_and_gains_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["simulate", "--workload", "skew", "-p", "none", "-p", "spread", "-p", "ads", "--json"]
    assert run_cli(monkeypatch, *arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cluster"]["hosts"] == 3
    figures = {name: days[0] for name, days in document["planners"].items()}
    assert figures["spread"]["moved_gib"] > 50
    assert figures["spread"]["cost_core_minutes"] == figures["spread"]["moved_gib"]
    for name in ("none", "ads"):
        assert figures[name]["cost_core_minutes"] == figures[name]["moves"] == 0


@pytest.mark.parametrize(("options", "scenario"), [([], "ha"), (["--scenario", "overcommit"], "overcommit")])
def test_simulate_records_the_scenario_it_plays(
    options: list[str], scenario: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run_cli(monkeypatch, "simulate", *SMALL, *options) == 0
    assert json.loads(capsys.readouterr().out)["cluster"]["scenario"] == scenario


@pytest.mark.parametrize("command", ["simulate", "evaluate", "run", "train"])
def test_a_misspelt_scenario_is_told_before_any_work(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(monkeypatch, command, "--scenario", "overcomit") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "error: scenario 'overcomit' is unknown; did you mean 'overcommit'?\n"
    assert list(tmp_path.iterdir()) == []


def test_the_main_job_and_trainings_mix_scenarios_unless_told_otherwise() -> None:
    config = RunConfig("synthetic", 1.0, 3, 8, 0.65, 2, 7, "nowhere", "sqlite:///mlflow.db")
    assert config.scenario == "mixed"
    assert "--scenario mixed" in config.command and "--scenario mixed" in how_to_go_on(config)
    assert TrainCommand("synthetic", 1.0, 1, "policy.quell", "cpu", "sqlite:///mlflow.db").scenario == "mixed"


def test_a_training_knows_its_scenario() -> None:
    assert TrainConfig().scenario == "plain"
    with pytest.raises(QuellError, match="scenario 'gpus' is unknown; did you mean 'gpu'?"):
        TrainConfig(scenario="gpus")
