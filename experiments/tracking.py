"""Experiments in MLflow: runs within runs, metrics in batches, and no run left open when the work is cut off.

Every run has its own id and nothing hangs on MLflow's global state, so that several processes and nested runs do not
meet. Overhead on SQLite, one core: 2 s to load MLflow, 1 s to make a store, 15 ms a run, 0.12 ms a metric.
"""

from __future__ import annotations

import os
import random
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from ..env.model.errors import StoreError
from .interruption import Terminated, stopped_by_signals, undisturbed
from .provenance import MODIFIED, flatten, git_commit, process_mark, versions
from .store import check_folder, open_store, told

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

DEFAULT_STORE = "sqlite:///mlflow.db"
DEFAULT_EXPERIMENT = "quell"

BATCH_METRICS, BATCH_PARAMETERS = 1000, 100  # MLflow takes no more at once
FLUSH_METRICS, FLUSH_SECONDS = 500, 5.0  # what is buffered goes out at the first of the two
LONGEST_VALUE = 6000  # letters of a parameter
PATIENCE_SECONDS = 60.0  # with a store that another process has locked

PARENT_TAG, COMMIT_TAG, SOURCE_TAG = "mlflow.parentRunId", "mlflow.source.git.commit", "mlflow.source.name"
MODIFIED_TAG, ENDED_TAG = "quell.source.modified", "quell.ended_by"
PID_TAG, HOST_TAG, MARK_TAG = "quell.pid", "quell.host", "quell.process"

Result = TypeVar("Result")


class Tracker:
    """An experiment in an MLflow store.

    Args:
        store_uri: `sqlite:///PATH` (made where it does not exist, artifacts in a folder beside it) or a server.
        experiment: its name.

    Raises:
        StoreError: the store cannot be used; nothing has been started yet.
    """

    def __init__(self, store_uri: str = DEFAULT_STORE, experiment: str = DEFAULT_EXPERIMENT) -> None:
        store = open_store(store_uri)
        self.store_uri = store.uri
        self.experiment = experiment
        self._client = store.client
        self._experiment_id, artifacts = _experiment(store.client, store.uri, experiment, store.artifacts)
        if artifacts is not None:
            check_folder(store.uri, artifacts)
        self._tags = _origin_tags()
        self._end_orphans()

    @contextmanager
    def run(self, name: str, parent: Run | None = None, tags: Mapping[str, str] | None = None) -> Iterator[Run]:
        """A run as long as the block: FINISHED at its end, FAILED after an exception, KILLED after an interruption.

        SIGTERM and SIGHUP, where nobody else handles them, end the block like Ctrl-C does.

        Args:
            name: what the run is called.
            parent: the run it is a part of.
            tags: more tags.

        Raises:
            StoreError: the store fails.
        """
        with stopped_by_signals():
            status, run = "FAILED", None
            try:
                with undisturbed():
                    run = Run(self._client, self.store_uri, self._create(name, parent, tags or {}), name)
                yield run
                run.flush()
                status = "FINISHED"
            except (KeyboardInterrupt, Terminated):
                status = "KILLED"
                raise
            except SystemExit as exit_request:
                status = "FAILED" if exit_request.code else "FINISHED"
                raise
            finally:
                if run is not None:
                    # After a failure of the work, one of the store must not stand in its place.
                    with undisturbed(), nullcontext() if status == "FINISHED" else suppress(StoreError):
                        run.end(status)

    def _create(self, name: str, parent: Run | None, tags: Mapping[str, str]) -> str:
        """A new run's id."""
        all_tags = {**self._tags, **tags}
        if parent is not None:
            all_tags[PARENT_TAG] = parent.run_id
        created = _patiently(
            self.store_uri, lambda: self._client.create_run(self._experiment_id, tags=all_tags, run_name=name)
        )
        return str(created.info.run_id)

    def _end_orphans(self) -> None:
        """Marks runs as KILLED that a process of this machine left open when it died."""
        running = _patiently(
            self.store_uri,
            lambda: self._client.search_runs([self._experiment_id], filter_string="attributes.status = 'RUNNING'"),
        )
        for run in running:
            tags = run.data.tags
            pid = tags.get(PID_TAG, "")
            if tags.get(HOST_TAG) != socket.gethostname() or not pid.isdigit():
                continue
            if process_mark(int(pid)) == tags.get(MARK_TAG, ""):
                continue
            with suppress(StoreError):  # another start may have been first
                _end(self._client, self.store_uri, run.info.run_id, "KILLED", "a later start")


