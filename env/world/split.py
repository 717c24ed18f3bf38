"""Parts of a trace that never meet: training, validation and test, apart in VMs and in time.

What is learned on one part is judged on VMs and days it has not seen. VMs are told apart by the hash of their id, so
that adding VMs to a folder does not reshuffle the others; days by their order, so that the test lies in the future.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.cluster import IntArray, read_only
from ..model.errors import TraceError
from .trace import USABLE_SHARE, Trace, hash_share

PARTS = ("train", "validation", "test")
VM_SHARES = (0.70, 0.10, 0.20)  # of the VMs, in the order of PARTS
TRAIN_DAY_SHARE, VALIDATION_DAY_SHARE = 0.63, 0.12  # of the days; the rest is the test
MINIMUM_DAYS = 3  # one for each part
MINIMUM_VMS = 3  # VMs that must have a day for the day to count; one for each part


@dataclass(frozen=True, eq=False)
class TracePart:
    """The VMs and days of a trace that one purpose may use.

    Attributes:
        trace: the whole trace.
        name: `train`, `validation`, `test` or `all`.
        vms: indices of the part's VMs, ascending; at least one of them is active on each of the days.
        days: indices of the part's days, ascending; never empty.
    """

    trace: Trace
    name: str
    vms: IntArray
    days: tuple[int, ...]

    def active_vms(self, day: int) -> IntArray:
        """The part's VMs that are active on a day."""
        return self.vms[self.trace.is_active_VD[self.vms, day]]


def split_vms(trace: Trace, seed: int = 0) -> dict[str, IntArray]:
    """VM indices of each part: about 70, 10 and 20 %, by the hash of the VM's id."""
    share_V = np.array([hash_share(vm_id, seed) for vm_id in trace.vm_ids])
    part_V = np.digitize(share_V, np.cumsum(VM_SHARES)[:-1])
    return {name: read_only(np.flatnonzero(part_V == p), dtype=np.int64) for p, name in enumerate(PARTS)}


def split_days(trace: Trace) -> dict[str, tuple[int, ...]]:
    """Day indices of each part in time order, about 63, 12 and 25 % of the usable days, at least one each.

    Thirty days give 19 + 3 + 8, eight give 5 + 1 + 2.

    Raises:
        TraceError: fewer than three days are usable.
    """
    days = usable_days(trace)
    if len(days) < MINIMUM_DAYS:
        raise TraceError(
            f"trace {trace.name}: train, validation and test need {MINIMUM_DAYS} usable days or more, "
            f"it has {len(days)} ({', '.join(trace.day_names[d] for d in days)})"
        )
    train = min(round(TRAIN_DAY_SHARE * len(days)), len(days) - 2)
    validation = max(1, int(VALIDATION_DAY_SHARE * len(days)))
    return {"train": days[:train], "validation": days[train : train + validation], "test": days[train + validation :]}


def usable_days(trace: Trace) -> tuple[int, ...]:
    """Days of which at least 90 % is there for three VMs or more.

    Raises:
        TraceError: there is none.
    """
    vms_D = trace.is_usable_VD.sum(axis=0)
    days = tuple(int(d) for d in np.flatnonzero(vms_D >= MINIMUM_VMS))
    if days:
        return days
    most = int(trace.samples_VD.max(initial=0))
    if most < USABLE_SHARE * trace.samples_per_day:
        raise TraceError(
            f"trace {trace.name} is shorter than a day: no VM has more than {most} of the "
            f"{trace.samples_per_day} five-minute samples of one day (90 % are needed)"
        )
    raise TraceError(
        f"trace {trace.name}: on no day do {MINIMUM_VMS} VMs have 90 % of their samples; "
        f"the best day has {int(vms_D.max(initial=0))} such VMs of {trace.vm_count}"
    )


def part(trace: Trace, name: str, seed: int = 0) -> TracePart:
    """One part of a trace: `train`, `validation`, `test`, or `all` (every VM and usable day, for simulation alone).

    Days on which no VM of the part is active are left out.

    Raises:
        TraceError: the trace has too few days, or the part has no active VM.
    """
    if name == "all":
        vms, days = np.arange(trace.vm_count), usable_days(trace)
    elif name in PARTS:
        vms, days = split_vms(trace, seed)[name], split_days(trace)[name]
    else:
        raise TraceError(f"part of a trace: {name!r} is none of {', '.join(PARTS)}, all")
    active = tuple(d for d in days if trace.is_active_VD[vms, d].any())
    if not active:
        raise TraceError(
            f"trace {trace.name}: the part {name} has no active VM ({len(vms)} of the {trace.vm_count} VMs fall to it, "
            f"none with a mean CPU above 0.5 % on its {len(days)} days); use a trace with more VMs"
        )
    return TracePart(trace, name, read_only(vms, dtype=np.int64), active)
