"""Clusters to plan for, with what is known of their cheapest plan: fresh ones, or a folder of snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..env.model.cluster import Cluster
from ..env.model.errors import DocumentError
from ..env.model.plan import Status
from ..env.model.schema import read_json
from ..env.model.snapshot import read_snapshot
from .instances import Size, draw_cluster

OPTIMUM = "optimum.json"


@dataclass(frozen=True)
class Case:
    """A cluster to plan for, and what is known of its cheapest plan.

    Attributes:
        group: the size, or the folder it comes from.
        cluster: the cluster.
        is_refused: whether no plan exists; None where nobody knows.
        best_gib: cost of the cheapest plan that is known; None where none is.
    """

    group: str
    cluster: Cluster
    is_refused: bool | None = None
    best_gib: float | None = None


def fresh_cases(size: Size, count: int, seed: int) -> list[Case]:
    """Clusters of one size, by seeds from `seed` on."""
    return [Case(str(size), draw_cluster(size, seed + i)) for i in range(count)]


def folder_cases(folder: Path) -> list[Case]:
    """The snapshots of a folder; `optimum.json` beside them may tell their status and cheapest cost by file name.

    Raises:
        QuellError: there is no snapshot, or a document is not as specified.
    """
    paths = sorted(path for path in folder.glob("*.json") if path.name != OPTIMUM)
    if not paths:
        raise DocumentError(f"--instances: {folder} holds no snapshot (*.json)")
    known = read_json(folder / OPTIMUM) if (folder / OPTIMUM).exists() else {}
    if not isinstance(known, dict):
        raise DocumentError(f"{folder / OPTIMUM}: must be an object of names")
    return [_folder_case(path, known.get(path.stem)) for path in paths]


def _folder_case(path: Path, known: object) -> Case:
    """One snapshot with its entry of `optimum.json`, None where it has none."""
    group, cluster = path.parent.name, read_snapshot(path)
    if known is None:
        return Case(group, cluster)
    if not isinstance(known, dict) or not isinstance(known.get("status"), str):
        raise DocumentError(f"{path.parent / OPTIMUM}: {path.stem}: must be an object with a status")
    best_gib = known.get("cost_gib")
    if best_gib is not None and (isinstance(best_gib, bool) or not isinstance(best_gib, int | float)):
        raise DocumentError(f"{path.parent / OPTIMUM}: {path.stem}.cost_gib: {best_gib!r} is no number")
    is_refused = known["status"] == Status.REFUSED
    return Case(group, cluster, is_refused, None if is_refused or best_gib is None else float(best_gib))