class Run:
    """A run in MLflow; made by `Tracker.run`."""

    def __init__(self, client: MlflowClient, store_uri: str, run_id: str, name: str) -> None:
        self.run_id = run_id
        self.name = name
        self._client = client
        self._store_uri = store_uri
        self._buffer: list[Metric] = []
        self._flushed_at = time.monotonic()

    def parameters(self, settings: object, prefix: str = "") -> None:
        """Logs a dataclass or mapping, nested ones too, as parameters `prefix.field`."""
        from mlflow.entities import Param

        found = [Param(key, value[:LONGEST_VALUE]) for key, value in flatten(settings, prefix).items()]
        for start in range(0, len(found), BATCH_PARAMETERS):
            batch = found[start : start + BATCH_PARAMETERS]
            _patiently(self._store_uri, partial(self._client.log_batch, self.run_id, params=batch))

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Logs figures of one step; they reach the store in batches.

        Measured on SQLite, one core: 0.12 ms a metric; one at a time would take 10 to 25 ms.
        """
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        self._buffer += [Metric(key, float(value), now_ms, step) for key, value in values.items()]
        if len(self._buffer) >= FLUSH_METRICS or time.monotonic() - self._flushed_at > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Sends what is buffered."""
        while self._buffer:
            batch = self._buffer[:BATCH_METRICS]
            _patiently(self._store_uri, partial(self._client.log_batch, self.run_id, metrics=batch))
            del self._buffer[: len(batch)]
        self._flushed_at = time.monotonic()

    def tag(self, key: str, value: str) -> None:
        """Sets a tag."""
        _patiently(self._store_uri, lambda: self._client.set_tag(self.run_id, key, value))

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Logs rows with the same keys as a table, `NAME.json`, which MLflow's page shows."""
        columns: dict[str, Any] = {key: [row[key] for row in rows] for key in (rows[0] if rows else ())}
        _patiently(self._store_uri, lambda: self._client.log_table(self.run_id, columns, f"{name}.json"))

    def figure(self, name: str, figure: Figure) -> None:
        """Logs a figure; the name ends in `.svg` or `.png`."""
        from .plots import to_bytes

        self.content(name, to_bytes(figure, PurePosixPath(name).suffix.removeprefix(".")))

    def content(self, name: str, content: str | bytes) -> None:
        """Logs text or bytes as an artifact of this name, which may have folders in it."""
        place = PurePosixPath(name)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / place.name
            file.write_bytes(content.encode() if isinstance(content, str) else content)
            self.artifact(file, "" if place.parent == PurePosixPath(".") else str(place.parent))

    def artifact(self, path: Path, folder: str = "") -> None:
        """Logs a file as an artifact, in a folder of the run."""
        _patiently(self._store_uri, lambda: self._client.log_artifact(self.run_id, str(path), folder or None))

    def end(self, status: str) -> None:
        """Ends the run; what is buffered goes out first, and where that fails the run is ended all the same."""
        try:
            self.flush()
        finally:
            _end(self._client, self._store_uri, self.run_id, status)


def _origin_tags() -> dict[str, str]:
    """Where a run comes from: source, versions, process."""
    tags = {f"version.{library}": version for library, version in versions()}
    tags |= {SOURCE_TAG: "quell", PID_TAG: str(os.getpid()), HOST_TAG: socket.gethostname()}
    tags[MARK_TAG] = process_mark(os.getpid()) or ""
    commit = git_commit()
    if commit is not None:
        tags[COMMIT_TAG] = commit.removesuffix(MODIFIED)
        tags[MODIFIED_TAG] = str(commit.endswith(MODIFIED)).lower()
    return tags


def _experiment(client: MlflowClient, uri: str, name: str, artifacts: Path | None) -> tuple[str, Path | None]:
    """Id and local artifact folder of an experiment, which is made where it does not exist."""
    experiment = _patiently(uri, lambda: client.get_experiment_by_name(name))
    if experiment is None:
        # A folder of its own; the location is written down whole, so that it is found from any working directory.
        place = None if artifacts is None else (artifacts / re.sub(r"[^\w.-]+", "-", name)).as_uri()
        try:
            _patiently(uri, lambda: client.create_experiment(name, artifact_location=place))
        except StoreError as error:
            if "already exists" not in str(error):  # it does where another process was first
                raise
        experiment = _patiently(uri, lambda: client.get_experiment_by_name(name))
    if experiment is None:
        raise StoreError(f"store {uri}: experiment {name!r} is gone as soon as it is made")
    if experiment.lifecycle_stage != "active":
        raise StoreError(
            f"store {uri}: experiment {name!r} was deleted; choose another, or run: "
            f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
        )
    return str(experiment.experiment_id), _local_folder(str(experiment.artifact_location))


def _local_folder(location: str) -> Path | None:
    """The folder of an artifact location; None where it is not on this machine."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return Path(local_file_uri_to_path(location)) if is_local_uri(location) else None


def _end(client: MlflowClient, uri: str, run_id: str, status: str, ended_by: str = "") -> None:
    if ended_by:
        _patiently(uri, lambda: client.set_tag(run_id, ENDED_TAG, ended_by))
    _patiently(uri, lambda: client.set_terminated(run_id, status))


def _patiently(uri: str, call: Callable[[], Result]) -> Result:
    """The call's result; waits while another process has the store locked.

    Raises:
        StoreError: the call fails.
    """
    try:
        return _retry_locked(call)
    except Exception as error:  # MLflow lets errors of its database and file libraries through
        raise StoreError(f"store {uri}: {told(error)}") from error


def _retry_locked(call: Callable[[], Result]) -> Result:
    """The call's result; tries again for a while where the store is locked."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return call()
        except Exception as error:
            if "database is locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.02, 0.2))  # so that two that wait do not meet again
