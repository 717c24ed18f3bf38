"""What a terminal and a pipe show."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from quell.env.world.rounds import EpisodeResult
from quell.experiments import terminal
from quell.experiments.compare import compare
from quell.experiments.terminal import comparison_table, duration, fail, notice, print_comparison, progress

Results = dict[str, list[EpisodeResult]]


@pytest.fixture(autouse=True)
def no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def shown(renderable: Any, width: int) -> str:
    """What a pipe of some width gets."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(renderable)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


class TestComparisonTable:
    def test_piped_it_keeps_to_a_hundred_columns_without_colours(
        self, many_results: Results, capsys: pytest.CaptureFixture[str]
    ) -> None:
        print_comparison(compare(many_results, resamples=100))
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert max(map(len, out.splitlines())) <= 100
        for word in ("core-min", "GiB-min", "host-h", "vs ads", "broken", *many_results):
            assert word in out
        assert "the interval excludes 0" in " ".join(out.split())

    def test_no_figure_is_cut_off_at_any_width(self, many_results: Results) -> None:
        comparison = compare(many_results, resamples=100)
        for width in (80, 100, 140):
            text = shown(comparison_table(comparison, width), width)
            assert "…" not in text and "..." not in text
            for summary in comparison.planners:
                interval = summary.cost_core_minutes.interval
                assert interval is not None
                assert f"{interval.low:,.0f} to {interval.high:,.0f}" in text
                assert f"{summary.overload_core_minutes.value:,.0f}" in text

    def test_one_episode_has_no_intervals(self, suite: Callable[..., list[EpisodeResult]]) -> None:
        text = shown(comparison_table(compare({"ads": suite([1234]), "none": suite([2468])})), 100)
        assert " to " not in text
        assert "+100" in text and "1,234" in text

    def test_broken_rules_stand_there(self, result: Callable[..., EpisodeResult]) -> None:
        text = shown(comparison_table(compare({"ads": [result(violations=77)]})), 100)
        assert "77" in text

    def test_a_long_name_is_shortened_from_the_front(self, suite: Callable[..., list[EpisodeResult]]) -> None:
        text = shown(comparison_table(compare({"ads": suite([1]), "very/long/path/to/policy.quell": suite([1])})), 100)
        assert ".../policy.quell" in text and "very" not in text


class TestMessages:
    def test_stay_on_one_line_and_are_taken_literally(self, capsys: pytest.CaptureFixture[str]) -> None:
        long_text = "file [bold]x[/bold]: " + "word " * 60 + "end"
        notice(long_text)
        fail(long_text)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.splitlines() == [long_text, f"error: {long_text}"]

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "0:01:01"), (3723, "1:02:03")]
    )
    def test_durations(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text


class TestProgress:
    def test_a_pipe_gets_a_line_at_the_start_and_one_at_the_end(self, capsys: pytest.CaptureFixture[str]) -> None:
        with progress("episodes", 3) as on_progress:
            for i in range(3):
                on_progress(i + 1, 3)
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "episodes ..."
        assert lines[1].startswith("episodes: done, 3 of 3, ") and lines[1].endswith(" s")
        assert len(lines) == 2

    def test_work_that_breaks_off_is_not_called_done(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ZeroDivisionError), progress("episodes", 3) as on_progress:
            on_progress(1, 3)
            raise ZeroDivisionError
        assert "episodes: stopped, 1 of 3" in capsys.readouterr().err

    def test_a_terminal_gets_a_bar(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = io.StringIO()
        monkeypatch.setattr(terminal, "error_console", Console(file=stream, force_terminal=True, width=80))
        with progress("episodes") as on_progress:
            on_progress(2, 4)
            on_progress(4, 4)
        assert "━" in stream.getvalue() and "4/4" in stream.getvalue()

    def test_nothing_of_it_reaches_standard_output(self, capsys: pytest.CaptureFixture[str]) -> None:
        with progress("episodes", 1) as on_progress:
            on_progress(1, 1)
            print("figure", file=sys.stdout)
        assert capsys.readouterr().out == "figure\n"
