"""The demand of a day at the scale of a cluster, for those who are there all day and those who are not.

Shapes: X rows, V VMs, M movables (VMs, then sessions), S samples of 5 minutes (yesterday, then the day).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model.cluster import CPU, MEMORY, RESOURCES, STORAGE, Array, BoolArray, Host, Inventory
from ..model.errors import QuellError
from .churn import Stays
from .shapes import Draw, cpu_shape, storage_shape
from .sizing import LARGEST_CPU_SHARE, LARGEST_STORAGE_SHARE, STORAGE_LOAD, scale_to_total
from .trace import SAMPLES_PER_DAY, Trace

FloatArray = npt.NDArray[np.float64]

PLACEMENT_SAMPLES = 12  # the hour on either side of midnight that the first placement looks at
PLACEMENT_LOAD = 0.7  # mean utilization up to which a first placement without contention is sought; assumed


@dataclass(frozen=True, eq=False)
class DayDemand:
    """Scaled demand, CPU and controller cores; vCPUs; and what could not be reached.

    Before a row is there it demands what is expected of it, after it has left nothing.
    """

    cpu_VS: FloatArray
    storage_MS: FloatArray
    vcpus_V: FloatArray
    notes: tuple[str, ...]


def scaled_demand(
    generator: np.random.Generator,
    trace: Trace,
    draw: Draw,
    hosts: tuple[Host, ...],
    load: float,
    vms: Stays,
    sessions: Stays,
) -> DayDemand:
    """Demand at the scale of the cluster; CPU demand never passes vCPUs or half of the smallest host.

    Args:
        generator: of the episode.
        trace: where the shapes come from.
        draw: the VM of the trace for each VM and session.
        hosts: of the cluster.
        load: mean CPU utilization of the cluster over the day; demand counts while a VM is there.
        vms: when the VMs are there.
        sessions: when the sessions are open.

    Raises:
        QuellError: the load cannot be reached with so few VMs.
    """
    V, stays = len(vms.first_X), vms.joined(sessions)
    cores, controller_cores = sum(h.cpu_cores for h in hosts), sum(h.storage_cpu_cores for h in hosts)
    cpu_cap = LARGEST_CPU_SHARE * min(h.cpu_cores for h in hosts)
    cpu_VS = cpu_shape(trace, Draw(draw.vm_X[:V], draw.day_X[:V]))
    cpu = scale_to_total(_while_there(cpu_VS, vms), cpu_cap, load * cores)
    if cpu.reached_share < 1:
        raise QuellError(
            f"cluster, load: {load:g} cannot be reached with {V} VMs of at most {cpu_cap:g} cores on {len(hosts)} "
            f"hosts; the most is {cpu.reached_share * load:.2f}"
        )
    vcpus_V = np.clip(np.ceil(trace.vcpus_V[draw.vm_X[:V]] * cpu.factor), 1, cpu_cap)
    storage_cap = LARGEST_STORAGE_SHARE * min(h.storage_cpu_cores for h in hosts)
    storage_MS = storage_shape(generator, trace, draw)
    storage = scale_to_total(_while_there(storage_MS, stays), storage_cap, STORAGE_LOAD * controller_cores)
    cpu_VS = np.minimum(cpu_VS * cpu.factor, vcpus_V[:, None])
    storage_MS = np.minimum(storage_MS * storage.factor, storage_cap)
    notes = []
    if storage.reached_share < 1:
        notes.append(f"storage demand is {storage.reached_share:.0%} of what was wanted: there is too little disk I/O")
    if not stays.is_whole_day:
        weight_M = np.concatenate([vcpus_V, np.ones(len(draw.vm_X) - V)])
        is_vm_M = np.arange(len(weight_M)) < V
        cpu_VS = lived(cpu_VS, vms, expected(cpu_VS, vms.is_first_X, vcpus_V))
        expected_M = expected(storage_MS, stays.is_first_X & is_vm_M, weight_M)
        if stays.is_first_X[V:].any():
            expected_M[V:] = expected(storage_MS, stays.is_first_X & ~is_vm_M, weight_M)[V:]
        storage_MS = lived(storage_MS, stays, expected_M)
    return DayDemand(cpu_VS, storage_MS, vcpus_V, tuple(notes))


def _while_there(values_XS: FloatArray, stays: Stays) -> FloatArray:
    """The values of the day, 0 where a row is not there; shape (X, 288)."""
    day_XS = values_XS[:, SAMPLES_PER_DAY:]
    return day_XS if stays.is_whole_day else day_XS * stays.is_there_XS


def expected(values_XS: FloatArray, is_known_X: BoolArray, weight_X: FloatArray) -> FloatArray:
    """What somebody who knows yesterday expects of each row: the known ones' mean per weight, times its own; (X,)."""
    total = values_XS[is_known_X, :SAMPLES_PER_DAY].mean(axis=1).sum()
    return np.asarray(weight_X * (total / weight_X[is_known_X].sum()))


def lived(values_XS: FloatArray, stays: Stays, expected_X: FloatArray) -> FloatArray:
    """The values while a row is there, before that what is expected of it, after that 0; shape (X, S)."""
    sample_S = np.arange(values_XS.shape[1]) - SAMPLES_PER_DAY
    is_late_XS = ~stays.is_first_X[:, None] & (sample_S < stays.first_X[:, None])
    values_XS = np.where(is_late_XS, expected_X[:, None], values_XS)
    return np.where(sample_S >= stays.end_X[:, None], 0.0, values_XS)


def around_midnight(inventory: Inventory, demand: DayDemand, memory_V: Array) -> Array:
    """What the first placement counts on: the larger mean of the hours before and after midnight; shape (M, R).

    Where that is more than the cluster can bear without contention, it is scaled down, so that the load is at least
    spread evenly. What is not there at the start of the day counts as nothing.

    Args:
        inventory: what there is.
        demand: of the day.
        memory_V: memory each VM needs at the start of the day, GiB.
    """
    before = slice(SAMPLES_PER_DAY - PLACEMENT_SAMPLES, SAMPLES_PER_DAY)
    after = slice(SAMPLES_PER_DAY, SAMPLES_PER_DAY + PLACEMENT_SAMPLES)
    demand_MR = np.zeros((inventory.movable_count, RESOURCES))
    demand_MR[: inventory.vm_count, MEMORY] = memory_V
    for rows, resource, values in (
        (inventory.vm_count, CPU, demand.cpu_VS),
        (inventory.movable_count, STORAGE, demand.storage_MS),
    ):
        larger_X = np.maximum(values[:, before].mean(axis=1), values[:, after].mean(axis=1))
        demand_MR[:rows, resource] = np.where(inventory.is_on_M[:rows], larger_X, 0.0)
        excess = demand_MR[:, resource].sum() / (PLACEMENT_LOAD * inventory.capacity_HR[:, resource].sum())
        demand_MR[:, resource] /= max(1.0, excess)
    demand_MR[~inventory.is_on_M] = 0.0
    return demand_MR
