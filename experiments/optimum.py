"""`optimum.json` beside a folder of snapshots: what is known of the cheapest plan of each, by file name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..env.model.errors import DocumentError
from ..env.model.plan import Status
from ..env.model.schema import read_json, show

OPTIMUM = "optimum.json"
STATUSES = (Status.PLANNED.value, Status.REFUSED.value, Status.NO_CONTENTION.value)


@dataclass(frozen=True)
class Known:
    """What is known of a cluster's cheapest plan.

    Attributes:
        is_refused: whether there is none; None where nobody knows.
        best_gib: its cost; None where that is not known, or there is none.
    """

    is_refused: bool | None = None
    best_gib: float | None = None


def read_optimum(folder: Path, names: Sequence[str]) -> dict[str, Known]:
    """What is known of each snapshot of a folder; nothing of any where there is no such file.

    Args:
        folder: where the snapshots are.
        names: their file names without `.json`.

    Raises:
        DocumentError: the file is not as it should be, names a snapshot that is not there, or leaves one out.
    """
    path = folder / OPTIMUM
    if not path.exists():
        return dict.fromkeys(names, Known())
    document = read_json(path)
    if not isinstance(document, dict):
        raise DocumentError(f"{path}: must be an object of file names, is {show(document)}")
    for name, entry in document.items():
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f" (did you mean {show(near[0])}?)" if near else ""
            raise DocumentError(f"{path}: {show(name)}: {show(entry)} is about {name}.json, which is not there{hint}")
    known = {}
    for name in names:
        if name not in document:
            raise DocumentError(f"{path}: {show(name)}: there is no entry for {name}.json")
        known[name] = _known(f"{path}: {name}", document[name])
    return known


def _known(where: str, entry: object) -> Known:
    """One entry."""
    if not isinstance(entry, dict):
        raise DocumentError(f"{where}: must be an object with a status, is {show(entry)}")
    if "status" not in entry:
        raise DocumentError(f"{where}.status: missing; one of {', '.join(STATUSES)}")
    status, cost_gib = entry["status"], entry.get("cost_gib")
    if status not in STATUSES:
        near = get_close_matches(str(status), STATUSES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DocumentError(f"{where}.status: must be one of {', '.join(STATUSES)}, is {show(status)}{hint}")
    if cost_gib is None:
        return Known(status == Status.REFUSED)
    if isinstance(cost_gib, bool) or not isinstance(cost_gib, int | float):
        raise DocumentError(f"{where}.cost_gib: must be a number of GiB, is {show(cost_gib)}")
    if not math.isfinite(cost_gib) or cost_gib < 0:
        raise DocumentError(f"{where}.cost_gib: must be finite and at least 0 GiB, is {show(cost_gib)}")
    if cost_gib > 0 and status != Status.PLANNED:
        raise DocumentError(f"{where}.cost_gib: must be 0 or absent where the status is {status}, is {show(cost_gib)}")
    return Known(status == Status.REFUSED, None if status == Status.REFUSED else float(cost_gib))
