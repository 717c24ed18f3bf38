"""Clusters and plans of `quell bench plan` as documents, so that anybody can look at one answer again.

FOLDER/clusters holds the fresh clusters, ready for `quell plan` or `--instances`; FOLDER/plans/GROUP/PLANNER the plans
by the name of their cluster, ready for `quell check`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..env.model.errors import StoreError
from ..env.model.files import write_atomically
from ..env.model.plan import Plan
from ..env.model.snapshot import plan_document, snapshot_document
from .cases import Case


def new_folder(folder: Path) -> None:
    """Makes the folder; it may be there already if it is empty, so that runs do not mix.

    Raises:
        StoreError: it cannot be made, or something is in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise StoreError(f"--save: {folder} cannot be used: {error.strerror or error}") from error
    if not is_empty:
        raise StoreError(f"--save: {folder} is not empty")


def save_case(folder: Path, case: Case, plans: Sequence[Plan]) -> None:
    """Writes a fresh cluster, and everybody's plan for a cluster.

    Raises:
        StoreError: a document cannot be written.
    """
    if case.seed is not None:
        _write(folder / "clusters" / f"{case.name}.json", snapshot_document(case.cluster))
    for plan in plans:
        _write(folder / "plans" / case.group / plan.planner / f"{case.name}.json", plan_document(plan))


def _write(path: Path, document: dict[str, Any]) -> None:
    """One document, in a folder that is made where it is missing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be made: {error.strerror or error}") from error
    write_atomically(path, json.dumps(document, indent=2, allow_nan=False) + "\n")
