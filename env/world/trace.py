"""A trace: what some VMs really demanded, as dense arrays of 5-minute samples, whole days only.

Every public format and the synthetic generator end in a `Trace`; everything after it (splits, episodes) knows no
format.
Shapes: V VMs, T samples (a whole number of days), D days. NaN means the VM was absent or switched off.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

SAMPLE_MINUTES = 5
SAMPLES_PER_DAY = 288
USABLE_SHARE = 0.9  # of a day's samples that must be there for a VM to count on that day
LONGEST_FILLED_GAP = 3  # samples; the converted Bitbrains data fill gaps up to three slots as well
ACTIVE_UTILIZATION = 0.005  # mean CPU of the vCPUs below which a VM idles (design: "mean CPU above 0.5 %")


@dataclass(frozen=True, eq=False)
class Trace:
    """Demand of V VMs over D days.

    Attributes:
        name: format and origin, such as `bitbrains:2013-8`; never a whole path.
        vm_ids: unique id of each VM in its source; length V.
        vcpus_V: vCPUs of each VM, > 0; shape (V,).
        memory_gib_V: configured memory, GiB, > 0; shape (V,).
        cpu_cores_VT: CPU demand in cores, 0 to vcpus, NaN where absent or off; shape (V, T).
        io_kbs_VT: disk read + write in KB/s, NaN where the CPU is; None where the trace has none; shape (V, T).
        day_names: one name a day, such as 2013-08-01; length D = T / samples_per_day.
        is_consecutive: whether day d - 1 is really the day before day d.
        memory_used_gib_VT: active memory, GiB, NaN where the CPU is; None where the trace has none; shape (V, T).
    """

    name: str
    vm_ids: tuple[str, ...]
    vcpus_V: Float32Array
    memory_gib_V: Float32Array
    cpu_cores_VT: Float32Array
    io_kbs_VT: Float32Array | None
    day_names: tuple[str, ...]
    is_consecutive: bool
    samples_per_day: int = SAMPLES_PER_DAY
    memory_used_gib_VT: Float32Array | None = None

    @property
    def vm_count(self) -> int:
        """V."""
        return len(self.vm_ids)

    @property
    def day_count(self) -> int:
        """D."""
        return len(self.day_names)

    @cached_property
    def samples_VD(self) -> npt.NDArray[np.int64]:
        """How many samples of each day there are for each VM, 0 to 288; shape (V, D)."""
        is_there_VDS = ~np.isnan(self.cpu_cores_VT.reshape(self.vm_count, self.day_count, self.samples_per_day))
        return np.asarray(np.count_nonzero(is_there_VDS, axis=2))

    @cached_property
    def is_usable_VD(self) -> BoolArray:
        """Days of which at least 90 % is there for a VM; shape (V, D)."""
        return self.samples_VD >= USABLE_SHARE * self.samples_per_day

    @cached_property
    def is_active_VD(self) -> BoolArray:
        """Usable days on which a VM's mean CPU is above 0.5 % of its vCPUs; shape (V, D)."""
        shape = (self.vm_count, self.day_count, self.samples_per_day)
        total_VD = np.nansum(self.cpu_cores_VT.reshape(shape), axis=2, dtype=np.float64)
        mean_VD = total_VD / np.maximum(self.samples_VD, 1)
        return self.is_usable_VD & (mean_VD > ACTIVE_UTILIZATION * self.vcpus_V[:, None])


def fill_short_gaps(values_VT: Float32Array, longest: int = LONGEST_FILLED_GAP) -> Float32Array:
    """The values with NaN gaps of at most `longest` samples filled by the value before; shape (V, T).

    Gaps at either end stay, and so do longer ones: a VM that was absent for long did not go on as before.
    """
    samples = values_VT.shape[1]
    is_gap_VT = np.isnan(values_VT)
    index_T = np.arange(samples, dtype=np.int32)
    before_VT = np.maximum.accumulate(np.where(is_gap_VT, np.int32(-1), index_T), axis=1)
    after_VT = np.minimum.accumulate(np.where(is_gap_VT, np.int32(samples), index_T)[:, ::-1], axis=1)[:, ::-1]
    is_filled_VT = is_gap_VT & (before_VT >= 0) & (after_VT < samples) & (after_VT - before_VT - 1 <= longest)
    filled_VT = values_VT.copy()
    vm, sample = np.nonzero(is_filled_VT)
    filled_VT[vm, sample] = values_VT[vm, before_VT[vm, sample]]
    return filled_VT


def hold_over_gaps(values_VT: Float32Array) -> Float32Array:
    """The values with every gap filled: by the value before, at the start by the first one; shape (V, T).

    A row of nothing but NaN becomes 0.
    """
    is_gap_VT = np.isnan(values_VT)
    if not is_gap_VT.any():
        return values_VT
    index_T = np.arange(values_VT.shape[1])
    before_VT = np.maximum.accumulate(np.where(is_gap_VT, -1, index_T), axis=1)
    first_V = np.argmin(is_gap_VT, axis=1)
    source_VT = np.where(before_VT >= 0, before_VT, first_V[:, None])
    return np.nan_to_num(np.take_along_axis(values_VT, source_VT, axis=1), copy=False)


def hash_share(text: str, seed: int = 0) -> float:
    """A number in 0..1 that depends on the text and the seed alone: the same in every process and on every machine."""
    digest = hashlib.blake2b(f"{seed}:{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
