"""`quell evaluate`: the document, references, files, raw folders, and how it is stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from quell.agents.bundle import shipped_bundle
from quell.env.model.errors import QuellError, StoreError
from quell.env.world.bitbrains_raw import RAW_COLUMNS
from quell.env.world.rounds import EpisodeResult
from quell.experiments.bundle_origin import bundles_of
from quell.experiments.compare import compare
from quell.experiments.evaluating import references_of, shown_day
from quell.experiments.simulation import shown_names
from tests.command_line import run_cli

Results = dict[str, list[EpisodeResult]]

SMALL = ["--hosts", "3", "--vms-per-host", "8", "--load", "0.6-0.7", "--episodes", "2", "--workers", "1"]


def test_the_document_has_the_suite_and_a_pair_for_each_reference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    file, plot = tmp_path / "figures.json", tmp_path / "suite.svg"
    asked = ["--planners", "none,spread,ads", "--against", "ads,none", "--output", str(file), "--plot", str(plot)]
    assert run_cli(monkeypatch, "evaluate", *SMALL, *asked, "--json") == 0
    printed = capsys.readouterr().out
    assert printed == file.read_text()
    document = json.loads(printed)
    assert document["suite"] == {
        "workload": "synthetic",
        "part": "test",
        "hosts": 3,
        "vms_per_host": 8,
        "load": [0.6, 0.7],
        "has_rules": True,
        "scenario": "ha",
        "episodes": 2,
        "seed": 1,
        "redraws": 0,
    }
    assert document["against"] == "ads" and document["paired"] == document["pairs"]["ads"]
    assert {name: set(pairs) for name, pairs in document["pairs"].items()} == {
        "ads": {"none", "spread"},
        "none": {"spread", "ads"},
    }
    assert document["bundles"] == {} and set(document["made_with"]) == {"quell_version", "git_commit"}
    low, high = document["planners"]["ads"]["intervals"]["cost_core_minutes"]
    assert low <= document["planners"]["ads"]["cost_core_minutes"] <= high
    assert "2 days" in plot.read_text() and "hour of the day" in plot.read_text()


def test_the_text_has_a_table_for_each_reference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked = ["--planners", "none,spread,ads", "--against", "ads,none"]
    assert run_cli(monkeypatch, "evaluate", *SMALL, *asked) == 0
    out = capsys.readouterr().out
    assert "cost vs ads" in out and "cost vs none" in out
    assert out.count("regret closed\n") == 0 and out.count("regret closed") == 2
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("form", [["--json"], []])
@pytest.mark.parametrize("option", ["--output", "--plot"])
def test_a_file_that_fails_at_the_end_takes_no_figures_away(
    option: str,
    form: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
) -> None:
    """With --json, an hour of figures was lost to a disk that was full when it was over."""

    def fails(path: Path, content: str | bytes) -> None:
        raise StoreError(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr("quell.experiments.evaluating.write_atomically", fails)
    monkeypatch.setattr("quell.experiments.evaluating._write_plot", lambda path, *_: fails(path, b""))
    asked = ["--planners", "none", option, str(tmp_path / "kept.svg")]
    assert run_cli(monkeypatch, "evaluate", *SMALL, *asked, *form) == 2
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].endswith("kept.svg cannot be written: No space left on device")
    if form:
        assert json.loads(printed.out)["planners"]["none"]["cost_core_minutes"] > 0
    else:
        assert "none" in printed.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--against", "tuned"], "--against 'tuned': is none of the planners, which are none, spread, ads, clairvoyan"),
        (["--against", "ads,ads"], "--against: 'ads' is named twice"),
        (["--against", ""], "--against ''"),
        (
            ["--spread", "none,tuned"],
            "--spread 'tuned': is none of the planners, which are none, spread, ads, clairvoyan",
        ),
        (["--spread", "none,none"], "--spread: 'none' is named twice"),
        (["--spread", "none"], "--spread 'none': one planner has no spread"),
        (["--spread", "ads,none"], "--spread 'none': is no trained policy; the spread is that of trainings"),
        (
            ["--planners", "learned,learned@search", "--spread", "learned,learned@search"],
            "--spread: 'learned' and 'learned@search' are one training, of ",
        ),
        (["--hosts", "16-8"], "--hosts '16-8': the range must rise"),
        (["--load", "2"], "--load '2': 2 is not from 0.05 to 0.95"),
        (["--plot", "suite.pdf"], "--plot suite.pdf: the name must end in .png or .svg"),
        (["--output", "nowhere/figures.json"], "nowhere/figures.json cannot be written"),
    ],
)
def test_bad_options_are_told_before_any_work(
    arguments: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(monkeypatch, "evaluate", *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"error: {told}") and printed.err.count("\n") == 1


def test_the_spread_over_trainings_is_told_in_a_line_and_in_the_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    file, bundle = tmp_path / "figures.json", tmp_path / "other.quell"
    shutil.copy(shipped_bundle(), bundle)
    other, told = f"{bundle}@search", "other@search"
    asked = ["--planners", f"learned,{other},ads", "--spread", f"{other},learned", "--output", str(file)]
    assert run_cli(monkeypatch, "evaluate", *SMALL, *asked) == 0
    document = json.loads(file.read_text())
    assert document["bundles"] == bundles_of(["learned", other])
    costs = [document["planners"][name]["cost_core_minutes"] for name in (told, "learned")]
    spread = document["spread"]["cost_core_minutes"]
    assert document["spread"]["planners"] == [told, "learned"]
    assert (spread["mean"], spread["low"], spread["high"]) == (sum(costs) / 2, min(costs), max(costs))
    assert spread["standard_deviation"] == pytest.approx(abs(costs[0] - costs[1]) / 2**0.5)
    percents = [document["paired"][name]["difference_percent"] for name in (told, "learned")]
    assert document["spread"]["difference_percent"]["low"] == min(percents)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Spread over 2 trainings: ")]
    assert f"{min(costs):,.0f} to {max(costs):,.0f}" in line and "against ads " in line


class TestNames:
    def test_ads_is_the_reference_unless_another_is_named(self) -> None:
        assert references_of(["none", "ads"], None) == ("ads",)
        assert references_of(["none", "spread"], None) == ()
        assert references_of(["none", "ads"], ["none", " ads"]) == ("none", "ads")

    def test_a_bundle_is_a_reference_by_its_path_or_by_what_tables_call_it(self) -> None:
        assert references_of(["ads", "my/policy.quell"], ["my/policy.quell"]) == ("learned",)
        assert references_of(["ads", "my/policy.quell"], ["learned"]) == ("learned",)

    def test_no_two_planners_are_called_the_same(self) -> None:
        assert shown_names(["a/one.quell", "a/two.quell"]) == {"a/one.quell": "one", "a/two.quell": "two"}
        assert shown_names(["ads", "forecast:a/one.quell"])["forecast:a/one.quell"] == "forecast"
        with pytest.raises(QuellError, match="all would be called 'one'"):
            shown_names(["a/one.quell", "b/one.quell"])


class TestShownDay:
    def test_is_the_median_day_of_the_reference_and_shows_the_best_other_planner(
        self, suite: Callable[..., list[EpisodeResult]]
    ) -> None:
        results = {"none": suite([9, 9, 9]), "ads": suite([7, 1, 3]), "clairvoyant": suite([0, 0, 0])}
        assert shown_day(compare(results, resamples=10)) == (2, ("ads", "none"))  # clairvoyant only where alone
        del results["none"]
        assert shown_day(compare(results, resamples=10)) == (2, ("ads", "clairvoyant"))
        assert shown_day(compare({"none": suite([5, 4])}, resamples=10)) == (1, ("none",))


# ---- published raw formats, a few hours of a few VMs made up here

DAYS, VMS, SLOTS = 4, 24, 288


def usage_of(vm: int) -> np.ndarray:
    """CPU of a VM in percent, from 5 to 60, with a wave of its own; shape (DAYS * SLOTS,)."""
    slot = np.arange(DAYS * SLOTS)
    return np.round(32 + 27 * np.sin(slot / (20 + vm) + vm)).astype(int)


@pytest.fixture
def bitbrains_folder(tmp_path: Path) -> Path:
    """A folder of CSV files as published."""
    first = int(datetime(2013, 8, 1, tzinfo=UTC).timestamp()) - 7200
    for vm in range(VMS):
        rows = [";\t".join(RAW_COLUMNS)]
        for slot, percent in enumerate(usage_of(vm)):
            used = f"{percent * 100};\t{percent}"
            rows.append(f"{first + 300 * slot};\t4;\t10000;\t{used};\t8388608;\t4194304;\t10;\t{percent};\t1;\t1")
        (tmp_path / f"{vm + 1}.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.fixture
def planetlab_folder(tmp_path: Path) -> Path:
    """Day folders of one file a VM, as published."""
    for day in range(DAYS):
        folder = tmp_path / f"2011030{day + 1}"
        folder.mkdir()
        for vm in range(VMS):
            values = usage_of(vm)[day * SLOTS : (day + 1) * SLOTS]
            (folder / f"node-{vm}_slice").write_text("\n".join(map(str, values)) + "\n")
    return tmp_path


@pytest.mark.parametrize("kind", ["bitbrains", "planetlab"])
def test_raw_folders_are_evaluated(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder = request.getfixturevalue(f"{kind}_folder")
    asked = ["--workload", f"{kind}:{folder}", "--planners", "none,ads", "--part", "test", "--json"]
    assert run_cli(monkeypatch, "evaluate", *SMALL, *asked) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["suite"]["workload"] == f"{kind}:{folder}"
    assert document["planners"]["none"]["cost_core_minutes"] > 0


@pytest.mark.parametrize("kind", ["bitbrains", "planetlab"])
def test_an_excerpt_that_is_too_short_says_so(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder: Path = request.getfixturevalue(f"{kind}_folder")
    for file in folder.glob("*.csv"):
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:100]))
    for day in list(folder.glob("2011*"))[1:]:
        for file in day.iterdir():
            file.unlink()
        day.rmdir()
    assert run_cli(monkeypatch, "evaluate", "--workload", f"{kind}:{folder}", "--workers", "1") == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert ("is shorter than a day" if kind == "bitbrains" else "need 3 usable days or more, it has 1") in error


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux to look at processes")
def test_ctrl_c_ends_all_processes_without_a_traceback() -> None:
    command = [sys.executable, "-m", "quell", "evaluate", "--episodes", "500", "--workers", "2"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert started.stderr is not None
    while b"days: " not in started.stderr.readline():
        pass
    with pytest.raises(subprocess.TimeoutExpired):
        started.wait(8)
    os.killpg(started.pid, signal.SIGINT)
    out, errors = started.communicate(timeout=30)
    assert (started.returncode, out) == (130, b"")
    assert b"Traceback" not in errors
    deadline = time.monotonic() + 5
    while living_in_group(started.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert living_in_group(started.pid) == []


def living_in_group(group: int) -> list[str]:
    """Processes of a group that are not dead, by what Linux tells of each."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            told = file.read_text()
            state, _, its_group = told.rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(told)
    return found
