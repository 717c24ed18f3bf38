"""Bitbrains traces as published: a folder of CSV files, one a VM (or one a VM and month)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from ..model.cluster import IntArray
from ..model.errors import TraceError
from . import believable
from .bitbrains import LONGEST_DAYS, OFF, FloatArray, bitbrains_trace
from .trace import SAMPLE_MINUTES, SAMPLES_PER_DAY, Float32Array, Trace

Progress = Callable[[int, int], None]

SLOT_SECONDS = 60 * SAMPLE_MINUTES
UTC_OFFSET_SECONDS = (
    7200  # the source counts days in Amsterdam, two hours ahead of UTC in all its months (summer of 2013)
)
MILLISECONDS_FROM = 1e11  # a timestamp above it (the year 5138 in seconds) can only be milliseconds
STEP_TOLERANCE = 0.5  # of the usual distance of two samples

RAW_COLUMNS = (
    "Timestamp [ms]",
    "CPU cores",
    "CPU capacity provisioned [MHZ]",
    "CPU usage [MHZ]",
    "CPU usage [%]",
    "Memory capacity provisioned [KB]",
    "Memory usage [KB]",
    "Disk read throughput [KB/s]",
    "Disk write throughput [KB/s]",
    "Network received throughput [KB/s]",
    "Network transmitted throughput [KB/s]",
)
TIME, CORES, CAPACITY, CPU, MEMORY, USED, READ, WRITE = (RAW_COLUMNS[c] for c in (0, 1, 2, 3, 5, 6, 7, 8))
BOUNDS = {
    TIME: believable.TIMESTAMP,
    CORES: believable.CORES,
    CAPACITY: believable.SIZE_MHZ,
    CPU: believable.USED_MHZ,
    MEMORY: believable.MEMORY_KIB,
    USED: believable.MEMORY_KIB,
    READ: believable.DISK_KBS,
    WRITE: believable.DISK_KBS,
}


@dataclass(frozen=True, eq=False)
class _RawVm:
    """One VM of a raw folder: N samples in the order of the file(s)."""

    vm_id: str
    vcpus: float
    memory_gib: float
    slot_N: IntArray
    cpu_cores_N: Float32Array
    io_kbs_N: Float32Array
    used_gib_N: Float32Array


def load_raw_bitbrains(folder: Path, progress: Progress | None) -> Trace:
    """The trace of the raw CSV files below a folder, at any level; month folders side by side continue the same VMs.

    Raises:
        TraceError: files are missing, cut short or not in their published format.
    """
    files_of_vm = _csv_files(folder)
    total, done = sum(len(files) for files in files_of_vm.values()), 0
    vms: list[_RawVm] = []
    for vm_id, files in files_of_vm.items():
        columns = [_read_csv(file) for file in files]
        done += len(files)
        if progress:
            progress(done, total)
        vm = _raw_vm(vm_id, {key: np.concatenate([c[key] for c in columns]) for key in columns[0]})
        if vm is not None:
            vms.append(vm)
    if not vms:
        raise TraceError(f"{folder}: every VM is switched off (zero cores or zero capacity) in all its samples")
    first = min(int(vm.slot_N.min()) for vm in vms) // SAMPLES_PER_DAY
    days = max(int(vm.slot_N.max()) for vm in vms) // SAMPLES_PER_DAY - first + 1
    if days > LONGEST_DAYS:
        raise TraceError(
            f"{folder}: the timestamps span {days} days, more than {LONGEST_DAYS}; one of them must be wrong"
        )
    cpu_VT = np.full((len(vms), days * SAMPLES_PER_DAY), np.nan, dtype=np.float32)
    io_VT, memory_VT = np.full_like(cpu_VT, np.nan), np.full_like(cpu_VT, np.nan)
    for v, vm in enumerate(vms):
        slot_N = vm.slot_N - first * SAMPLES_PER_DAY
        cpu_VT[v, slot_N] = vm.cpu_cores_N  # of a slot that is there twice the last sample stays
        io_VT[v, slot_N] = vm.io_kbs_N
        memory_VT[v, slot_N] = vm.used_gib_N
    first_day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=first)
    sizes = [(vm.vm_id, vm.vcpus, vm.memory_gib) for vm in vms]
    return bitbrains_trace(folder.name, sizes, cpu_VT, io_VT, memory_VT, first_day)


def _csv_files(folder: Path) -> dict[str, list[Path]]:
    """CSV files of each VM, in the order of the months; VMs in the order of their numbers."""
    files = [f for f in folder.rglob("*.csv") if f.is_file() and not f.name.startswith(".")]
    if not files:
        raise TraceError(f"{folder}: holds no .csv file of a VM, at no level")
    homes = {file.parent for file in files}
    groups = {home.parent for home in homes} if all(_month(home) for home in homes) else homes
    if len(groups) > 1:
        names = ", ".join(str(group.relative_to(folder)) for group in sorted(groups)[:3])
        raise TraceError(f"{folder}: holds {len(groups)} data sets ({names}); name one of them")
    files_of_vm: dict[str, list[Path]] = {}
    for file in sorted(files, key=lambda f: (len(f.stem), f.stem, _month(f.parent))):
        files_of_vm.setdefault(file.stem, []).append(file)
    return files_of_vm


def _month(folder: Path) -> tuple[int, ...]:
    """(2013, 8) for a folder named 2013-8, else ()."""
    match = re.fullmatch(r"(\d{4})-(\d{1,2})", folder.name)
    return (int(match[1]), int(match[2])) if match else ()


def _read_csv(file: Path) -> dict[str, FloatArray]:
    """The columns we use of one raw file, every value within its bounds."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        header = [name.strip() for name in lines.readline().split(";")]
    if header != list(RAW_COLUMNS):
        raise TraceError(f"{file}, line 1: is not the header of a Bitbrains file (it starts with {header[0][:40]!r})")
    used = list(BOUNDS)
    try:
        table = pa_csv.read_csv(
            file,
            # one thread, so that an error names its line
            read_options=pa_csv.ReadOptions(skip_rows=1, column_names=list(RAW_COLUMNS), use_threads=False),
            parse_options=pa_csv.ParseOptions(delimiter=";"),
            convert_options=pa_csv.ConvertOptions(
                include_columns=used, column_types={name: pa.float64() for name in used}
            ),
        )
    except pa.ArrowInvalid as error:
        raise TraceError(f"{file}: {_csv_fault(str(error), used)}") from None
    if not table.num_rows:
        raise TraceError(f"{file}: has a header and no samples")
    columns = {name: table[name].to_numpy() for name in used}
    for name, values in columns.items():
        if (fault := BOUNDS[name].first_fault(values)) is not None:
            raise TraceError(f"{file}, line {fault[0] + 2}, {name}: {fault[1]}")
    _check_times(file, columns[TIME])
    return columns


