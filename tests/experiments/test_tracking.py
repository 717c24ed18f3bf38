"""Runs in MLflow: what is logged arrives, and no run stays open."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy import event

from quell.env.model.errors import StoreError
from quell.experiments import tracking
from quell.experiments.tracking import Run, Tracker


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> str:
    """A store for all these tests; its folder has a blank in its name."""
    return f"sqlite:///{shutil.copy(new_store, tmp_path_factory.mktemp('a store'))}"


@pytest.fixture(scope="module")
def client(uri: str) -> MlflowClient:
    """Looks into that store past the code under test."""
    Tracker(uri, "first")
    return MlflowClient(tracking_uri=uri)


@pytest.fixture
def tracker(uri: str, request: pytest.FixtureRequest) -> Tracker:
    """A tracker with an experiment of its own."""
    return Tracker(uri, request.node.name)


@pytest.fixture
def broken_client() -> Iterator[Any]:
    """A client that fails as a locked database does; counts the calls."""

    class Broken:
        calls = 0

        def log_batch(self, *_: object, **__: object) -> None:
            self.calls += 1
            if self.calls < 3:
                raise MlflowException("(sqlite3.OperationalError) database is locked\n[SQL: ...]")

    yield Broken()


@dataclass(frozen=True)
class Cluster:
    hosts: int = 8


@dataclass(frozen=True)
class Config:
    cluster: Cluster = field(default_factory=Cluster)
    seed: int = 3


class TestLogging:
    def test_everything_arrives(self, tracker: Tracker, client: MlflowClient, tmp_path: Path) -> None:
        (tmp_path / "policy.onnx").write_bytes(b"weights")
        with tracker.run("main", tags={"stage": "all"}) as main, tracker.run("train", parent=main) as run:
            run.parameters(Config(), "config")
            run.parameters({f"p{i}": i for i in range(150)})
            for step in range(1200):
                run.metrics({"loss": 1 / (step + 1), "reward": float(step)}, step)
            run.metrics({"broken": float("nan")})
            run.table("comparison", [{"planner": "ads", "cost": 1.5}, {"planner": "none", "cost": 3.0}])
            run.figure("plots/cost.svg", Figure())
            run.content("notes.txt", "for people")
            run.artifact(tmp_path / "policy.onnx", "bundle")
            run.tag("verdict", "none")
        found = client.get_run(run.run_id)
        assert found.info.status == "FINISHED"
        assert found.info.run_name == "train"
        assert found.data.tags["mlflow.parentRunId"] == main.run_id
        assert found.data.tags["verdict"] == "none"
        assert found.data.tags["version.numpy"]
        assert found.data.params["config.cluster.hosts"] == "8" and found.data.params["config.seed"] == "3"
        assert len(found.data.params) == 152
        losses = client.get_metric_history(run.run_id, "loss")
        assert [(m.step, m.value) for m in sorted(losses, key=lambda m: m.step)] == [
            (i, 1 / (i + 1)) for i in range(1200)
        ]
        artifacts = Path(client.download_artifacts(run.run_id, ""))
        assert json.loads((artifacts / "comparison.json").read_text())["data"] == [["ads", 1.5], ["none", 3.0]]
        assert (artifacts / "plots" / "cost.svg").read_text().startswith("<svg")
        assert (artifacts / "notes.txt").read_text() == "for people"
        assert (artifacts / "bundle" / "policy.onnx").read_bytes() == b"weights"
        assert client.get_run(main.run_id).data.tags["stage"] == "all"

    def test_artifacts_lie_beside_the_store_whatever_the_working_directory(
        self, tracker: Tracker, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with tracker.run("main") as run:
            run.content("a.txt", "x")
        store = Path(uri.removeprefix("sqlite:///")).parent
        assert list((store / "mlartifacts").glob(f"*/{run.run_id}/artifacts/a.txt"))
        assert list(tmp_path.iterdir()) == []

    def test_a_path_without_folders_is_beside_the_working_directory(
        self, new_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copy(new_store, tmp_path)
        monkeypatch.chdir(tmp_path)
        tracker = Tracker("sqlite:///mlflow.db")
        assert tracker.store_uri == f"sqlite:///{tmp_path}/mlflow.db"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mlartifacts", "mlflow.db"]

    def test_metrics_go_out_in_batches(self, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
        sent: list[int] = []
        with tracker.run("main") as run:
            real = run._client.log_batch

            def log_batch(run_id: str, metrics: Sequence[Any] = (), **rest: Any) -> object:
                sent.append(len(metrics))
                return real(run_id, metrics=metrics, **rest)

            monkeypatch.setattr(run._client, "log_batch", log_batch)
            for step in range(1100):
                run.metrics({"loss": 0.0}, step)
            assert sent == [500, 500]
            run._flushed_at -= 60
            run.metrics({"loss": 0.0}, 1100)
            assert sent == [500, 500, 101]

    def test_an_experiment_is_shared_by_later_starts(self, uri: str, client: MlflowClient) -> None:
        for _ in range(2):
            with Tracker(uri, "again").run("main"):
                pass
        experiment = client.get_experiment_by_name("again")
        assert experiment is not None
        assert len(client.search_runs([experiment.experiment_id])) == 2

    def test_a_deleted_experiment_is_refused(self, uri: str, client: MlflowClient) -> None:
        Tracker(uri, "gone")
        experiment = client.get_experiment_by_name("gone")
        assert experiment is not None
        client.delete_experiment(experiment.experiment_id)
        with pytest.raises(StoreError, match="'gone' was deleted; choose another, or run: mlflow experiments restore"):
            Tracker(uri, "gone")


class TestEnds:
    @pytest.mark.parametrize(
        ("exception", "status"),
        [
            (ValueError("a fault"), "FAILED"),
            (KeyboardInterrupt(), "KILLED"),
            (SystemExit(2), "FAILED"),
            (SystemExit(0), "FINISHED"),
        ],
    )
    def test_leaving_by_an_exception_ends_both_runs(
        self, tracker: Tracker, client: MlflowClient, exception: BaseException, status: str
    ) -> None:
        runs: list[Run] = []
        with pytest.raises(type(exception)), tracker.run("main") as main, tracker.run("train", parent=main) as run:
            runs += [main, run]
            run.metrics({"loss": 0.25}, 7)
            raise exception
        assert [client.get_run(run.run_id).info.status for run in runs] == [status, status]
        assert client.get_run(runs[1].run_id).data.metrics == {"loss": 0.25}

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signals_kill_the_run(self, tracker: Tracker, client: MlflowClient, number: int) -> None:
        with pytest.raises((KeyboardInterrupt, SystemExit)), tracker.run("main") as run:
            signal.raise_signal(number)
            time.sleep(1)
        assert client.get_run(run.run_id).info.status == "KILLED"

    def test_ctrl_c_while_a_run_ends_does_not_leave_it_open(
        self, tracker: Tracker, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def flush(run: Run) -> None:
            signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt), tracker.run("main") as run:
            monkeypatch.setattr(Run, "flush", flush)
            raise KeyboardInterrupt
        assert client.get_run(run.run_id).info.status == "KILLED"

    def test_a_failing_store_does_not_hide_what_went_wrong(
        self, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise MlflowException("disk full")

        with pytest.raises(ZeroDivisionError), tracker.run("main") as run:
            monkeypatch.setattr(run._client, "log_batch", fail)
            run.metrics({"loss": 1.0})
            raise ZeroDivisionError

    def test_a_store_that_fails_at_the_end_is_told(
        self, tracker: Tracker, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise MlflowException("disk full\n[SQL: insert]")

        with pytest.raises(StoreError, match="^store sqlite:///.*: disk full$"), tracker.run("main") as run:
            monkeypatch.setattr(run._client, "log_batch", fail)
            run.metrics({"loss": 1.0})
        assert client.get_run(run.run_id).info.status == "FAILED"


class TestOrphans:
    def test_only_runs_of_dead_processes_of_this_machine_are_ended(self, uri: str, client: MlflowClient) -> None:
        tracker = Tracker(uri, "orphans")
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        with tracker.run("alive") as alive:
            tags = {key: value for key, value in client.get_run(alive.run_id).data.tags.items() if "runName" not in key}
            cases = {
                "dead": {"quell.pid": str(gone.pid)},
                "same id, later process": {"quell.process": "1"},
                "elsewhere": {"quell.pid": str(gone.pid), "quell.host": "another machine"},
                "somebody else's": {"quell.pid": ""},
            }
            made = {name: tracker._create(name, None, tags | changed) for name, changed in cases.items()}
            Tracker(uri, "orphans")
            status = {name: client.get_run(run_id).info.status for name, run_id in made.items()}
            assert client.get_run(alive.run_id).info.status == "RUNNING"
        assert status == {
            "dead": "KILLED",
            "same id, later process": "KILLED",
            "elsewhere": "RUNNING",
            "somebody else's": "RUNNING",
        }
        assert client.get_run(made["dead"]).data.tags["quell.ended_by"] == "a later start"


class TestFullDisk:
    def test_it_is_told_by_its_name_and_what_was_logged_before_is_there(self, new_store: Path, tmp_path: Path) -> None:
        def leave_no_room(connection: Any, _: object) -> None:
            (pages,) = connection.execute("pragma page_count").fetchone()
            connection.execute(f"pragma max_page_count={pages + 2}")

        uri = f"sqlite:///{shutil.copy(new_store, tmp_path)}"
        tracker, client = Tracker(uri), MlflowClient(tracking_uri=uri)
        engine = tracker._client._tracking_client.store.engine
        with pytest.raises(StoreError, match="mlflow.db: database or disk is full$"), tracker.run("main") as run:
            run.tag("stage", "before")
            event.listen(engine, "connect", leave_no_room)
            engine.dispose()
            run.metrics({f"m{i}": 1.0 for i in range(2000)})
        event.remove(engine, "connect", leave_no_room)
        engine.dispose()
        assert client.get_run(run.run_id).data.tags["stage"] == "before"
        assert client.get_run(run.run_id).data.metrics == {}


class TestLockedStore:
    def test_a_call_waits_for_a_lock_to_go(self, broken_client: Any) -> None:
        Run(broken_client, "sqlite:///x", "id", "name").parameters({"a": 1})
        assert broken_client.calls == 3

    def test_but_not_for_ever(self, broken_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 0.0)
        with pytest.raises(StoreError, match=r"^store sqlite:///x: database is locked$"):
            Run(broken_client, "sqlite:///x", "id", "name").parameters({"a": 1})


LOGGING_PROGRAM = """
import sys
from quell.experiments.tracking import Tracker
tracker = Tracker(sys.argv[1], "shared")
with tracker.run("main") as main:
    for r in range(5):
        with tracker.run("part", parent=main) as run:
            run.parameters({"r": r})
            for step in range(300):
                run.metrics({"a": step, "b": -step}, step)
                if step % 20 == 0:
                    run.flush()
