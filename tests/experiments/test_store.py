"""Stores that cannot be used are refused at once, in one sentence that names them; a new one is made in one step."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from mlflow.tracking import MlflowClient
from sqlalchemy.engine import Engine

from quell.env.model.errors import StoreError
from quell.experiments.store import check_folder, open_store, told


def noise(path: Path, _: bytes) -> None:
    path.write_bytes(os.urandom(4096))


def half(path: Path, content: bytes) -> None:
    path.write_bytes(content[: len(content) // 2])


def scratched(path: Path, content: bytes) -> None:
    path.write_bytes(content[:8192] + os.urandom(100_000) + content[108_192:])


def of_another_kind(path: Path, _: bytes) -> None:
    with sqlite3.connect(path) as database:
        database.execute("create table bookmarks (url text)")


def of_another_version(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with sqlite3.connect(path) as database:
        database.execute("update alembic_version set version_num = '0584bdc529eb'")


def a_folder(path: Path, _: bytes) -> None:
    path.mkdir()


class TestRefusals:
    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (noise, "file is not a database"),
            (half, "malformed"),
            (scratched, "malformed"),
            (of_another_kind, "not one of MLflow"),
            (of_another_version, "mlflow db upgrade sqlite:///"),
            (a_folder, "is a folder"),
        ],
    )
    def test_files_that_are_no_store(
        self, new_store: Path, tmp_path: Path, make: Callable[[Path, bytes], None], reason: str
    ) -> None:
        path = tmp_path / "mlflow.db"
        make(path, new_store.read_bytes())
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(StoreError) as refused:
            open_store(f"sqlite:///{path}")
        text = str(refused.value)
        assert text.startswith(f"store sqlite:///{path}: ") and reason in text and "\n" not in text
        assert (path.read_bytes() if path.is_file() else None) == before
        assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]

    @pytest.mark.parametrize(
        ("uri", "reason"),
        [
            ("mlflow.db", "is no URI; for a file write sqlite:///mlflow.db"),
            ("sqlite:///", "must name a file"),
            ("sqlite:///:memory:", "must name a file"),
            ("sqlite:///a.db?mode=ro", "must name a file"),
            ("sqlite:///a\0b.db", "must name a file"),
            ("ftp://example.org/x", "knows no such kind"),
            ("http://127.0.0.1:9", "does not answer"),
        ],
    )
    def test_addresses_that_are_none(self, uri: str, reason: str) -> None:
        with pytest.raises(StoreError, match="^store ") as refused:
            open_store(uri)
        assert reason in str(refused.value) and "\n" not in str(refused.value)

    def test_places_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(StoreError, match="file is not a folder"):
            open_store(f"sqlite:///{tmp_path}/file/mlflow.db")
        with pytest.raises(StoreError, match="there is no folder .*/gone"):  # a wrong command left it behind
            open_store(f"sqlite:///{tmp_path}/gone/mlflow.db")
        with pytest.raises(StoreError, match="too long"):
            open_store(f"sqlite:///{tmp_path}/{'a' * 300}.db")
        with pytest.raises(StoreError, match="artifact folder .* cannot be written"):
            check_folder("sqlite:///x.db", tmp_path / "file" / "artifacts")
        assert [file.name for file in tmp_path.iterdir()] == ["file"]

    def test_a_folder_without_permission(self, tmp_path: Path) -> None:
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        tmp_path.chmod(0o500)
        with pytest.raises(StoreError, match="cannot be written"):
            open_store(f"sqlite:///{tmp_path}/mlflow.db")


class TestMaking:
    def test_nothing_lies_beside_a_new_store(self, new_store: Path) -> None:
        assert [file.name for file in new_store.parent.iterdir()] == ["mlflow.db"]

    def test_it_knows_its_place(self, new_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(new_store.parent.parent)
        store = open_store("sqlite:///er/mlflow.db")
        assert store.uri == f"sqlite:///{new_store}"
        assert store.artifacts == new_store.parent / "mlartifacts"

    def test_an_empty_file_becomes_a_store(self, tmp_path: Path) -> None:
        path = tmp_path / "mlflow.db"
        path.touch()
        assert open_store(f"sqlite:///{path}").client.search_experiments()
        assert path.stat().st_size > 0

    def test_breaking_off_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(engine: Engine) -> None:
            InitialBase.metadata.create_all(engine)
            assert list(tmp_path.iterdir())
            raise KeyboardInterrupt

        monkeypatch.setattr(utils, "_initialize_tables", interrupt)
        with pytest.raises(KeyboardInterrupt):
            open_store(f"sqlite:///{tmp_path}/mlflow.db")
        assert list(tmp_path.iterdir()) == []

    def test_who_comes_second_uses_the_store_of_the_first(
        self, new_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "mlflow.db"

        def overtake(engine: Engine) -> None:
            assert engine.url.database is not None
            shutil.copy(new_store, engine.url.database)
            shutil.copy(new_store, path)
            MlflowClient(tracking_uri=f"sqlite:///{path}").create_experiment("of the first")

        monkeypatch.setattr(utils, "_initialize_tables", overtake)
        assert open_store(f"sqlite:///{path}").client.get_experiment_by_name("of the first") is not None
        assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block if ...)\n"
            "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT INTO metrics ...]",
            "database or disk is full",
        ),
        ("(sqlite3.OperationalError) database is locked\n[SQL: ...]", "database is locked"),
        ("[Errno 28] No space left on device: 'a.txt'", "[Errno 28] No space left on device: 'a.txt'"),
        ("(raised as a result of it", "(raised as a result of it"),
        ("(x)", "(x)"),
        ("", "ValueError"),
    ],
)
def test_of_a_library_s_error_the_fault_is_told(text: str, sentence: str) -> None:
    """Of a full disk `quell run` said how the query came about, and not that the disk was full."""
    assert told(ValueError(text)) == sentence
