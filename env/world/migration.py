"""Live migration: how long it takes, and what it loads meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..model.plan import Move


@dataclass(frozen=True)
class WorldSettings:
    """Constants of the simulated world. Each is marked measured or assumed, with its source."""

    base_seconds: float = 7.0  # measured: OpenStack, 10 GbE, shared storage (live_migration_openstack)
    seconds_per_gib: float = 2.3  # measured: the same, at `reference_bandwidth_gbps`
    reference_bandwidth_gbps: float = 10.0  # of that measurement
    bandwidth_gbps: float = 10.0  # assumed: the network of the simulated cluster
    concurrent_migrations: int = 2  # documented: Hotspot Mitigations for the Masses, SoCC 2019
    dirty_gbps_per_core: float = 0.1  # assumed: memory dirtied per busy core
    precopy_rounds: int = 10  # assumed: iterations of pre-copy before the VM is stopped
    dirty_ratio_limit: float = 0.9  # assumed: hypervisors throttle a VM that dirties faster
    busy_cores: float = 1.0  # assumed: cores taken on source and on target while a migration runs
    relocalization_share: float = 0.2  # assumed: more storage demand while the cache follows the VM
    relocalization_minutes: int = 15  # assumed
    boot_minutes: int = 1  # assumed: from power-on to service, for VMs that arrive
    maintenance_notice_minutes: int = 120  # assumed: then a host is serviced, whether or not it has been emptied
    restart_minutes: int = 3  # assumed: to notice that a host has failed, and to start its VMs elsewhere


def migration_seconds(cost_gib: float, cpu_cores: float, world: WorldSettings) -> float:
    """Duration of one live migration.

    Pre-copy with dirty rate r over bandwidth b, ratio = r / b: memory / b * (1 - ratio^(n+1)) / (1 - ratio).
    Source: Kherbache et al., IEEE TCC 2017; the constants are measured (see `WorldSettings`).

    Args:
        cost_gib: memory (and vGPU memory) to copy.
        cpu_cores: demand of the VM; it sets how fast memory is dirtied.
        world: bandwidth, base time and dirty rate.
    """
    copy_seconds = cost_gib * world.seconds_per_gib * world.reference_bandwidth_gbps / world.bandwidth_gbps
    ratio = min(world.dirty_ratio_limit, world.dirty_gbps_per_core * cpu_cores / world.bandwidth_gbps)
    return world.base_seconds + copy_seconds * (1 - ratio ** (world.precopy_rounds + 1)) / (1 - ratio)


class Outcome(StrEnum):
    """What became of a move."""

    RUNNING = "running"
    DONE = "done"
    DROPPED = "dropped"  # not allowed any more when its turn came, or cut off by what happened meanwhile


@dataclass(frozen=True)
class MoveRecord:
    """One move as it was carried out; times in seconds since the start of the day.

    Attributes:
        plan: running number of the executed plan it belongs to, from 1.
    """

    move: Move
    start_seconds: float
    end_seconds: float
    outcome: Outcome
    detail: str = ""
    plan: int = 0
