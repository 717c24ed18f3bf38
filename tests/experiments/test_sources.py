"""Where the days of a suite come from: scenarios by name, and the fixed day of the skew example."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from quell.agents.config import TrainConfig
from quell.env.model.errors import QuellError
from quell.env.world.workload import ClusterSpec, Episode, build_episode
from quell.experiments import sources
from quell.experiments.cluster_mix import ClusterMix
from quell.experiments.run import RunConfig, how_to_go_on
from quell.experiments.simulation import load_source, load_workload
from quell.experiments.sources import DRAWS, MixedDays, SkewDays, TraceDays
from quell.experiments.training import TrainCommand
from tests.command_line import run_cli

SMALL = ["--hosts", "3", "--vms-per-host", "8", "--planner", "none", "--planner", "ads", "--json"]


def test_a_suite_knows_its_part_and_its_clusters() -> None:
    source = load_source("synthetic", ClusterMix((3, 3), (8, 8), (0.6, 0.6), "churn"), "test")
    assert isinstance(source, TraceDays)
    assert (source.part_name, source.spec) == ("test", ClusterSpec(3, 8, 0.6, scenario="churn"))
    assert source.draw(3).episode.events == source.draw(3).episode.events != ()


def test_a_mixed_suite_draws_its_sizes_by_the_seed_and_changes_nothing_else_about_it() -> None:
    source = load_source("synthetic", ClusterMix((3, 6), (6, 9), (0.5, 0.7), "ha"), "test")
    assert isinstance(source, MixedDays)
    assert source.cluster_document()["hosts"] == [3, 6]
    days = [source.draw(seed).episode for seed in range(6)]
    assert len({day.inventory.host_count for day in days}) > 1
    again = source.draw(2)
    assert (again.episode.cpu_VN == days[2].cpu_VN).all() and again.redraws == 0
    same = build_episode(source.part, next(source.mix.draws(2)), 2)
    assert (same.day_name, same.vm_names) == (days[2].day_name, days[2].vm_names)


class TestSizesThatDoNotGoTogether:
    @pytest.fixture
    def mixed(self) -> MixedDays:
        source = load_source("synthetic", ClusterMix((3, 6), (6, 9), (0.5, 0.7), "ha"), "test")
        assert isinstance(source, MixedDays)
        return source

    def refuse(self, monkeypatch: pytest.MonkeyPatch, refusals: int) -> list[ClusterSpec]:
        """Refuses the first clusters; the list receives all that were asked for."""
        asked: list[ClusterSpec] = []

        def build(part: object, spec: ClusterSpec, seed: int) -> Episode:
            asked.append(spec)
            if len(asked) <= refusals:
                raise QuellError("they find no place")
            return build_episode(part, spec, seed)  # type: ignore[arg-type]

        monkeypatch.setattr(sources, "build_episode", build)
        return asked

    def test_are_drawn_again_and_counted(self, mixed: MixedDays, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = self.refuse(monkeypatch, 2)
        day = mixed.draw(7)
        assert (day.redraws, day.episode.seed) == (2, 7)
        assert len(set(asked)) == 3 and day.episode.inventory.host_count == asked[2].hosts

    def test_are_told_where_no_draw_helps(self, mixed: MixedDays, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuse(monkeypatch, DRAWS)
        with pytest.raises(QuellError, match="seed 7: none of 20 draws gave a cluster; the last one: they find no pl"):
            mixed.draw(7)


def test_skew_is_the_same_day_for_every_seed_and_cannot_be_learned_from(capsys: pytest.CaptureFixture) -> None:
    source = load_source("skew", ClusterMix(), "all")
    assert isinstance(source, SkewDays)
    assert "size, load, scenario and part do not count" in capsys.readouterr().err
    first, second = source.draw(1).episode, source.draw(2).episode
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
    command = TrainCommand("synthetic", 1.0, 1, "policy.quell", "cpu", "sqlite:///mlflow.db")
    assert command.config().scenario == "mixed"
    assert replace(command, preset="standard").config().scenario == "ha"
    assert replace(command, preset="standard", scenario="plain").config().scenario == "plain"


def test_a_training_knows_its_scenario() -> None:
    assert TrainConfig().scenario == "plain"
    with pytest.raises(QuellError, match="scenario 'gpus' is unknown; did you mean 'gpu'?"):
        TrainConfig(scenario="gpus")
