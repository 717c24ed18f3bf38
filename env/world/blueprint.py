"""Who is in a cluster and what is special about them: rules, vGPUs, overcommitted memory, restarts.

Each ingredient of the scenario is drawn from a generator of its own.
Shapes: V VMs (those there at the start of the day, then those that arrive), S samples of 5 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model.cluster import BoolArray, Host, PlacementRule, RuleKind, Session, Vm
from .churn import APART_SHARE, Churn, Stays
from .demand import DayDemand
from .gpus import Vgpus, draw_vgpus
from .layout import draw_rules
from .overcommit import draw_overcommit, remembered_activity
from .scenario import Scenario, Stream, stream
from .shapes import Draw, memory_shape
from .sizing import MEMORY_FILL, memory_sizes
from .trace import Trace

FloatArray = npt.NDArray[np.float64]

NOT_HA_SHARE = 0.1  # of VMs are not restarted when their host fails, where failures are thought of; assumed


@dataclass(frozen=True, eq=False)
class Population:
    """Hosts, VMs and sessions of a cluster.

    Attributes:
        hosts: with their GPUs.
        sessions: of the volume groups; those of groups created during the day are off.
        draw: the VM of the trace for each VM and session.
        churn: when the VMs are there.
        session_stays: when the sessions are open.
        demand: of VMs and sessions.
    """

    hosts: tuple[Host, ...]
    sessions: tuple[Session, ...]
    draw: Draw
    churn: Churn
    session_stays: Stays
    demand: DayDemand

    @property
    def is_first_V(self) -> BoolArray:
        """VMs that are there at the start of the day; shape (V,)."""
        return self.churn.stays.is_first_X


@dataclass(frozen=True, eq=False)
class Blueprint:
    """All that is drawn of a cluster but memory sizes and places.

    Attributes:
        population: who is there.
        rules: of the inventory.
        trace_memory_V: memory of each VM in the trace, GiB: the proportions; shape (V,).
        vgpus: of the VMs.
        is_ha_V: VMs that are restarted when their host fails; shape (V,).
        is_overcommit_V: VMs whose memory may be shrunk; shape (V,).
        activity_VS: logarithm of remembered activity; None where nothing is overcommitted; shape (V, S).
        ha_failures: host failures to reserve for.
        is_serviced: whether hosts are taken out of service during the day, so that the others need room.
    """

    population: Population
    rules: tuple[PlacementRule, ...]
    trace_memory_V: FloatArray
    vgpus: Vgpus
    is_ha_V: BoolArray
    is_overcommit_V: BoolArray
    activity_VS: FloatArray | None
    ha_failures: int
    is_serviced: bool


def draw_blueprint(
    generators: tuple[np.random.Generator, np.random.Generator],
    trace: Trace,
    population: Population,
    scenario: Scenario,
    seed: int,
    *,
    has_rules: bool,
) -> Blueprint:
    """What is special about the VMs of a population.

    Args:
        generators: of the episode, and of its GPUs.
        trace: that the population is drawn from.
        population: who is there.
        scenario: what to draw.
        seed: of the episode.
        has_rules: whether there are placement rules.
    """
    vm_X, is_first_V = population.draw.vm_X[: len(population.is_first_V)], population.is_first_V
    trace_memory_V = trace.memory_gib_V[vm_X].astype(np.float64)
    # What is small is told by the sizes of the plain scenario, so that rules do not depend on what else is drawn.
    memory_V, _ = memory_sizes(trace_memory_V, population.hosts, MEMORY_FILL, is_first_V)
    mean_cpu_V = population.demand.cpu_VS.mean(axis=1)
    rules = _rules(generators[0], population, memory_V, mean_cpu_V, seed) if has_rules else ()
    vgpus = Vgpus.none(len(vm_X))
    if scenario.gpu_host_share > 0:
        bound = {vm for rule in rules for vm in rule.vms}
        is_free_V = np.array([vm_id(v) not in bound for v in range(len(vm_X))])
        is_small_V = (memory_V <= np.median(memory_V)) & (mean_cpu_V <= np.median(mean_cpu_V))
        may_have_V = is_free_V & (is_small_V | ~is_first_V)
        vgpus = draw_vgpus(generators[1], population.hosts, may_have_V, is_first_V)
    overcommit = stream(seed, Stream.OVERCOMMIT)
    is_overcommit_V = draw_overcommit(overcommit, len(vm_X), scenario.overcommit_share)
    is_overcommit_V &= np.array([gpu is None for gpu in vgpus.profiles])  # a device reads memory the guest may not lose
    is_ha_V = np.ones(len(vm_X), dtype=np.bool_)
    if scenario.ha_failures or scenario.failures:
        is_ha_V = stream(seed, Stream.AVAILABILITY).random(len(vm_X)) >= NOT_HA_SHARE
    return Blueprint(
        population=population,
        rules=rules,
        trace_memory_V=trace_memory_V,
        vgpus=vgpus,
        is_ha_V=is_ha_V,
        is_overcommit_V=is_overcommit_V,
        activity_VS=_activity(overcommit, trace, population) if is_overcommit_V.any() else None,
        ha_failures=scenario.ha_failures,
        is_serviced=scenario.maintenances > 0,
    )


def vm_id(v: int) -> str:
    """Id of VM v."""
    return f"vm-{v + 1}"


def _rules(
    generator: np.random.Generator, population: Population, memory_V: FloatArray, mean_cpu_V: FloatArray, seed: int
) -> tuple[PlacementRule, ...]:
    """Rules over the VMs there at the start of the day, and over some of the batches that arrive."""
    first = np.flatnonzero(population.is_first_V)
    vcpus_V = population.demand.vcpus_V
    vms = tuple(Vm(vm_id(v), float(vcpus_V[v]), float(memory_V[v])) for v in first.tolist())
    rules = list(draw_rules(generator, vms, population.hosts, mean_cpu_V[first]))
    batches = [batch for batch in population.churn.batches if len(batch) >= 2]
    if batches:
        is_apart_B = stream(seed, Stream.BATCHES).random(len(batches)) < APART_SHARE
        for n, batch in enumerate(b for b, is_apart in zip(batches, is_apart_B, strict=True) if is_apart):
            members = tuple(vm_id(v) for v in batch[: len(population.hosts)])
            rules.append(PlacementRule(f"anti-affinity-batch-{n + 1}", RuleKind.VM_VM_ANTI_AFFINITY, members))
    return tuple(rules)


def _activity(generator: np.random.Generator, trace: Trace, population: Population) -> FloatArray:
    """Logarithm of what each VM has lately been active with; shape (V, S)."""
    V = len(population.is_first_V)
    cpu_share_VS = population.demand.cpu_VS / population.demand.vcpus_V[:, None]
    draw = Draw(population.draw.vm_X[:V], population.draw.day_X[:V])
    return remembered_activity(generator, memory_shape(trace, draw), cpu_share_VS)
