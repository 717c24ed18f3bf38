"""Faults from outside: what cannot be written is told before any work, and no stop of the user gets lost."""

from __future__ import annotations

import errno
import io
import os
import signal
import time
import weakref
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from quell.env.model.errors import QuellError, StoreError
from quell.env.world.rounds import EpisodeResult
from quell.experiments import cli, run, writable
from quell.experiments.cluster_mix import ClusterMix
from quell.experiments.evaluating import Kept
from quell.experiments.interruption import Terminated, never_swallowed, stopped_by_signals
from quell.experiments.planners import planner_factory
from quell.experiments.run import RunConfig, how_to_go_on, run_main_job
from quell.experiments.simulation import DaysAsked, Outputs, simulate_days
from quell.experiments.terminal import PIPED_WIDTH, _Console
from quell.experiments.training import TrainCommand, train_and_export
from quell.experiments.training_seeds import train_seeds
from quell.experiments.writable import claimed, claimed_file, try_out


class Thing:
    """Something a weak reference can point at."""


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_stop_that_falls_into_a_callback_of_the_collector_comes_again(
    number: int, raised: type[BaseException]
) -> None:
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(number))
    with pytest.raises(raised), never_swallowed(), stopped_by_signals():
        del thing
        time.sleep(5)
    assert reference() is None


