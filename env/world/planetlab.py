"""PlanetLab CPU traces: the raw day folders as published, or the converted `.npz`.

Raw: one folder a day (YYYYMMDD), one file a VM, 288 lines, one integer each: CPU percent of the VM's own allocation.
The trace knows nothing of sizes, so each VM gets vCPUs and memory by the hash of its name: the same on every day and
machine.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..model.cluster import read_only
from ..model.errors import TraceError
from .trace import SAMPLES_PER_DAY, Trace, hash_share

VCPU_TABLE = (
    (1, 0.35),
    (2, 0.70),
    (4, 0.90),
    (8, 1.00),
)  # (vCPUs, cumulative share); assumed, small sizes like Bitbrains'
MEMORY_PER_VCPU_GIB = (2.0, 4.0, 8.0)  # one of these by the name's hash; assumed

Progress = Callable[[int, int], None]
UtilArray = npt.NDArray[np.uint8]


def load_planetlab(path: Path, progress: Progress | None = None) -> Trace:
    """The trace of a folder of day folders, of one day folder, or of the converted `.npz`.

    Raises:
        TraceError: the data are missing, cut short or not in their published format.
    """
    util_RS, days, names = _from_folder(path, progress) if path.is_dir() else _from_npz(path)
    return _trace(f"planetlab:{path.stem if path.is_file() else path.name}", util_RS, days, names)


def _trace(name: str, util_RS: UtilArray, days: list[str], names: list[str]) -> Trace:
    """One row per VM name, NaN on days without it; R rows of one VM and one day each."""
    vm_ids, day_names = sorted(set(names)), sorted(set(days))
    row_of, column_of = {v: i for i, v in enumerate(vm_ids)}, {d: i for i, d in enumerate(day_names)}
    cpu_VDS = np.full((len(vm_ids), len(day_names), SAMPLES_PER_DAY), np.nan, dtype=np.float32)
    vcpus_V = np.array([_vcpus(vm_id) for vm_id in vm_ids], dtype=np.float32)
    memory_V = vcpus_V * np.array([_memory_per_vcpu(vm_id) for vm_id in vm_ids], dtype=np.float32)
    row_R, column_R = [row_of[v] for v in names], [column_of[d] for d in days]
    cpu_VDS[row_R, column_R] = util_RS.astype(np.float32) / 100 * vcpus_V[row_R, None]
    return Trace(
        name=name,
        vm_ids=tuple(vm_ids),
        vcpus_V=read_only(vcpus_V, dtype=np.float32),
        memory_gib_V=read_only(memory_V, dtype=np.float32),
        cpu_cores_VT=read_only(cpu_VDS, (len(vm_ids), -1), dtype=np.float32),
        io_kbs_VT=None,
        day_names=tuple(day_names),
        is_consecutive=False,
    )


def _vcpus(vm_id: str) -> int:
    """vCPUs of a VM by the hash of its name."""
    share = hash_share(vm_id, seed=1)
    return next(vcpus for vcpus, cumulative in VCPU_TABLE if share < cumulative)


def _memory_per_vcpu(vm_id: str) -> float:
    """GiB per vCPU of a VM by the hash of its name."""
    return MEMORY_PER_VCPU_GIB[int(hash_share(vm_id, seed=2) * len(MEMORY_PER_VCPU_GIB))]


def _from_folder(path: Path, progress: Progress | None) -> tuple[UtilArray, list[str], list[str]]:
    """Utilization, day and name of every file below a folder."""
    files = [(day, file) for day in _day_folders(path) for file in _vm_files(day)]
    util_RS = np.empty((len(files), SAMPLES_PER_DAY), dtype=np.uint8)
    for r, (_, file) in enumerate(files):
        util_RS[r] = _read_file(file)
        if progress:
            progress(r + 1, len(files))
    return util_RS, [_day_name(day) for day, _ in files], [file.name for _, file in files]


def _day_folders(path: Path) -> list[Path]:
    """The day folders at or below a folder; a folder without any is taken as one day when it holds files only."""
    if _is_day(path.name):
        return [path]
    days = sorted((p for p in path.rglob("*") if p.is_dir() and _is_day(p.name)), key=lambda p: p.name)
    for earlier, later in zip(days, days[1:], strict=False):
        if earlier.name == later.name:
            raise TraceError(f"{path}: day {later.name} is there twice ({earlier.parent} and {later.parent})")
    _refuse_strangers({day.parent for day in days})
    if not days and _vm_files(path):
        return [path]
    if not days:
        raise TraceError(f"{path}: holds no day folder (named like 20110303) and no file of a VM")
    return days


def _refuse_strangers(homes: set[Path]) -> None:
    """Refuses a folder of files beside day folders whose name is no date: without it the days are split otherwise."""
    for home in sorted(homes):
        for folder in sorted(p for p in home.iterdir() if p.is_dir() and not p.name.startswith(".")):
            if not _is_day(folder.name) and _vm_files(folder):
                raise TraceError(
                    f"{folder}: its name is no date such as 20110303, yet it lies among day folders and holds files; "
                    "rename it, or move it away"
                )


def _vm_files(day: Path) -> list[Path]:
    """The files of a day folder, one a VM."""
    files = sorted(p for p in day.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files and _is_day(day.name):
        raise TraceError(f"{day}: is an empty day folder; it should hold one file a VM")
    return files


def _is_day(name: str) -> bool:
    """Whether a folder's name is a date such as 20110303."""
    try:
        return len(name) == 8 and bool(datetime.strptime(name, "%Y%m%d"))
    except ValueError:
        return False


