"""Opening an MLflow store: what can be wrong with it is found before any work starts, and told in one sentence.

A new SQLite store is made under a temporary name and linked to its place when it is complete: a start that is cut off
leaves nothing behind, and of two processes that start at once one makes the store and both use it.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..env.model.errors import StoreError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SQLITE_PREFIX = "sqlite:///"
SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")
ARTIFACTS_FOLDER = "mlartifacts"
LOCK_SECONDS = 20.0
CHECKED_BYTES = 64 * 2**20  # larger stores are not read through at each start
ROUNDABOUT = "(raised as a result of "  # SQLAlchemy tells the circumstances before the fault
PROBE_SETTINGS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        uri: where it is; absolute for SQLite.
        client: to talk to it.
        artifacts: folder for artifacts, beside the database; None where the server decides.
    """

    uri: str
    client: MlflowClient
    artifacts: Path | None


def open_store(uri: str) -> Store:
    """Opens a store, and makes it first where it is a SQLite file that does not exist.

    Args:
        uri: `sqlite:///PATH`, or any other store MLflow knows, such as `http://HOST:PORT`.

    Raises:
        StoreError: it cannot be used.
    """
    if "://" not in uri:
        raise StoreError(f"store {uri}: is no URI; for a file write {SQLITE_PREFIX}{uri}")
    if uri.partition("://")[0].partition("+")[0] not in SCHEMES:
        raise StoreError(f"store {uri}: MLflow knows no such kind; it knows {', '.join(SCHEMES)}")
    _quiet_mlflow()
    if not uri.startswith("sqlite:"):
        return Store(uri, _probe(uri, uri), None)
    path = _sqlite_path(uri)
    artifacts = path.parent / ARTIFACTS_FOLDER
    if not path.exists():
        _make_sqlite(uri, path, artifacts)
    elif path.stat().st_size > 0:  # what is empty MLflow fills in its place
        _check_sqlite(uri, path)
    absolute = f"{SQLITE_PREFIX}{path}"
    return Store(absolute, _probe(absolute, uri), artifacts)


def check_folder(uri: str, folder: Path) -> None:
    """Makes a folder for artifacts and tries to write into it.

    Raises:
        StoreError: it cannot be made or written.
    """
    probe = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(f"store {uri}: its artifact folder {folder} cannot be written: {error.strerror}") from error


def told(error: BaseException) -> str:
    """What a library's error says, in one line: of a database's error the fault itself, not how it came about."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    faults = [line for line in lines if not line.startswith(ROUNDABOUT)] or lines
    return re.sub(r"^\((\w+\.)*\w+\) (?=\S)", "", faults[0])


def _quiet_mlflow() -> None:
    """Loads MLflow without telemetry and without its chatter and alembic's."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.tracking  # noqa: F401  (it sets up its logging when it is loaded)

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # It logs every database error with its traceback; ours carry the sentence.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL + 1)


def _probe(uri: str, shown_uri: str) -> MlflowClient:
    """A client that has talked to its store."""
    from mlflow.tracking import MlflowClient

    try:
        with _environment(PROBE_SETTINGS):
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
    except Exception as error:  # MLflow and SQLAlchemy raise all sorts here
        reason = told(error)
        if "Max retries exceeded" in reason:
            reason = "does not answer"
        elif "schema" in reason:
            reason = f"is of another MLflow version; back it up, then run: mlflow db upgrade {shown_uri}"
        raise StoreError(f"store {shown_uri}: {reason}") from error
    return client


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Environment variables for a while; those the user has set stay."""
    added = [key for key in settings if key not in os.environ]
    os.environ.update({key: settings[key] for key in added})
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


def _sqlite_path(uri: str) -> Path:
    """The absolute path of a SQLite store."""
    name = uri.removeprefix(SQLITE_PREFIX)
    if name == uri or name in ("", ":memory:") or "?" in name or "\0" in name:
        raise StoreError(f"store {uri}: must name a file, as in {SQLITE_PREFIX}mlflow.db")
    path = Path(name).absolute()
    try:
        is_there, is_folder = path.parent.exists(), path.is_dir()
    except OSError as error:
        raise StoreError(f"store {uri}: cannot be made: {error.strerror}") from error
    if not is_there:  # it is not made: more often than not its name is a typing error
        raise StoreError(f"store {uri}: there is no folder {path.parent}")
    if not path.parent.is_dir():
        raise StoreError(f"store {uri}: {path.parent} is not a folder")
    if is_folder:
        raise StoreError(f"store {uri}: is a folder, not a file")
    if not os.access(path.parent, os.W_OK):
        raise StoreError(f"store {uri}: its folder cannot be written")
    return path


def _check_sqlite(uri: str, path: Path) -> None:
    """Refuses a file that is no MLflow store, is damaged, or cannot be written."""
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database:
            tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
            if path.stat().st_size <= CHECKED_BYTES:
                (found,) = database.execute("pragma quick_check(1)").fetchone()
                if found != "ok":
                    raise StoreError(f"store {uri}: is damaged: {found.splitlines()[-1]}")
            database.execute("begin immediate")
            database.rollback()
    except sqlite3.Error as error:
        raise StoreError(f"store {uri}: cannot be used: {error}") from error
    if tables and not {"experiments", "runs", "alembic_version"} <= tables:
        raise StoreError(f"store {uri}: is a SQLite file, but not one of MLflow")


def _make_sqlite(uri: str, path: Path, artifacts: Path) -> None:
    """Makes a new store in one step."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
    try:
        store = SqlAlchemyStore(f"{SQLITE_PREFIX}{temporary}", str(artifacts))
        store.engine.dispose()
        _link(temporary, path)
    except Exception as error:
        raise StoreError(f"store {uri}: cannot be made: {told(error)}") from error
    finally:
        for leftover in (temporary, temporary.with_name(f"{temporary.name}-journal")):
            with suppress(OSError):
                leftover.unlink()


def _link(temporary: Path, path: Path) -> None:
    """Gives the file its name, unless another process was first."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # file systems without hard links
        if not path.exists():
            os.replace(temporary, path)