"""

HANGING_PROGRAM = """
import sys, time
from quell.experiments.tracking import Tracker
with Tracker(sys.argv[1], "hanging").run("main") as run:
    run.metrics({"a": 1.0})
    print(run.run_id, flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
class TestProcesses:
    def test_two_that_start_at_once_share_one_new_store(self, tmp_path: Path) -> None:
        uri = f"sqlite:///{tmp_path}/mlflow.db"
        started = [
            subprocess.Popen(
                [sys.executable, "-c", LOGGING_PROGRAM, uri], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            for _ in range(2)
        ]
        outputs = [process.communicate(timeout=120)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0], outputs
        assert outputs == [b"", b""]  # no chatter either
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("shared")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        assert len(runs) == 12 and {run.info.status for run in runs} == {"FINISHED"}
        parts = [run for run in runs if run.info.run_name == "part"]
        assert all(len(client.get_metric_history(run.info.run_id, "a")) == 300 for run in parts)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mlartifacts", "mlflow.db"]

    def test_a_terminated_run_is_killed_at_once_and_a_shot_one_at_the_next_start(self, tmp_path: Path) -> None:
        uri = f"sqlite:///{tmp_path}/mlflow.db"
        ids = {}
        for number in (signal.SIGTERM, signal.SIGKILL):
            process = subprocess.Popen([sys.executable, "-c", HANGING_PROGRAM, uri], stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            ids[number] = process.stdout.readline().strip()
            os.kill(process.pid, number)
            process.communicate(timeout=60)
            assert process.returncode == (128 + number if number == signal.SIGTERM else -number)
        client = MlflowClient(tracking_uri=uri)
        assert client.get_run(ids[signal.SIGTERM]).info.status == "KILLED"
        assert client.get_run(ids[signal.SIGTERM]).data.metrics == {"a": 1.0}
        assert client.get_run(ids[signal.SIGKILL]).info.status == "RUNNING"
        Tracker(uri, "hanging")
        assert client.get_run(ids[signal.SIGKILL]).info.status == "KILLED"
