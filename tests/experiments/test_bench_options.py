"""Options of `quell bench`: each reaches its benchmark, and one that the benchmark has no use for is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quell.env.model.errors import StoreError
from quell.env.world.workload import ClusterSpec
from quell.experiments import bench_plot, benchmark
from quell.experiments.bench_answers import Answer
from quell.experiments.bench_learned import LearnedBench
from quell.experiments.bench_plan import PlanBench
from quell.experiments.bench_recall import RecallBench
from quell.experiments.cli import main
from quell.experiments.plots import to_bytes

ANSWER = Answer("3x12", "fresh-3x12-1", 3, "ads", "refused", True, 0.0, 0, 0.1, 0.2)
FIGURES = {"planners": [{"planner": "ads"}], "peers": [], "answers": [vars(ANSWER) | {"ratio": None}]}


def run_bench(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `quell bench ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["quell", "bench", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return int(exit_info.value.code or 0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the benchmarks would have been asked to measure: of the plan, of recall, of the learned planner."""
    found: list[Any] = []

    def remember(what: str, plan: PlanBench, plot: object, is_text: bool, *others: object) -> None:
        found.extend((plan, *others))

    monkeypatch.setattr(benchmark, "run_benchmarks", remember)
    return found


def test_without_options_the_benchmarks_are_what_they_are_by_default(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_bench(monkeypatch, "all") == 0
    plan, recall, learned = asked
    assert (replace(plan, sizes=()), recall, learned) == (PlanBench(), RecallBench(), LearnedBench())


def test_recall_is_measured_on_the_days_that_are_asked_for(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The recall table of the documentation had no command: workload and seed were fixed."""
    days = ("--workload", "bitbrains:data", "--part", "test", "--days", "2", "--seed", "11")
    assert run_bench(monkeypatch, "recall", *days, "--hosts", "4", "--load", "0.6", "--scenario", "plain") == 0
    assert asked[1] == RecallBench("bitbrains:data", "test", ClusterSpec(4, 15, 0.6, scenario="plain"), 2, 11)


@pytest.mark.parametrize(
    ("what", "option"),
    [
        ("env", "--planners ads"),
        ("env", "--seed 2"),
        ("recall", "--planners ads"),
        ("recall", "--no-peers"),
        ("learned", "--plot plans.svg"),
        ("learned", "--limit 3"),
        ("plan", "--days 2"),
        ("all", "--planners ads"),
    ],
)
def test_an_option_that_a_benchmark_has_no_use_for_is_refused(
    what: str, option: str, asked: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run_bench(monkeypatch, what, *option.split()) == 2
    name = option.split()[0].replace("--no-", "--")
    assert capsys.readouterr().err.startswith(f"error: {name}: bench {what} does not use it; it is for bench ")
    assert asked == []


class TestThePlot:
    def test_a_plot_that_cannot_be_written_is_told_before_anything_is_measured(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(benchmark, "bench_plan", lambda _: pytest.fail("it measured"))
        assert run_bench(monkeypatch, "plan", "--plot", "nodir/x.svg") == 2
        assert capsys.readouterr().err == "error: nodir/x.svg cannot be written: No such file or directory\n"

    def test_the_figures_are_there_though_the_plot_fails(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
    ) -> None:
        def refuse(path: Path, _: object) -> None:
            raise StoreError(f"{path} cannot be written: No space left on device")

        monkeypatch.setattr(benchmark, "bench_plan", lambda _: FIGURES)
        monkeypatch.setattr(benchmark, "write_atomically", refuse)
        assert run_bench(monkeypatch, "plan", "--json", "--plot", str(tmp_path / "x.svg")) == 2
        printed = capsys.readouterr()
        assert json.loads(printed.out)["plan"] == FIGURES and "No space left" in printed.err

    def test_where_nothing_was_moved_there_is_a_plot_too(self) -> None:
        """ "Data cannot be log-scaled", after all had been measured."""
        drawn = to_bytes(bench_plot.plans_figure(FIGURES), "svg").decode()
        assert bench_plot.NOTHING_TO_COMPARE in drawn and "Seconds a plan" in drawn
