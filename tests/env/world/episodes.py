"""Days built by hand, small enough to compute: constant demand or one value a minute, and whatever happens in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from quell.env.model.cluster import NOWHERE, Host, Inventory, PlacementRule, Session, Settings, Vm, make_cluster
from quell.env.model.plan import Plan, Status, moves_of
from quell.env.model.state import state_of
from quell.env.world.events import Event
from quell.env.world.migration import WorldSettings
from quell.env.world.simulator import Simulator
from quell.env.world.workload import Episode

HISTORY = 120
DAY = 1440
QUICK = WorldSettings(dirty_gbps_per_core=0.0)  # a migration takes 7 s + 2.3 s/GiB, nothing else


def build_episode(
    cpu: Sequence[float | np.ndarray] = (20.0, 20.0, 5.0),
    homes: Sequence[int] = (0, 0, 1),
    memory_gib: Sequence[float] | None = None,
    storage: float = 0.5,
    hosts: int | Sequence[Host] = 2,
    host_memory_gib: float = 256.0,
    rules: Sequence[PlacementRule] = (),
    sessions: int = 0,
    *,
    closed_sessions: int = 0,
    vms: Mapping[int, Mapping[str, object]] | None = None,
    need_gib: Mapping[int, float | np.ndarray] | None = None,
    arriving: Sequence[int] = (),
    events: Sequence[Event] = (),
    **inventory: object,
) -> Episode:
    """Hosts of 40 cores and 8 controller cores; VMs with constant demand, or one value a minute of the day.

    Args:
        sessions: open ones, all of one volume group, on host 0; `closed_sessions` more open when an event says so.
        vms: what is special about some VMs (fields of `Vm`).
        need_gib: memory that overcommit VMs need, constant or one value a minute of the day; they get no minimum
            unless `vms` gives one.
        arriving: VMs that are off and nowhere until they arrive.
    """
    V, needs = len(cpu), dict(need_gib or {})
    memory_gib = memory_gib or [8.0] * V
    made = [Vm(f"vm-{v}", 32, memory_gib[v], is_overcommit=v in needs, is_on=v not in arriving) for v in range(V)]
    for v, special in (vms or {}).items():
        made[v] = replace(made[v], **special)  # type: ignore[arg-type]
    listed = tuple(Host(f"host-{h}", 40, host_memory_gib, 8) for h in range(hosts)) if isinstance(hosts, int) else hosts
    opened = [Session(f"session-{s}", "group", is_on=s < sessions) for s in range(sessions + closed_sessions)]
    inventory_ = Inventory(tuple(listed), tuple(made), tuple(opened), tuple(rules), **inventory)  # type: ignore[arg-type]
    cpu_VN = np.stack([_held(demand) for demand in cpu])
    storage_MN = np.full((V + len(opened), HISTORY + DAY), storage, dtype=np.float32)
    need_VN = np.stack([_held(needs.get(v, 0.0)) for v in range(V)])
    at = [NOWHERE if v in arriving else home for v, home in enumerate(homes)]
    at += [0] * sessions + [NOWHERE] * closed_sessions
    cluster = make_cluster(
        inventory_, at, cpu_VN[:, :HISTORY], storage_MN[:, :HISTORY], memory_usage_V=need_VN[:, HISTORY - 1]
    )
    return Episode(
        cluster,
        cpu_VN,
        storage_MN,
        seed=0,
        day_name="by hand",
        vm_names=(),
        history_minutes=HISTORY,
        memory_VN=need_VN if needs else None,
        events=tuple(sorted(events)),
    )


def _held(demand: float | np.ndarray) -> np.ndarray:
    """Demand of the day with its first value as history; shape (N,)."""
    values_N = np.zeros(HISTORY + DAY, dtype=np.float32)
    values_N[HISTORY:] = demand
    values_N[:HISTORY] = values_N[HISTORY]
    return values_N


def plan_for(simulator: Simulator, *dense: tuple[int, int]) -> Plan:
    """A plan of these (VM, host) moves in the simulator's present state."""
    moves = moves_of(state_of(simulator.cluster()), dense)
    return Plan("by hand", "test", Status.PLANNED, "", moves=moves, cost_gib=sum(m.cost_gib for m in moves))


def squeezed_episode(growth_gib: float = 20.0, settings: Settings | None = None) -> Episode:
    """Two hosts of 64 GiB; two overcommit VMs of 48 GiB on the first need 20 GiB each, one more from minute 30.

    With the default growth the needs just fit, 60 of 64 GiB, once memory is shared anew.
    """
    growing_T = np.concatenate([np.full(30, 20.0), np.full(DAY - 30, 20.0 + growth_gib)])
    return build_episode(
        cpu=(5, 5, 5),
        homes=(0, 0, 1),
        memory_gib=(48, 48, 8),
        host_memory_gib=64.0,
        need_gib={0: 20.0, 1: growing_T},
        settings=settings or Settings(),
    )
