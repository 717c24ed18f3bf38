"""Where figures come from: the source's commit, the versions, the process, and settings as flat text."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path

from .. import __version__

SOURCE = Path(__file__).resolve().parents[1]
LIBRARIES = (
    "numpy",
    "numba",
    "torch",
    "stable_baselines3",
    "sb3_contrib",
    "gymnasium",
    "onnxruntime",
    "ortools",
    "mlflow",
)
GIT_SECONDS = 10.0
MODIFIED = "-dirty"  # ends the commit of a working copy whose files differ from it


def git_commit(folder: Path = SOURCE) -> str | None:
    """The commit checked out in a folder, with `-dirty` where files differ from it; None where that cannot be told.

    Args:
        folder: the top of a working copy. A folder that merely lies inside somebody's repository has no commit.
    """
    if not (folder / ".git").exists():
        return None
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    return f"{commit}{MODIFIED}" if _git(folder, "status", "--porcelain", "--untracked-files=no") else commit


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where there is no git or it fails."""
    # The folder may belong to another user than the one who runs this, as in containers: reading it is still fine.
    options = ("-c", f"safe.directory={folder}", "-c", "core.fsmonitor=false")
    try:
        done = subprocess.run(
            ["git", *options, "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def versions() -> tuple[tuple[str, str], ...]:
    """(name, version) of Python, Quell and the libraries that shape results; those not installed are left out."""
    found = [("python", platform.python_version()), ("quell", __version__)]
    for name in LIBRARIES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def process_mark(pid: int) -> str | None:
    """What tells a running process from a later one with the same id; None where it is gone.

    Where the system has no `/proc` the mark is empty, and a later process with the same id passes for it.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() or not _takes_signals(pid) else ""
    state, started_ticks = after_name[0], after_name[19]  # fields 3 and 22 of proc(5)
    return None if state in ("Z", "X") else started_ticks


def _takes_signals(pid: int) -> bool:
    """Whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def flatten(settings: object, prefix: str = "") -> dict[str, str]:
    """Dataclasses and mappings, nested ones too, as `name.of.field` -> text."""
    return dict(_flat(settings, prefix))


def _flat(value: object, name: str) -> Iterator[tuple[str, str]]:
    items: list[tuple[str, object]]
    if is_dataclass(value) and not isinstance(value, type):
        items = [(field.name, getattr(value, field.name)) for field in fields(value)]
    elif isinstance(value, Mapping):
        items = [(str(key), inner) for key, inner in value.items()]
    else:
        yield name, str(value.value) if isinstance(value, Enum) else str(value)
        return
    for key, inner in items:
        yield from _flat(inner, f"{name}.{key}" if name else key)
