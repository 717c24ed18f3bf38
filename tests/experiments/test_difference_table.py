"""The differences as a terminal shows them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from quell.env.world.rounds import EpisodeResult
from quell.experiments.compare import compare
from quell.experiments.comparison import Comparison
from quell.experiments.difference_table import difference_table, print_differences

Results = dict[str, list[EpisodeResult]]


def rows_of(comparison: Comparison) -> dict[str, list[str]]:
    """The cells of each planner's row."""
    console = Console(file=io.StringIO(), width=100)
    console.print(difference_table(comparison))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()[3:]
    rows: dict[str, list[str]] = {}
    for line in lines:
        if line.strip() and not line.startswith(" "):
            rows[planner := line.split()[0]] = line.split()[1:]
        elif line.strip():
            rows[planner] += line.split()  # the second line of a row
    return rows


def test_every_planner_has_its_figures_and_what_they_show(many_results: Results) -> None:
    comparison = compare(many_results, resamples=200)
    rows = rows_of(comparison)
    assert set(rows) == set(many_results) - {"ads"}
    difference = comparison.difference("learned")
    assert difference is not None and difference.percent is not None and difference.regret_closed is not None
    assert rows["learned"][0] == f"{difference.percent:+.1f}"
    assert rows["learned"][4:7] == ["100", f"{100 * difference.regret_closed:.0f}", "cheaper"]
    assert rows["none"][-1] == "dearer"


def test_few_days_show_nothing(suite: Callable[..., list[EpisodeResult]]) -> None:
    rows = rows_of(compare({"ads": suite([100] * 5), "learned": suite([50] * 5)}))
    assert rows["learned"] == ["-50.0", "-50.0", "to", "-50.0", "100", "-", "-"]


def test_days_of_the_trace_have_an_interval_of_their_own(
    suite: Callable[..., list[EpisodeResult]], capsys: pytest.CaptureFixture[str]
) -> None:
    ads, learned = (
        [replace(result, day_name=f"day-{i // 5}") for i, result in enumerate(suite(costs))]
        for costs in ([100] * 10, [50] * 5 + [100] * 5)
    )
    comparison = compare({"ads": ads, "learned": learned})
    assert rows_of(comparison)["learned"][-3:] == ["-50.0", "to", "0.0"]
    print_differences(comparison)
    assert "whole days of the trace are drawn, 2 here" in " ".join(capsys.readouterr().out.split())


def test_what_is_not_defined_is_a_dash(suite: Callable[..., list[EpisodeResult]]) -> None:
    assert rows_of(compare({"ads": suite([0]), "learned": suite([50])}))["learned"] == ["-", "-", "0", "-", "-"]


def test_the_learned_policy_is_judged_against_every_reference(
    many_results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    print_differences(compare(many_results, against=("ads", "tuned"), resamples=200))
    out = " ".join(capsys.readouterr().out.split())
    assert "cost vs ads" in out and "cost vs tuned" in out
    assert "% less than ads (95 % interval" in out and "% less than tuned (95 % interval" in out
    assert "vs ads %" not in out.split("20 episodes")[0], "differences stand in tables of their own"