class TestBeforeAnyWork:
    def test_a_file_that_can_be_written_leaves_no_trace(self, tmp_path: Path) -> None:
        try_out(tmp_path / "policy.quell")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["nowhere/policy.quell", "folder", "file/policy.quell", f"{'a' * 300}.quell"])
    def test_a_file_that_cannot_be_written(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="cannot be written") as refused:
            try_out(tmp_path / name)
        assert str(tmp_path / name) in str(refused.value) and "\n" not in str(refused.value)

    def test_a_place_that_takes_no_files(self) -> None:
        with pytest.raises(StoreError, match="cannot be written"):
            try_out(Path("/proc/policy.quell"))

    @pytest.mark.parametrize("output", ["policy.txt", "nowhere/policy.quell"])
    def test_training_refuses_a_bundle_it_could_not_write(
        self, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(QuellError, match=output):
            train_and_export(TrainCommand("nothing", 1.0, 1, output, "cpu", "sqlite:///mlflow.db"))
        assert list(tmp_path.iterdir()) == []

    def test_simulating_refuses_a_plot_it_could_not_write(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="nowhere"):
            asked = DaysAsked("nothing", ClusterMix(), 1, 1, "all")
            simulate_days(asked, ["none"], Outputs(tmp_path / "nowhere" / "day.svg"))

    def test_a_device_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It was told after the workload was loaded and a run begun."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        with pytest.raises(QuellError, match="--device cuda: there is none on this machine"):
            train_and_export(TrainCommand("nothing", 1.0, 1, "policy.quell", "cuda", "sqlite:///mlflow.db"))
        assert list(tmp_path.iterdir()) == []

    def test_a_link_is_tried_out_where_it_leads(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "good").symlink_to(tmp_path / "deep" / "policy.quell")
        (tmp_path / "bad").symlink_to(tmp_path / "gone" / "policy.quell")
        try_out(tmp_path / "good")
        with pytest.raises(StoreError, match="bad cannot be written: No such file or directory"):
            try_out(tmp_path / "bad")
        assert list((tmp_path / "deep").iterdir()) == []

    def test_a_pipe_is_not_opened_before_there_is_something_to_write(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        try_out(tmp_path / "pipe")  # to open it would wait for a reader

    @pytest.mark.parametrize("same", ["same.svg", "link.svg", "./same.svg"])
    def test_two_files_that_are_one(self, same: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The plot took the place of the figures, with exit code 0."""
        monkeypatch.chdir(tmp_path)
        Path("link.svg").symlink_to("same.svg")
        with pytest.raises(StoreError, match="--output and --plot name the same file"):
            Kept(Path(same), Path("same.svg")).try_out()
        with pytest.raises(StoreError, match="--plot and --audits name the same file"):
            Outputs(Path(same), Path("same.svg")).try_out()
        Kept(Path("other.svg"), Path("same.svg")).try_out()

    def test_an_unknown_planner(self) -> None:
        with pytest.raises(QuellError, match="did you mean 'ads'"):
            planner_factory("adz")

    @pytest.mark.parametrize("minutes", ["inf", "nan", "1e300", "0", "-1"])
    def test_a_budget_nobody_can_wait_for(
        self, minutes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
    ) -> None:
        monkeypatch.setattr("sys.argv", ["quell", "train", "--budget-minutes", minutes])
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
        assert exit_info.value.code == 2 and "--budget-minutes" in capsys.readouterr().err


class TestAFolderOfOneRun:
    """Two runs exported into one folder, and each could take the other's policy for its own."""

    def test_a_second_run_is_refused_before_any_work(self, tmp_path: Path) -> None:
        config = RunConfig("nothing", 1.0, 3, 8, 0.65, 2, 7, str(tmp_path / "out"), f"sqlite:///{tmp_path}/mlflow.db")
        (tmp_path / "out").mkdir()
        with claimed(tmp_path / "out", "--output"), pytest.raises(StoreError, match="out: another run is writing ther"):
            run_main_job(config)
        assert [file.name for file in tmp_path.rglob("*")] == ["out"]

    def test_afterwards_the_folder_is_free_and_empty(self, tmp_path: Path) -> None:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt), claimed(tmp_path, "--output"):
                raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == []

    def test_without_locks_the_run_goes_on_and_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(writable.fcntl, "flock", refuse)
        with claimed(tmp_path, "--output"):
            pass
        assert "cannot be kept for this run alone (No locks available)" in capsys.readouterr().err


class TestAFileOfOneTraining:
    """Two trainings wrote one bundle, both ended with exit code 0, and one policy was gone."""

    def test_a_second_training_is_refused_before_any_work(self, tmp_path: Path) -> None:
        (tmp_path / "link.quell").symlink_to(tmp_path / "policy.quell")
        for name in ("policy.quell", "link.quell"):
            command = TrainCommand("nothing", 1.0, 1, str(tmp_path / name), "cpu", f"sqlite:///{tmp_path}/mlflow.db")
            with claimed_file(tmp_path / "policy.quell", "--output"), pytest.raises(StoreError) as refused:
                train_and_export(command)
            assert (
                str(refused.value) == f"--output {tmp_path / name}: another training is writing it; name another file"
            )
        assert [file.name for file in tmp_path.iterdir()] == ["link.quell"]

    def test_of_several_seeds_one_is_enough(self, tmp_path: Path) -> None:
        command = TrainCommand("nothing", 1.0, 1, str(tmp_path / "a.quell"), "cpu", f"sqlite:///{tmp_path}/mlflow.db")
        with (
            claimed_file(tmp_path / "a.seed-2.quell", "--output"),
            pytest.raises(StoreError, match="a.seed-2.quell: an"),
        ):
            train_seeds(command, [1, 2])
        assert list(tmp_path.iterdir()) == []

    def test_another_file_of_the_folder_is_free_and_so_is_this_one_afterwards(self, tmp_path: Path) -> None:
        (tmp_path / ".a.quell.lock").touch()  # of a process that was killed
        with claimed_file(tmp_path / "a.quell", "--output"), claimed_file(tmp_path / "b.quell", "--output"):
            pass
        with claimed_file(tmp_path / "a.quell", "--output"):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_a_lock_file_that_its_owner_takes_away_is_made_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lock, flock = tmp_path / ".a.quell.lock", writable.fcntl.flock
        taken: list[int] = []

        def overtaken(descriptor: int, how: int) -> None:
            if not taken:
                lock.unlink()
            taken.append(descriptor)
            flock(descriptor, how)

        monkeypatch.setattr(writable.fcntl, "flock", overtaken)
        with claimed_file(tmp_path / "a.quell", "--output"):
            assert lock.exists() and len(taken) == 2


def test_the_figures_are_shown_though_no_file_can_be_written_any_more(
    tmp_path: Path,
    many_results: dict[str, list[EpisodeResult]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """The disk filled up while the policy was trained; minutes of work were gone without a word."""

    def refuse(path: Path, _: object) -> None:
        raise StoreError(f"{path} cannot be written: No space left on device")

    for stage in ("Tracker", "load_workload", "part", "TraceDays", "_simulate", "_train"):
        monkeypatch.setattr(run, stage, MagicMock())
    monkeypatch.setattr(run, "_evaluate", lambda *_: (many_results, None))
    monkeypatch.setattr(run, "write_audits", refuse)
    config = RunConfig("nothing", 1.0, 3, 8, 0.65, 2, 7, str(tmp_path), "sqlite:///mlflow.db")
    with pytest.raises(StoreError, match="audits.jsonl cannot be written: No space left"):
        run_main_job(config)
    assert "clairvoyant" in capsys.readouterr().out


def test_how_to_go_on_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "my output; rm -rf"
    folder.mkdir()
    (folder / "policy.quell").touch()
    text = how_to_go_on(RunConfig("synthetic", 1.0, 3, 8, 0.65, 2, 7, str(folder), "sqlite:///my store.db"))
    assert f"'none,spread,ads,clairvoyant,{folder}/policy.quell' --hosts 3 --vms-per-host 8" in text
    assert f"--output '{folder}' --store 'sqlite:///my store.db'" in text
    assert "--backend-store-uri 'sqlite:///my store.db'" in text


def test_a_width_of_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    assert _Console(file=io.StringIO()).size.width == PIPED_WIDTH
