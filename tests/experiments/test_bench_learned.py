"""`quell bench learned` on the smallest of clusters: every figure is there and makes sense."""

from __future__ import annotations

import io
import json
import os

import pytest
from rich.console import Console

from quell.env.model.errors import QuellError
from quell.experiments import bench_learned as bench
from quell.experiments.bench_learned import LearnedBench, peak_of_this_program_mib, plan_times
from quell.experiments.bench_tables import learned_table

SMALL = LearnedBench(("learned", "ads"), sizes=((3, 8),), rounds=4)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures in this process, which takes less time than to start another."""
    monkeypatch.setattr(bench, "_in_a_process_of_its_own", plan_times)


@pytest.mark.usefixtures("here")
def test_there_is_a_row_for_each_planner_and_size() -> None:
    figures = bench.bench_learned(SMALL)
    assert (figures["load"], figures["scenario"], figures["workload"]) == (0.7, "ha", "synthetic")
    assert [(row["planner"], row["hosts"], row["vms"], row["plans"]) for row in figures["rows"]] == [
        ("learned", 3, 24, 4),
        ("ads", 3, 24, 4),
    ]
    for row in figures["rows"]:
        assert 0 < row["median_cpu_seconds"] <= row["p95_cpu_seconds"] <= row["max_cpu_seconds"]
        assert row["peak_memory_mib"] > 10 and row["moves_per_plan"] >= 0
    assert json.loads(json.dumps(figures)) == figures
    console = Console(file=io.StringIO(), width=100)
    console.print(learned_table(figures))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "3 hosts, 24 VMs" in text and "learned" in text and max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(("rounds", "minutes"), [(1, [0]), (2, [0, 1425]), (4, [0, 480, 945, 1425])])
def test_rounds_are_spread_over_the_day(rounds: int, minutes: list[int]) -> None:
    assert bench._minutes(15, rounds) == minutes


def test_all_rounds_are_all_there_are() -> None:
    assert bench._minutes(15, 96) == bench._minutes(15, 1000) == list(range(0, 1440, 15))


def test_a_name_that_is_wrong_is_told_before_any_work() -> None:
    with pytest.raises(QuellError, match="did you mean 'ads'"):
        bench.bench_learned(LearnedBench(("ads", "adz")))


def test_threads_are_set_for_the_new_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with bench._one_thread():
        assert {os.environ[name] for name in bench.THREADS_VARIABLES} == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7" and "OPENBLAS_NUM_THREADS" not in os.environ


def test_memory_counts_what_was_held() -> None:
    before = peak_of_this_program_mib()
    held = bytearray(64 * 1024**2)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_of_this_program_mib() >= before > 10


@pytest.mark.slow
def test_in_a_process_of_its_own() -> None:
    figures = bench.bench_learned(LearnedBench(("tuned",), sizes=((3, 8),), rounds=2))
    assert figures["rows"][0]["plans"] == 2