def _check_times(file: Path, time_N: FloatArray) -> None:
    """Raise where timestamps do not count from 1970, or one lies so far from the others that it must be wrong."""
    seconds_N = _seconds(time_N)
    steps = np.diff(np.unique(seconds_N))
    if steps.size and abs(np.median(steps) / (1000 * SLOT_SECONDS) - 1) < STEP_TOLERANCE:
        raise TraceError(
            f"{file}, {TIME}: samples are {np.median(steps):.0f} apart, so these are milliseconds, but not since 1970; "
            "Unix time is needed, in seconds (as published, whatever the header says) or milliseconds"
        )
    days_N = np.abs(seconds_N - np.median(seconds_N)) / (SLOT_SECONDS * SAMPLES_PER_DAY)
    worst = int(np.argmax(days_N))
    if days_N[worst] > LONGEST_DAYS:
        raise TraceError(
            f"{file}, line {worst + 2}, {TIME}: {time_N[worst]:.0f} lies {days_N[worst]:.0f} days away from the others"
        )


def _seconds(time_N: FloatArray) -> FloatArray:
    """Unix seconds of timestamps."""
    return time_N / np.where(time_N > MILLISECONDS_FROM, 1000, 1)


def _csv_fault(message: str, used: list[str]) -> str:
    """The reader's message in our words: line, column and value."""
    if "Empty CSV" in message or "Could not skip" in message:
        return "has a header and no samples"
    if match := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message):
        return f"line {match[1]} is broken: it has {match[3]} fields instead of {match[2]}"
    if match := re.search(r"CSV column #(\d+): Row #(\d+): .*invalid value '(.*)'", message):
        return f"line {match[2]}, {RAW_COLUMNS[int(match[1])]}: {match[3].strip()!r} is not a number"
    return message.splitlines()[0]


def _raw_vm(vm_id: str, columns: dict[str, FloatArray]) -> _RawVm | None:
    """One VM from its columns; None where it is never switched on."""
    cores_N, capacity_N = columns[CORES], columns[CAPACITY]
    is_on_N = (cores_N > 0) & (capacity_N > 0)
    if not is_on_N.any() or not (columns[MEMORY] > 0).any():
        return None
    vcpus = float(np.median(cores_N[is_on_N]))
    core_mhz = float(np.median(capacity_N[is_on_N])) / vcpus
    slot_N = ((_seconds(columns[TIME]) + UTC_OFFSET_SECONDS) // SLOT_SECONDS).astype(np.int64)
    return _RawVm(
        vm_id=vm_id,
        vcpus=vcpus,
        memory_gib=float(np.median(columns[MEMORY][columns[MEMORY] > 0])) / 2**20,
        slot_N=slot_N,
        cpu_cores_N=np.where(is_on_N, columns[CPU] / core_mhz, OFF).astype(np.float32),
        io_kbs_N=(columns[READ] + columns[WRITE]).astype(np.float32),
        used_gib_N=(columns[USED] / 2**20).astype(np.float32),
    )
