"""Commit, versions, processes, flat settings."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest

import quell
from quell.experiments.provenance import flatten, git_commit, process_mark, versions


def git(folder: Path, *arguments: str) -> str:
    """Runs git with an author of its own and no settings of the machine."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


class TestGitCommit:
    def test_of_a_clean_and_of_a_changed_working_copy(self, repository: Path) -> None:
        commit = git(repository, "rev-parse", "HEAD")
        assert git_commit(repository) == commit
        (repository / "new").write_text("not part of it")
        assert git_commit(repository) == commit
        (repository / "file").write_text("two")
        assert git_commit(repository) == f"{commit}-dirty"

    def test_a_folder_inside_a_repository_has_none(self, repository: Path) -> None:
        (repository / "inside").mkdir()
        assert git_commit(repository / "inside") is None

    def test_no_repository_no_commit_and_a_broken_one(self, tmp_path: Path) -> None:
        assert git_commit(tmp_path) is None
        (tmp_path / ".git").mkdir()
        assert git_commit(tmp_path) is None

    def test_a_repository_without_commits(self, tmp_path: Path) -> None:
        if shutil.which("git") is None:
            pytest.skip("needs git")
        git(tmp_path, "init", "--quiet")
        assert git_commit(tmp_path) is None

    def test_a_machine_without_git(self, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(repository))
        assert git_commit(repository) is None


def test_versions_name_python_quell_and_the_libraries() -> None:
    found = dict(versions())
    assert found["quell"] == quell.__version__
    assert {"python", "numpy", "mlflow"} <= set(found)


class TestProcessMark:
    def test_of_this_process_is_the_same_each_time(self) -> None:
        assert process_mark(os.getpid()) is not None
        assert process_mark(os.getpid()) == process_mark(os.getpid())

    def test_of_one_that_is_gone_there_is_none(self) -> None:
        child = subprocess.Popen(["sleep", "60"])
        assert process_mark(child.pid) is not None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, but not yet collected
        if Path("/proc/self/stat").exists():
            assert process_mark(child.pid) is None
        child.wait()
        assert process_mark(child.pid) is None


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    load: float = 0.65
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    path: Path | None = None
    sizes: tuple[int, ...] = (4, 8)


class TestFlatten:
    def test_dataclasses_within_dataclasses(self) -> None:
        expected = {"inner.load": "0.65", "inner.colour": "red", "path": "None", "sizes": "(4, 8)"}
        assert flatten(Outer()) == expected
        assert flatten(Outer(), "run") == {f"run.{key}": value for key, value in expected.items()}

    def test_mappings(self) -> None:
        assert flatten({"seed": 1, "cluster": {"hosts": 8, "spec": Inner()}}) == {
            "seed": "1",
            "cluster.hosts": "8",
            "cluster.spec.load": "0.65",
            "cluster.spec.colour": "red",
        }