def _day_name(day: Path) -> str:
    """2011-03-03 for the folder 20110303; any other name as it is."""
    return _dashed(day.name) if _is_day(day.name) else day.name


def _dashed(day: str) -> str:
    """2011-03-03 for 20110303."""
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def _read_file(file: Path) -> UtilArray:
    """The 288 percentages of one file."""
    try:
        lines = file.read_text(encoding="ascii").split("\n")
    except UnicodeDecodeError as error:
        raise TraceError(f"{file}: is no PlanetLab file (byte {error.start} is not ASCII)") from None
    while lines and not lines[-1].strip():
        lines.pop()
    values = np.zeros(SAMPLES_PER_DAY, dtype=np.uint8)
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not (text.isdigit() and len(text) <= 3 and int(text) <= 100):
            raise TraceError(f"{file}, line {number}: {text[:40]!r} is not a whole percentage from 0 to 100")
        if number <= SAMPLES_PER_DAY:
            values[number - 1] = int(text)
    if len(lines) != SAMPLES_PER_DAY:
        raise TraceError(f"{file}: has {len(lines)} lines, a day has {SAMPLES_PER_DAY}")
    return values


def _from_npz(file: Path) -> tuple[UtilArray, list[str], list[str]]:
    """Utilization, day and name of every row of the converted file."""
    if not zipfile.is_zipfile(file):  # what numpy says of such a file would lead astray
        raise TraceError(f"{file}: is no complete .npz file (no zip archive)")
    try:
        with np.load(file, allow_pickle=False) as archive:
            util_RS, day_R, vm_R = (archive[key] for key in ("util", "day", "vm"))
    except KeyError as error:
        raise TraceError(f"{file}: has no array {error.args[0].split()[0]!r}; util, day and vm are needed") from None
    except (ValueError, EOFError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise TraceError(f"{file}: is no complete .npz file ({error})") from None
    if util_RS.ndim != 2 or util_RS.shape[1] != SAMPLES_PER_DAY or not len(util_RS):
        raise TraceError(f"{file}, util: has shape {util_RS.shape}, (rows, {SAMPLES_PER_DAY}) is needed")
    if day_R.shape != (len(util_RS),) or vm_R.shape != (len(util_RS),):
        raise TraceError(f"{file}: util has {len(util_RS)} rows, day {day_R.shape} and vm {vm_R.shape}")
    _check_percentages(file, util_RS)
    days, names = [str(day) for day in day_R.tolist()], [str(name) for name in vm_R.tolist()]
    _check_keys(file, days, names)
    return util_RS.astype(np.uint8), [_dashed(day) for day in days], names


def _check_percentages(file: Path, util_RS: npt.NDArray[np.generic]) -> None:
    """Raise unless every value is a whole percentage."""
    if util_RS.dtype.kind not in "uif":
        raise TraceError(f"{file}, util: holds {util_RS.dtype}, numbers are needed")
    value_RS = util_RS.astype(np.float64)
    is_bad_RS = ~((value_RS >= 0) & (value_RS <= 100) & (value_RS == np.floor(value_RS)))
    if is_bad_RS.any():
        row, sample = np.argwhere(is_bad_RS)[0]
        value = value_RS[row, sample]
        raise TraceError(f"{file}, util[{row}, {sample}]: {value:g} is not a whole percentage from 0 to 100")


def _check_keys(file: Path, days: list[str], names: list[str]) -> None:
    """Raise unless every day is a date and no VM has the same day twice."""
    seen: set[tuple[str, str]] = set()
    for row, key in enumerate(zip(days, names, strict=True)):
        if not _is_day(key[0]):
            raise TraceError(f"{file}, day[{row}]: {key[0]!r} is no date like 20110303")
        if key in seen:
            raise TraceError(f"{file}, vm[{row}]: {key[1]!r} has day {key[0]} twice")
        seen.add(key)
