"""Bitbrains traces as converted to Parquet: one row a VM and 5-minute slot, and a table of the VMs beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from ..model.errors import TraceError
from . import believable
from .bitbrains import LONGEST_DAYS, OFF, FloatArray, bitbrains_trace
from .trace import SAMPLES_PER_DAY, Float32Array, Trace

FIRST_DAY = datetime(2013, 8, 1, tzinfo=UTC)  # slot 0 is that day's midnight in Amsterdam
SAMPLE_COLUMNS = {
    "vm": believable.COUNT,
    "slot": believable.COUNT,
    "cpu_mhz": believable.USED_MHZ,
    "mem_used_mib": believable.MEMORY_MIB,
    "disk_read_kbs": believable.DISK_KBS,
    "disk_write_kbs": believable.DISK_KBS,
}
VM_COLUMNS = {
    "vm": believable.COUNT,
    "cores": believable.CORES,
    "cpu_capacity_mhz": believable.SIZE_MHZ,
    "mem_capacity_mib": believable.MEMORY_MIB,
    "zero_share": believable.SHARE,
}


def load_converted_bitbrains(file: Path) -> Trace:
    """The trace of the converted Parquet, with its table of VMs beside it (`NAME_vms.parquet`).

    It is read by row groups, so that little more than the result is in memory.

    Raises:
        TraceError: a file is missing, cut short or not as converted.
    """
    vms_file = file.with_name(f"{file.stem}_vms.parquet")
    if not vms_file.is_file():
        raise TraceError(f"{file}: its table of VMs {vms_file.name} is not beside it")
    vm_table = _vm_table(vms_file)
    vm_N = vm_table["vm"]
    core_mhz_V = vm_table["cpu_capacity_mhz"] / vm_table["cores"]
    was_off_V = vm_table["zero_share"] > 0
    cpu_VT = np.full((len(vm_N), 0), np.nan, dtype=np.float32)
    io_VT, memory_VT = cpu_VT.copy(), cpu_VT.copy()
    for group in _groups(file, SAMPLE_COLUMNS):
        row_N = np.minimum(np.searchsorted(vm_N, group["vm"]), len(vm_N) - 1)
        unknown = np.flatnonzero(vm_N[row_N] != group["vm"])
        if unknown.size:
            raise TraceError(f"{file}, vm: {group['vm'][unknown[0]]:.0f} is not in {vms_file.name}")
        slot_N = group["slot"].astype(np.int64)
        cpu_VT, io_VT, memory_VT = (_widened(file, values, int(slot_N.max())) for values in (cpu_VT, io_VT, memory_VT))
        io_N = group["disk_read_kbs"] + group["disk_write_kbs"]
        # The file has no cores per sample: of a VM with zero-core samples they are those in which nothing is measured.
        is_off_N = was_off_V[row_N] & (group["cpu_mhz"] == 0) & (group["mem_used_mib"] == 0) & (io_N == 0)
        cpu_VT[row_N, slot_N] = np.where(is_off_N, OFF, group["cpu_mhz"] / core_mhz_V[row_N])
        io_VT[row_N, slot_N] = io_N
        memory_VT[row_N, slot_N] = group["mem_used_mib"] / 1024
    if not cpu_VT.shape[1]:
        raise TraceError(f"{file}: has no rows")
    vms = [
        (f"{vm:.0f}", float(cores), float(memory) / 1024)
        for vm, cores, memory in zip(vm_N, vm_table["cores"], vm_table["mem_capacity_mib"], strict=True)
    ]
    return bitbrains_trace(file.stem, vms, cpu_VT, io_VT, memory_VT, FIRST_DAY)


def _widened(file: Path, values_VT: Float32Array, slot: int) -> Float32Array:
    """The array with whole days enough for a slot; new samples are NaN."""
    days = slot // SAMPLES_PER_DAY + 1
    if days > LONGEST_DAYS:
        raise TraceError(f"{file}, slot: {slot} lies beyond {LONGEST_DAYS} days of {SAMPLES_PER_DAY} slots")
    missing = days * SAMPLES_PER_DAY - values_VT.shape[1]
    return values_VT if missing <= 0 else np.pad(values_VT, ((0, 0), (0, missing)), constant_values=np.nan)


def _vm_table(file: Path) -> dict[str, FloatArray]:
    """The columns we use of the table of VMs, sorted by VM, sizes above 0."""
    groups = list(_groups(file, VM_COLUMNS))
    if not groups:
        raise TraceError(f"{file}: has no rows")
    table = {key: np.concatenate([group[key] for group in groups]) for key in VM_COLUMNS}
    for key in ("cores", "cpu_capacity_mhz", "mem_capacity_mib"):
        bad = np.flatnonzero(table[key] <= 0)
        if bad.size:
            raise TraceError(f"{file}, {key} of VM {table['vm'][bad[0]]:.0f}: {table[key][bad[0]]:g} is not above 0")
    order = np.argsort(table["vm"], kind="stable")
    table = {key: values[order] for key, values in table.items()}
    twice = np.flatnonzero(np.diff(table["vm"]) == 0)
    if twice.size:
        raise TraceError(f"{file}, vm: {table['vm'][twice[0]]:.0f} is there twice")
    return table


def _groups(file: Path, columns: dict[str, believable.Bounds]) -> Iterator[dict[str, FloatArray]]:
    """Columns of a Parquet file as float64, one row group at a time, every value within its bounds."""
    try:
        with pa_parquet.ParquetFile(file) as parquet:
            missing = [key for key in columns if key not in parquet.schema_arrow.names]
            if missing:
                raise TraceError(f"{file}: has no column {missing[0]!r}; {', '.join(columns)} are needed")
            first_row = 0
            for g in range(parquet.num_row_groups):
                table = parquet.read_row_group(g, columns=list(columns))
                group = {key: _floats(file, key, table[key], bounds, first_row) for key, bounds in columns.items()}
                first_row += table.num_rows
                if table.num_rows:
                    yield group
    except (pa.ArrowException, OSError) as error:
        raise TraceError(f"{file}: is no complete Parquet file ({str(error).splitlines()[0]})") from None


def _floats(file: Path, key: str, column: pa.ChunkedArray, bounds: believable.Bounds, first_row: int) -> FloatArray:
    """A column as float64; nulls, NaN and what cannot be raise."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise TraceError(f"{file}, {key}: holds {column.type}, numbers are needed")
    values: FloatArray = column.to_numpy().astype(np.float64)
    if (fault := bounds.first_fault(values)) is not None:
        raise TraceError(f"{file}, {key}, row {first_row + fault[0]}: {fault[1]}")
    return values
