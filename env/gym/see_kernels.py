"""A look at a cluster in numba: what telemetry shows is taken from the tables of its day, and a plan begins.

Most looks come a round after another one, and demand is all that has changed since: then blocks of the hour that both
have in common move up, on movables and on hosts, and only the new ones are read and added up.
"""

from __future__ import annotations

from numba.typed import List

from ..model.cluster import CPU, MEMORY, STORAGE, Array
from ..model.compiled import bare, inlined
from ..world.clock_kernels import DAY_MINUTES
from ..world.memory_kernels import needed_gib
from .begin_kernels import begin_again, begin_into
from .clump_kernels import are_as_before
from .day_tables import block_mean
from .look_arrays import BLOCK_MINUTES, BLOCKS, MOVES, TREND
from .seat_kernels import seat_at

HOUR = BLOCKS * BLOCK_MINUTES
NOTHING_SEEN = -1
"""`seen_minute` of a cluster whose arrays do not show the demand of an earlier minute."""


@inlined
def see(seats: List, e: int) -> None:
    """Looks at what telemetry shows now: memory, and demand of the last hour; a plan without moves begins."""
    seat = seat_at(seats, e)
    control, minute = seat.control[0], seat.now.clock[0].minute
    news = _news(seats, e, minute)
    is_same = news > 0 and _is_same(seats, e)
    if not is_same:
        _see_memory(seats, e, minute)
    if news > 0:
        _roll_demand(seats, e, minute, news)
    else:
        _see_demand(seats, e, minute)
    control.seen_minute = minute if minute % BLOCK_MINUTES == 0 else NOTHING_SEEN
    if control.has_outlook:
        _foresee(seats, e)
        is_same, control.seen_minute = False, NOTHING_SEEN
    minute_of_day = (control.first_minute + minute) % DAY_MINUTES
    if is_same:
        begin_again(seat.fixed, seat.look, seat.plan, news, minute_of_day)
    else:
        begin_into(seat.fixed, seat.look, seat.plan, seat.scratch, seat.now.host_of_M, seat.swap_V, minute_of_day, True)


@bare
def _news(seats: List, e: int, minute: int) -> int:
    """How many blocks of the hour the last look has not shown; 0 where all are to be read."""
    seat = seat_at(seats, e)
    seen = seat.control[0].seen_minute
    if seen == NOTHING_SEEN or minute % BLOCK_MINUTES or not seen < minute < seen + HOUR:
        return 0
    if not are_as_before(seat.fixed, seat.look, seat.now.host_of_M):
        return 0  # the arrays show the demand of a lead's others on the lead
    return (minute - seen) // BLOCK_MINUTES


@bare
def _is_same(seats: List, e: int) -> bool:
    """Whether all is where the last look found it, and no memory is shared."""
    seat = seat_at(seats, e)
    if seat.plan.number_X[MOVES] > 0 or seat.day.overcommit.size > 0:
        return False
    moved = 0
    for m in range(seat.now.host_of_M.size):
        moved += seat.now.host_of_M[m] != seat.look.home_M[m]
    return moved == 0


@bare
def _see_memory(seats: List, e: int, minute: int) -> None:
    """What VMs need, and what of it is swapped out, GiB."""
    seat = seat_at(seats, e)
    for v in range(seat.need_V.size):
        need_gib = needed_gib(seat.day, v, minute)
        seat.swap_V[v] = 0.0
        if seat.day.slot_V[v] >= 0 and seat.now.host_of_M[v] >= 0:
            usage_gib = min(need_gib, seat.now.physical_V[v])
            seat.swap_V[v] = need_gib - usage_gib
            need_gib = usage_gib + seat.swap_V[v]
        seat.need_V[v] = min(need_gib, seat.day.configured_V[v])


@bare
def _see_demand(seats: List, e: int, minute: int) -> None:
    """`outlook_into` from the tables of the day."""
    seat = seat_at(seats, e)
    look, end = seat.look, seat.day.history_minutes + minute
    trend_MJ = seat.tables.trend_QMJ[-(-minute // seat.control[0].round_minutes)]
    block_TMJ, first = seat.tables.block_TMJ, (end - HOUR) // BLOCK_MINUTES
    is_tabled = minute % BLOCK_MINUTES == 0  # else the rounds are no multiples of five minutes
    for m in range(look.demand_MR.shape[0]):
        is_on = seat.fixed.is_on_M[m]
        for j in range(2):
            look.demand_MJB[m, j, TREND] = trend_MJ[m, j] if is_on else 0.0
            for b in range(BLOCKS):
                look.demand_MJB[m, j, 1 + b] = block_TMJ[first + b, m, j] if is_on and is_tabled else 0.0
                if is_on and not is_tabled:
                    begin = end - HOUR + b * BLOCK_MINUTES
                    look.demand_MJB[m, j, 1 + b] = block_mean(seat.day.demand_NMJ, m, j, begin)
        _note_resources(look.demand_MR, look.demand_MJB, seat.need_V, m, is_on)


@bare
def _roll_demand(seats: List, e: int, minute: int, news: int) -> None:
    """The same where the last look has shown all but so many blocks."""
    seat = seat_at(seats, e)
    look, demand_MJB = seat.look, seat.look.demand_MJB
    trend_MJ = seat.tables.trend_QMJ[-(-minute // seat.control[0].round_minutes)]
    old = BLOCKS - news
    first = (seat.day.history_minutes + minute - HOUR) // BLOCK_MINUTES + old
    block_TMJ = seat.tables.block_TMJ[first : first + news]
    for m in range(demand_MJB.shape[0]):
        is_on = seat.fixed.is_on_M[m]
        for j in range(2 if is_on else 0):
            for b in range(1, 1 + old):
                demand_MJB[m, j, b] = demand_MJB[m, j, b + news]
            for b in range(news):
                demand_MJB[m, j, 1 + old + b] = block_TMJ[b, m, j]
            demand_MJB[m, j, TREND] = trend_MJ[m, j]
        _note_resources(look.demand_MR, demand_MJB, seat.need_V, m, is_on)


@inlined
def _note_resources(demand_MR: Array, demand_MJB: Array, need_V: Array, m: int, is_on: bool) -> None:
    """What the rules judge by."""
    demand_MR[m, CPU] = demand_MJB[m, 0, TREND]
    demand_MR[m, MEMORY] = need_V[m] if is_on and m < need_V.size else 0.0
    demand_MR[m, STORAGE] = demand_MJB[m, 1, TREND]


@bare
def _foresee(seats: List, e: int) -> None:
    """Puts the forecast in the place of the last hour; `forecast_into`."""
    seat = seat_at(seats, e)
    seat.control[0].is_foreseen = False
    for m in range(seat.forecast_MJB.shape[0]):
        for j in range(2):
            for b in range(BLOCKS):
                seat.look.demand_MJB[m, j, 1 + b] = seat.forecast_MJB[m, j, b] if seat.fixed.is_on_M[m] else 0.0
