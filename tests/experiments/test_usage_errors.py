"""Wrong options: one sentence that names option and value, exit code 2, and no box of Typer's."""

from __future__ import annotations

import pytest

from quell.env.model.errors import QuellError
from quell.experiments.number_options import decimal_of, whole_of
from tests.command_line import run_cli

SEEDS = "it must be from 0 to 4294967295"
MINUTES = "it must be a number, from 0.1 to 10080"


@pytest.mark.parametrize(
    ("command_line", "told"),
    [
        ("evaluate --workers 0", "--workers 0: it must be at least 1"),
        ("evaluate --episodes 0", "--episodes 0: it must be at least 1"),
        ("evaluate --part bla", "--part: 'bla' is not one of 'train', 'validation', 'test', 'all'"),
        ("simulate --mode bla", "--mode: 'bla' is not one of 'enabled', 'disabled'"),
        ("simulate --seed -1", f"--seed -1: {SEEDS}"),
        ("train --budget-minutes 0", "--budget-minutes 0: it must be from 0.1 to 10080"),
        ("train --budget-minutes nan", f"--budget-minutes nan: {MINUTES}"),
        ("run --budget-minutes inf", f"--budget-minutes inf: {MINUTES}"),
        ("run --load nan", "--load nan: it must be a number, from 0.05 to 0.95"),
        ("run --hosts 1.5", "--hosts 1.5: it must be a whole number, at least 2"),
        ("bench plan --clusters 0", "--clusters 0: it must be at least 1"),
        ("evaluate --plott x.svg", "no such option: --plott"),
        ("evaluate --plot", "option '--plot' requires an argument"),
        ("plan", "missing argument 'snapshot'; see"),
        ("pla", "no such command 'pla' (did you mean 'plan', 'place', 'explain'?); see"),
        ("bundle shw", "no such command 'shw' (did you mean 'show'?); see"),
        ("--bla", "no such option: --bla"),
    ],
)
def test_one_sentence_names_option_and_value(
    command_line: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run_cli(monkeypatch, *command_line.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"error: {told}") and printed.err.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "train", "evaluate", "simulate", "bench"])
def test_a_seed_that_no_library_takes_is_refused_before_any_work(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The training ended in a traceback at PPO, and its policy was lost."""
    assert run_cli(monkeypatch, command, "--seed", "5000000000") == 2
    assert capsys.readouterr().err == f"error: --seed 5000000000: {SEEDS}\n"


@pytest.mark.parametrize("command_line", ["--help", "evaluate -h", "bundle --help", "--version"])
def test_help_and_version_are_no_errors(
    command_line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run_cli(monkeypatch, *command_line.split()) == 0
    printed = capsys.readouterr()
    assert "quell" in printed.out and printed.err == ""


def test_a_group_without_a_command_shows_its_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run_cli(monkeypatch, "bundle")
    printed = capsys.readouterr()
    assert "record" in printed.out + printed.err and "error" not in printed.err


@pytest.mark.parametrize("text", ["", "1e3", "0x10", "½", "9" * 5000, "nan", "1 2"])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(QuellError, match="--seed .*: it must be a whole number, at least 0"):
        whole_of("--seed", 0, None, text)


@pytest.mark.parametrize("text", ["", "nan", "-inf", "1e999", "half", "0,5"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(QuellError, match="--load .*: it must be a number, from 0.05 to 0.95"):
        decimal_of("--load", 0.05, 0.95, text)


def test_numbers_and_defaults_come_through() -> None:
    assert [whole_of("--seed", 0, 9, text) for text in (" 7", "+9", 0)] == [7, 9, 0]
    assert [decimal_of("--load", 0.05, 0.95, text) for text in ("0.05", ".5", 0.95)] == [0.05, 0.5, 0.95]
