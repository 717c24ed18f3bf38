"""How a cluster starts: memory sizes, and a first placement that keeps the rules and the HA reservation.

Where the VMs drawn do not fit, or the reservation does not hold, it is tried again without `ha` for VMs that a vGPU or
a rule binds to some hosts, then with less memory.
Shapes: V VMs, M movables (VMs, then sessions), S samples of 5 minutes (yesterday, then the day).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..model.availability import has_reservation
from ..model.cluster import (
    NOWHERE,
    HighAvailability,
    IntArray,
    Inventory,
    RuleKind,
    Vm,
)
from ..model.errors import QuellError
from ..model.state import state_from_demand
from .blueprint import Blueprint, vm_id
from .demand import around_midnight, lived
from .layout import place_initially
from .overcommit import MINIMUM_SHARE, NEED_FILL, NEED_SHARE, configured_fill, memory_needs
from .sizing import MEMORY_FILL, memory_sizes
from .trace import SAMPLES_PER_DAY

FloatArray = npt.NDArray[np.float64]

RESERVE_ROOM = 0.92  # of the memory of the hosts that survive is needed at most: packing wastes some; assumed
LEAST_RESERVED_FILL = 0.45  # of the hosts' memory: where less would be left, a host failure fewer is reserved for
UNBOUND_NOTE = "memory is not reserved for VMs that a vGPU or a rule binds to some hosts: they are not restarted"
ALL_OR_NOTHING = (1.0,)
FILL_STEPS = (1.0, 1.0, 0.95, 0.9, 0.85, 0.8)  # of the memory; from the second on VMs bound to some hosts are not `ha`


@dataclass(frozen=True, eq=False)
class Housed:
    """A cluster at the start of its day: need_VS is None where nothing is overcommitted."""

    inventory: Inventory
    host_of_M: IntArray
    need_VS: FloatArray | None
    notes: tuple[str, ...] = ()


def housed(blueprint: Blueprint, fill_steps: Sequence[float]) -> Housed:
    """The cluster with sizes and places, at the first of the fills at which everything fits and the reservation holds.

    Where it holds at none, the first at which everything fits is taken, and the notes say so.

    Raises:
        QuellError: the VMs fit at none of the fills.
    """
    failures, fill, notes = _reservable(blueprint)
    failure: QuellError | None = None
    found: Housed | None = None
    for attempt, step in enumerate(fill_steps):
        try:
            cluster, is_reserved = _placed(blueprint, fill * step, failures, is_bound_ha=attempt == 0)
        except QuellError as error:
            failure = failure or error
            continue
        smaller = (f"memory is {step:.0%} of what was wanted, so that everything finds its place",) if step < 1 else ()
        weaker = (UNBOUND_NOTE,) if attempt > 0 and failures > 0 else ()
        cluster = replace(cluster, notes=(*cluster.notes, *notes, *weaker, *smaller))
        if is_reserved:
            return cluster
        found = found or cluster
    if found is None:
        assert failure is not None
        raise failure
    note = f"the first placement does not keep the HA reservation for {failures} host failure(s)"
    return replace(found, notes=(*found.notes, note))


def _placed(blueprint: Blueprint, fill: float, failures: int, *, is_bound_ha: bool) -> tuple[Housed, bool]:
    """The cluster at one fill, and whether its reservation holds.

    Raises:
        QuellError: a VM fits nowhere.
    """
    inventory, need_VS, notes = _sized(blueprint, fill, failures, is_bound_ha=is_bound_ha)
    need_V = inventory.memory_configured_V if need_VS is None else need_VS[:, SAMPLES_PER_DAY - 1]
    demand_MR = around_midnight(inventory, blueprint.population.demand, need_V)
    home_M = np.concatenate([blueprint.vgpus.home_V, np.full(len(blueprint.population.sessions), NOWHERE)])
    host_of_M = place_initially(inventory, demand_MR, home_M)
    is_reserved = has_reservation(state_from_demand(inventory, demand_MR, host_of_M))
    return Housed(inventory, host_of_M, need_VS, notes), is_reserved


def _reservable(blueprint: Blueprint) -> tuple[int, float, tuple[str, ...]]:
    """How many host failures are reserved for, how full memory is configured then, and what there is to say.

    While a host is serviced, the others must hold its VMs and the reservation.
    """
    is_first_V, is_overcommit_V = blueprint.population.churn.stays.is_first_X, blueprint.is_overcommit_V
    fill, needed = MEMORY_FILL, MEMORY_FILL
    if is_overcommit_V.any():
        memory_V = blueprint.trace_memory_V * is_first_V
        fill, needed = configured_fill(float(memory_V[is_overcommit_V].sum() / memory_V.sum())), NEED_FILL
    largest = np.sort([host.memory_gib for host in blueprint.population.hosts])[::-1]
    for failures in range(blueprint.ha_failures, -1, -1):
        out = failures + blueprint.is_serviced
        bearable = RESERVE_ROOM * (1 - largest[:out].sum() / largest.sum()) if out else 1.0
        if bearable >= LEAST_RESERVED_FILL or failures == 0:
            notes = () if failures == blueprint.ha_failures else (_fewer(blueprint.ha_failures, failures),)
            return failures, fill * min(1.0, max(bearable, LEAST_RESERVED_FILL) / needed), notes
    raise AssertionError("no reservation is always possible")


def _fewer(wanted: int, reserved: int) -> str:
    """What to say where fewer host failures are reserved for."""
    return (
        f"memory is reserved for {reserved} host failure(s) instead of {wanted}: the hosts are too few or too unequal"
    )


def _sized(
    blueprint: Blueprint, fill: float, failures: int, *, is_bound_ha: bool
) -> tuple[Inventory, FloatArray | None, tuple[str, ...]]:
    """The inventory with its memory sizes, memory needs where something is overcommitted, and what there is to say."""
    stays, is_overcommit_V = blueprint.population.churn.stays, blueprint.is_overcommit_V
    memory_V, scaled = memory_sizes(blueprint.trace_memory_V, blueprint.population.hosts, fill, stays.is_first_X)
    notes: tuple[str, ...] = ()
    if scaled.reached_share < 1:
        notes = (f"configured memory is {scaled.reached_share:.0%} of what was wanted: there are too few VMs",)
    minimum_V = np.where(is_overcommit_V, MINIMUM_SHARE * memory_V, 0.0)
    pinned = {vm for rule in blueprint.rules if rule.kind is RuleKind.VM_HOST_AFFINITY for vm in rule.vms}
    vms = tuple(
        Vm(
            vm_id(v),
            float(blueprint.population.demand.vcpus_V[v]),
            float(memory_V[v]),
            is_on=bool(is_first),
            is_overcommit=bool(is_overcommit_V[v]),
            memory_minimum_gib=float(minimum_V[v]),
            gpu=gpu,
            is_ha=bool(blueprint.is_ha_V[v]) and (is_bound_ha or not (gpu or vm_id(v) in pinned)),
        )
        for v, (is_first, gpu) in enumerate(zip(stays.is_first_X, blueprint.vgpus.profiles, strict=True))
    )
    reserve = HighAvailability(failures > 0, max(1, failures))
    inventory = Inventory(
        blueprint.population.hosts, vms, blueprint.population.sessions, blueprint.rules, high_availability=reserve
    )
    need_VS = None if blueprint.activity_VS is None else _needs(blueprint, memory_V, minimum_V)
    return inventory, need_VS, notes


def _needs(blueprint: Blueprint, memory_V: FloatArray, minimum_V: FloatArray) -> FloatArray:
    """Memory each VM needs, GiB; all it has where it is not overcommitted; shape (V, S)."""
    assert blueprint.activity_VS is not None
    over, stays = np.flatnonzero(blueprint.is_overcommit_V), blueprint.population.churn.stays
    is_there_XS = stays.is_there_XS[over]
    total_gib = NEED_SHARE * float((is_there_XS * memory_V[over, None]).sum()) / SAMPLES_PER_DAY
    need_VS = np.repeat(memory_V[:, None], blueprint.activity_VS.shape[1], axis=1)
    need_VS[over] = memory_needs(blueprint.activity_VS[over], memory_V[over], minimum_V[over], is_there_XS, total_gib)
    if stays.is_whole_day:
        return need_VS
    return lived(need_VS, stays, np.where(blueprint.is_overcommit_V, NEED_SHARE, 1.0) * memory_V)
