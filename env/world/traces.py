"""Workloads by name (`synthetic`, `bitbrains:PATH`, `planetlab:PATH`) and the parts their traces are split into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..model.errors import TraceError
from .bitbrains_parquet import load_converted_bitbrains
from .bitbrains_raw import load_raw_bitbrains
from .planetlab import load_planetlab
from .skew import NAME as SKEW
from .split import PARTS, TracePart, part, split_days, split_vms
from .synthetic import synthetic_trace
from .trace import Trace

__all__ = ["PARTS", "Trace", "TracePart", "load_trace", "part", "split_days", "split_vms"]

Progress = Callable[[int, int], None]

KINDS = "synthetic, bitbrains:PATH or planetlab:PATH"


def load_trace(workload: str, *, seed: int = 0, progress: Progress | None = None) -> Trace:
    """The trace a workload names.

    Args:
        workload: `synthetic`; `bitbrains:PATH` (a folder of raw CSV files at any level, or the converted Parquet with
            its `_vms.parquet` beside it); `planetlab:PATH` (a folder of day folders, one day folder, or the `.npz`).
        seed: of the synthetic trace; the others do not depend on it.
        progress: called as (files done, files in all) while a raw folder is read.

    Raises:
        TraceError: the workload is unknown, or its data are missing, cut short or not in their published format.
    """
    kind, colon, path = workload.partition(":")
    if workload == "synthetic":
        return synthetic_trace(seed)
    if workload == SKEW:
        raise TraceError(f"workload {SKEW!r} is one fixed day and no trace: simulate and evaluate can play it, no more")
    if kind not in ("bitbrains", "planetlab"):
        raise TraceError(f"workload {workload!r} is unknown; it must be {KINDS} (or {SKEW}, to simulate and evaluate)")
    if not path:
        raise TraceError(f"workload {workload!r} names no path; it must be {kind}:PATH")
    try:
        return _load(kind, Path(path).expanduser(), progress)
    except OSError as error:
        raise TraceError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from None


def _load(kind: str, path: Path, progress: Progress | None) -> Trace:
    """The trace at a path."""
    if not path.exists():
        raise TraceError(f"{path}: there is no such file or folder")
    if kind == "planetlab":
        return load_planetlab(path, progress)
    if path.is_dir():
        return load_raw_bitbrains(path, progress)
    if path.suffix != ".parquet":
        raise TraceError(f"{path}: is neither a folder of raw CSV files nor a .parquet file")
    return load_converted_bitbrains(path)
