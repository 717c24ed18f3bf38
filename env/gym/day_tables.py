"""What telemetry will show at each look of a day, worked out once: demand does not depend on who is where.

A cluster that is played again, as those of a pool are, finds the table of its day ready. Shapes: T blocks of five
minutes, Q looks (a look at the beginning of each round).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model.cluster import Array
from ..model.compiled import bare, kernel
from ..world.arrays import TELEMETRY_MINUTES, Day
from ..world.start_kernels import trend
from ..world.trace import Float32Array
from ..world.workload import DAY_MINUTES
from .look_arrays import BLOCK_MINUTES


class DayTables(NamedTuple):
    """Demand of all that may be on, cores."""

    trend_QMJ: Array  # at the looks
    block_TMJ: Array  # means of five minutes; the first block is at `history_minutes % BLOCK_MINUTES`


def tables_of(day: Day, round_minutes: int) -> DayTables:
    """The tables of a day, for looks every `round_minutes` minutes; 1.4 MB with 204 movables."""
    N, M, J = day.demand_NMJ.shape
    tables = DayTables(
        trend_QMJ=np.zeros((DAY_MINUTES // round_minutes + 2, M, J)),
        block_TMJ=np.zeros(((N - day.history_minutes % BLOCK_MINUTES) // BLOCK_MINUTES, M, J)),
    )
    _fill(day, tables, round_minutes, np.zeros(TELEMETRY_MINUTES, dtype=np.float32))
    return tables


@kernel
def _fill(day: Day, tables: DayTables, round_minutes: int, window_T: Float32Array) -> None:
    """Fills the tables."""
    Q, M, J = tables.trend_QMJ.shape
    for q in range(Q):
        end = day.history_minutes + min(q * round_minutes, DAY_MINUTES)
        for m in range(M):
            for j in range(J):
                tables.trend_QMJ[q, m, j] = trend(day.demand_NMJ, window_T, m, j, end - day.trend_minutes, end)
    for t in range(tables.block_TMJ.shape[0]):
        first = day.history_minutes % BLOCK_MINUTES + t * BLOCK_MINUTES
        for m in range(M):
            for j in range(J):
                tables.block_TMJ[t, m, j] = block_mean(day.demand_NMJ, m, j, first)


@bare
def block_mean(demand_NMJ: Float32Array, m: int, j: int, first: int) -> float:
    """Mean demand of the five minutes from `first`."""
    total = 0.0
    for i in range(BLOCK_MINUTES):
        total += demand_NMJ[first + i, m, j]
    return total / BLOCK_MINUTES
