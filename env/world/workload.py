"""Episodes: one day of a trace on a cluster built for it, the same for the same seed whatever planner acts.

A trace gives the shape of demand, `build_episode` its scale: the mean CPU utilization of the cluster over the day is
the load, configured memory fills 70 % of the hosts, storage demand is 40 % of the controllers' CPU.
Shapes: H hosts, V VMs, M movables (VMs, then sessions), R resources, S samples of 5 minutes and N minutes (yesterday,
then the day).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

import numpy as np
import numpy.typing as npt

from ..model.cluster import Array, Cluster, Host, IntArray, Inventory, Session, make_cluster, read_only
from ..model.errors import QuellError
from .accidents import can_be_emptied, draw_accidents
from .blueprint import Population, draw_blueprint
from .churn import Stays, draw_churn
from .demand import PLACEMENT_SAMPLES, scaled_demand
from .events import Event, EventKind
from .gpus import with_gpus
from .housing import ALL_OR_NOTHING, FILL_STEPS, housed
from .scenario import PLAIN, SCENARIOS, Scenario, Stream, check_scenario_name, scenario_of, stream
from .shapes import Draw, draw_vms
from .sizing import draw_hosts
from .split import TracePart
from .trace import SAMPLE_MINUTES, SAMPLES_PER_DAY, Float32Array

FloatArray = npt.NDArray[np.float64]

DAY_MINUTES = SAMPLES_PER_DAY * SAMPLE_MINUTES
HISTORY_MINUTES = DAY_MINUTES  # yesterday
HOSTS_PER_VOLUME_GROUP = 4  # assumed
SESSIONS_PER_VOLUME_GROUP = 3  # assumed
UNEMPTIED_NOTE = "no host is serviced: at this load the others could not take its VMs"


@dataclass(frozen=True)
class ClusterSpec:
    """What cluster to build.

    Attributes:
        hosts: number of hosts, >= 1.
        vms_per_host: VMs per host on average at the start of the day, >= 1.
        load: mean CPU utilization of the cluster over the day, above 0, at most 1.
        has_rules: whether there are placement rules and volume groups.
        scenario: what else there is, or the name of it (see `scenario`).
    """

    hosts: int = 8
    vms_per_host: int = 15
    load: float = 0.65
    has_rules: bool = True
    scenario: str | Scenario = PLAIN

    def __post_init__(self) -> None:
        """Check the ranges."""
        for key, value in (("hosts", self.hosts), ("vms_per_host", self.vms_per_host)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise QuellError(f"cluster, {key}: {value!r} is not a whole number of at least 1")
        if isinstance(self.load, bool) or not isinstance(self.load, int | float) or not 0 < self.load <= 1:
            raise QuellError(f"cluster, load: {self.load!r} is not a mean CPU utilization above 0 and at most 1")
        if isinstance(self.scenario, str):
            check_scenario_name(self.scenario)


@dataclass(frozen=True, eq=False)
class Episode:
    """A day of demand on a cluster.

    Attributes:
        cluster: the cluster at minute 0 of the day: first placement, samples = history.
        cpu_VN: CPU demand in cores, one value a minute, history first; before a VM arrives what is expected of it,
            after it has left 0; shape (V, N).
        storage_MN: storage controller demand in cores; shape (M, N).
        memory_VN: memory an overcommit VM needs, GiB; of other VMs without meaning; shape (V, N). None: no such VM.
        events: what happens during the day, in order.
        seed: of the draw.
        day_name: the trace's day.
        vm_names: id in the trace of each VM; the same id may be there more than once (see notes).
        notes: what the trace could not give, in sentences.
        history_minutes: minutes before minute 0 of the day.
    """

    cluster: Cluster
    cpu_VN: Float32Array
    storage_MN: Float32Array
    seed: int
    day_name: str
    vm_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    history_minutes: int = HISTORY_MINUTES
    memory_VN: Float32Array | None = None
    events: tuple[Event, ...] = ()

    @property
    def inventory(self) -> Inventory:
        """What there is in the cluster."""
        return self.cluster.inventory

    @property
    def day_minutes(self) -> int:
        """Minutes of the day that is played."""
        return self.cpu_VN.shape[1] - self.history_minutes

    def cluster_at(
        self,
        minute: int,
        host_of_M: IntArray,
        telemetry_minutes: int | None = None,
        *,
        inventory: Inventory | None = None,
        memory_V: tuple[Array, Array] | None = None,
    ) -> Cluster:
        """The cluster as telemetry shows it at the start of a minute of the day; its samples are views, not copies.

        Args:
            minute: 0 to day_minutes; samples end just before it.
            host_of_M: where the movables then are; shape (M,).
            telemetry_minutes: how far back the samples go, at most history_minutes + minute; None: a day, or as far
                as there is anything.
            inventory: in the states of that minute; None for those of minute 0.
            memory_V: memory that VMs use and have swapped out, GiB, each of shape (V,); None for those of minute 0.

        Raises:
            ValueError: the minute or the telemetry lies outside the episode.
        """
        end = self.history_minutes + minute
        telemetry_minutes = min(DAY_MINUTES, end) if telemetry_minutes is None else telemetry_minutes
        if not (0 <= minute <= self.day_minutes and 1 <= telemetry_minutes <= end):
            raise ValueError(f"{telemetry_minutes} minutes before minute {minute} of {self.day_minutes} are not there")
        window = slice(end - telemetry_minutes, end)
        usage_V, swap_V = memory_V or (self.cluster.memory_usage_V, self.cluster.memory_swap_V)
        return replace(
            self.cluster,
            time=self.cluster.time + timedelta(minutes=minute),
            inventory=inventory or self.cluster.inventory,
            host_of_M=read_only(host_of_M, dtype=np.int64),
            cpu_samples_VT=cast(Array, self.cpu_VN[:, window]),
            storage_samples_MT=cast(Array, self.storage_MN[:, window]),
            memory_usage_V=read_only(usage_V),
            memory_swap_V=read_only(swap_V),
        )


def build_episode(part: TracePart, spec: ClusterSpec, seed: int) -> Episode:
    """The episode of a seed: a day of the part, a cluster, what is demanded in it minute by minute, and what happens.

    Samples of 5 minutes are held, gaps inside a usable day are held over, and where the trace has no yesterday the
    day's first sample stands for it. The same arguments give the same arrays, bit for bit.

    Args:
        part: VMs and days to draw from.
        spec: the cluster to build.
        seed: of everything drawn, >= 0.

    Raises:
        QuellError: the load cannot be reached with so few VMs, or they find no place.
    """
    scenario = scenario_of(spec.scenario, seed)
    generators = np.random.default_rng(seed), stream(seed, Stream.GPUS)
    day = int(generators[0].choice(part.days))
    hosts = with_gpus(generators[1], draw_hosts(generators[0], spec.hosts), scenario.gpu_host_share)
    unemptied: tuple[str, ...] = ()
    if scenario.maintenances and not can_be_emptied(hosts, spec.load):
        scenario, unemptied = replace(scenario, maintenances=0), (UNEMPTIED_NOTE,)
    population = _population(generators[0], part, day, hosts, spec, scenario, seed)
    blueprint = draw_blueprint(generators, part.trace, population, scenario, seed, has_rules=spec.has_rules)
    cluster = housed(blueprint, ALL_OR_NOTHING if scenario == SCENARIOS[PLAIN] else FILL_STEPS)
    V, demand = cluster.inventory.vm_count, population.demand
    cpu_VN, storage_MN = _held(demand.cpu_VS), _held(demand.storage_MS)
    memory_VN = None if cluster.need_VS is None else _held(cluster.need_VS)
    name = f"{part.trace.name} {part.trace.day_names[day]} seed {seed}"
    return Episode(
        cluster=_cluster(name, cluster.inventory, cluster.host_of_M, cpu_VN, storage_MN, memory_VN),
        cpu_VN=cpu_VN,
        storage_MN=storage_MN,
        seed=seed,
        day_name=part.trace.day_names[day],
        vm_names=tuple(part.trace.vm_ids[v] for v in population.draw.vm_X[:V]),
        notes=(*population.draw.notes, *demand.notes, *unemptied, *cluster.notes),
        memory_VN=memory_VN,
        events=_events(population, scenario, seed),
    )


def _population(
    generator: np.random.Generator,
    part: TracePart,
    day: int,
    hosts: tuple[Host, ...],
    spec: ClusterSpec,
    scenario: Scenario,
    seed: int,
) -> Population:
    """Who is in the cluster, and what they demand."""
    churn = draw_churn(stream(seed, Stream.CHURN), spec.hosts * spec.vms_per_host, scenario.churn_share)
    sessions, session_stays = _sessions(spec, scenario, seed)
    vms_draw = draw_vms(generator, part, day, len(churn.stays.first_X))
    session_vms = generator.choice(part.active_vms(day), size=len(sessions))
    draw = Draw(
        np.concatenate([vms_draw.vm_X, session_vms]),
        np.concatenate([vms_draw.day_X, np.full(len(sessions), day)]),
        vms_draw.notes,
    )
    demand = scaled_demand(generator, part.trace, draw, hosts, spec.load, churn.stays, session_stays)
    return Population(hosts, sessions, draw, churn, session_stays, demand)


def _sessions(spec: ClusterSpec, scenario: Scenario, seed: int) -> tuple[tuple[Session, ...], Stays]:
    """The sessions of the cluster's volume groups, those created during the day last; and when they are open."""
    if not spec.has_rules:
        return (), Stays.all_day(0)
    groups, created = max(1, spec.hosts // HOSTS_PER_VOLUME_GROUP), scenario.volume_group_events
    sessions = tuple(
        Session(f"vg-{g + 1}-session-{s + 1}", f"vg-{g + 1}", is_on=g < groups)
        for g in range(groups + created)
        for s in range(SESSIONS_PER_VOLUME_GROUP)
    )
    stays = Stays.all_day(len(sessions))
    samples = stream(seed, Stream.SESSIONS).integers(1, SAMPLES_PER_DAY - PLACEMENT_SAMPLES, size=created)
    stays.first_X[groups * SESSIONS_PER_VOLUME_GROUP :] = np.repeat(samples, SESSIONS_PER_VOLUME_GROUP)
    return sessions, stays


def _events(population: Population, scenario: Scenario, seed: int) -> tuple[Event, ...]:
    """Everything that happens during the day, in order."""
    V, first_S = len(population.is_first_V), population.session_stays.first_X
    opened = [
        Event(int(first_S[s]) * SAMPLE_MINUTES, EventKind.SESSION_OPENED, V + int(s)) for s in np.flatnonzero(first_S)
    ]
    is_spare_H = np.array([not host.gpus for host in population.hosts])
    accidents = draw_accidents(stream(seed, Stream.ACCIDENTS), is_spare_H, scenario.failures, scenario.maintenances)
    return tuple(sorted([*population.churn.events, *opened, *accidents]))


def _held(values_XS: FloatArray) -> Float32Array:
    """5-minute samples held to minutes; shape (X, N)."""
    held_XN: Float32Array = read_only(np.repeat(values_XS.astype(np.float32), SAMPLE_MINUTES, axis=1), dtype=np.float32)
    return held_XN


def _cluster(
    name: str,
    inventory: Inventory,
    host_of_M: IntArray,
    cpu_VN: Float32Array,
    storage_MN: Float32Array,
    memory_VN: Float32Array | None,
) -> Cluster:
    """The cluster at minute 0 of the day, with the history as its samples; nobody swaps yet."""
    V, M = inventory.vm_count, inventory.movable_count
    usage_V = np.zeros(V)
    if memory_VN is not None:
        usage_V = np.where(inventory.is_overcommit_V & inventory.is_on_M[:V], memory_VN[:, HISTORY_MINUTES - 1], 0.0)
    empty = make_cluster(inventory, host_of_M, np.zeros((V, 1)), np.zeros((M, 1)), name=name, memory_usage_V=usage_V)
    return replace(
        empty,
        cpu_samples_VT=cast(Array, cpu_VN[:, :HISTORY_MINUTES]),
        storage_samples_MT=cast(Array, storage_MN[:, :HISTORY_MINUTES]),
    )
