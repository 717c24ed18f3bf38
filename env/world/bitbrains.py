"""What the raw and the converted Bitbrains files (Grid Workloads Archive GWA-T-12) have in common.

Quirks of the source, all handled: the header says milliseconds but the values are Unix seconds; the separator is `;`
and a tab; samples of a slot are repeated in a few VMs (the last counts); short gaps (up to three slots are filled); the
capacity columns wander (the median of the non-zero samples counts); CPU exceeds the capacity by up to 14 % (clipped at
the vCPUs); samples with zero cores are of a VM that is switched off (NaN).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from ..model.cluster import read_only
from .trace import SAMPLES_PER_DAY, Float32Array, Trace, fill_short_gaps

FloatArray = npt.NDArray[np.float64]

OFF = np.float32(-1)  # marks a switched-off sample until gaps have been filled
LONGEST_DAYS = 400  # a trace that spans more has a wrong timestamp in it


def bitbrains_trace(
    name: str,
    vms: list[tuple[str, float, float]],
    cpu_VT: Float32Array,
    io_VT: Float32Array,
    memory_VT: Float32Array,
    first_day: datetime,
) -> Trace:
    """The trace of what was read.

    Args:
        name: of the file or folder.
        vms: id, vCPUs and memory in GiB of each VM; length V.
        cpu_VT: CPU in cores, OFF where the VM is switched off, NaN where there is no sample; whole days; shape (V, T).
        io_VT: disk read + write, KB/s, NaN where there is no sample; shape (V, T).
        memory_VT: active memory, GiB, NaN where there is no sample; shape (V, T).
        first_day: date of the first of the days.
    """
    vcpus_V = np.array([vcpus for _, vcpus, _ in vms], dtype=np.float32)
    cpu_VT = fill_short_gaps(cpu_VT)
    cpu_VT[cpu_VT == OFF] = np.nan
    np.minimum(cpu_VT, vcpus_V[:, None], out=cpu_VT)  # NaN stays NaN
    io_VT = fill_short_gaps(io_VT)
    memory_VT = fill_short_gaps(memory_VT)
    io_VT[np.isnan(cpu_VT)] = np.nan
    memory_VT[np.isnan(cpu_VT)] = np.nan
    days = cpu_VT.shape[1] // SAMPLES_PER_DAY
    return Trace(
        name=f"bitbrains:{name}",
        vm_ids=tuple(vm_id for vm_id, _, _ in vms),
        vcpus_V=read_only(vcpus_V, dtype=np.float32),
        memory_gib_V=read_only([memory for _, _, memory in vms], dtype=np.float32),
        cpu_cores_VT=read_only(cpu_VT, dtype=np.float32),
        io_kbs_VT=read_only(io_VT, dtype=np.float32),
        day_names=tuple(f"{first_day + timedelta(days=d):%Y-%m-%d}" for d in range(days)),
        is_consecutive=True,
        memory_used_gib_VT=read_only(memory_VT, dtype=np.float32),
    )
