"""Clusters to plan for, with what is known of their cheapest plan: fresh ones, or a folder of snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..env.model.cluster import Cluster
from ..env.model.errors import DocumentError
from ..env.model.snapshot import read_snapshot
from .instances import MEMORY_SHARES, Size, draw_cluster
from .optimum import OPTIMUM, Known, read_optimum


@dataclass(frozen=True)
class Case:
    """A cluster to plan for, and what is known of its cheapest plan.

    Attributes:
        group: the size, or the folder it comes from.
        name: of the snapshot's file without `.json`, or of the fresh cluster.
        cluster: the cluster.
        seed: that a fresh cluster is drawn by; None for a snapshot.
        known: of its cheapest plan.
    """

    group: str
    name: str
    cluster: Cluster
    seed: int | None = None
    known: Known = Known()


def fresh_cases(size: Size, count: int, seed: int, memory_shares: tuple[float, float] = MEMORY_SHARES) -> list[Case]:
    """Clusters of one size, by seeds from `seed` on."""
    drawn = [(draw_cluster(size, seed + i, memory_shares), seed + i) for i in range(count)]
    return [Case(str(size), cluster.name, cluster, by) for cluster, by in drawn]


def folder_cases(folder: Path) -> list[Case]:
    """The snapshots of a folder; `optimum.json` beside them may tell their status and cheapest cost by file name.

    Raises:
        QuellError: there is no snapshot, or a document is not as specified.
    """
    if not folder.is_dir():
        fault = "is a file, not a folder of snapshots" if folder.exists() else "does not exist"
        raise DocumentError(f"--instances: {folder} {fault}")
    paths = sorted(path for path in folder.glob("*.json") if path.name != OPTIMUM)
    if not paths:
        raise DocumentError(f"--instances: {folder} holds no snapshot (*.json)")
    known = read_optimum(folder, [path.stem for path in paths])
    return [Case(folder.resolve().name, path.stem, read_snapshot(path), None, known[path.stem]) for path in paths]
