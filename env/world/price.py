"""What a move costs by itself, whatever it brings: the memory it copies and the cores that are busy with it."""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, Array
from ..model.compiled import inlined
from ..model.cost import migration_cost_M
from ..model.state import State
from .migration import WorldSettings, migration_seconds


def move_price_M(state: State, world: WorldSettings) -> Array:
    """What moving each movable costs by itself, core-minutes; shape (M,)."""
    return price_of(migration_cost_M(state), state.demand_MR[:, CPU], world)


def price_of(cost_M: Array, cores_M: Array, world: WorldSettings) -> Array:
    """GiB copied, and the cores busy on both sides meanwhile, core-minutes; shape (M,).

    Args:
        cost_M: migration cost, GiB.
        cores_M: CPU demand of each movable, cores.
        world: constants of migration.
    """
    minutes_M = np.array([migration_seconds(c, d, world) / 60 for c, d in zip(cost_M, cores_M, strict=True)])
    # A busy core costs only where the host is over its threshold; the source of a worthwhile move mostly is.
    return np.asarray(cost_M + world.busy_cores * minutes_M)


def pricing_of(world: WorldSettings) -> Array:
    """The constants that `move_price` needs, in its order; shape (6,)."""
    seconds_per_gib = world.seconds_per_gib * world.reference_bandwidth_gbps / world.bandwidth_gbps
    dirty_per_core = world.dirty_gbps_per_core / world.bandwidth_gbps
    figures = [world.base_seconds, seconds_per_gib, dirty_per_core, world.dirty_ratio_limit]
    return np.array([*figures, world.precopy_rounds, world.busy_cores], dtype=np.float64)


@inlined
def move_price(cost_gib: float, cores: float, pricing: Array) -> float:
    """The twin of `price_of` for one movable, core-minutes; `pricing` is that of `pricing_of`."""
    ratio = pricing[2] * cores
    if ratio > pricing[3]:
        ratio = pricing[3]
    rest = ratio
    for _ in range(int(pricing[4])):
        rest *= ratio
    seconds = pricing[0] + cost_gib * pricing[1] * (1 - rest) / (1 - ratio)
    return cost_gib + pricing[5] * seconds / 60
