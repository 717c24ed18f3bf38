"""The clock in numba: minutes are metered, migrations start, run and end, up to what only Python can do.

The numpy twin is `reference_clock.py`; both play the same arrays (`arrays.py`) and stop for the same reasons:

    ENDED   the minute that was asked for has come
    HAPPEN  something happens at the start of this minute by itself, or resizes are due
    START   whether the next move may start is hard to tell: Python starts what may start at this second

After HAPPEN and START whoever called does what is due and calls again.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import TOLERANCE, Array, IntArray
from ..model.compiled import bare, inlined, kernel
from .arrays import Day, Fate, Log, Now, Pace, Term
from .memory_kernels import share_anew, swapped_gib
from .start_kernels import NO, YES, may_start, trend

ENDED, HAPPEN, START = 0, 1, 2

TICK_SECONDS = 60.0
DAY_MINUTES = 1440
OVERLOAD, UNSERVED, SWAP, MIGRATION = int(Term.OVERLOAD), int(Term.UNSERVED), int(Term.SWAP), int(Term.MIGRATION)
RUNNING, DONE, DROPPED = int(Fate.RUNNING), int(Fate.DONE), int(Fate.DROPPED)


@kernel
def play(day: Day, pace: Pace, now: Now, log: Log, end_minute: int) -> int:
    """Plays minutes up to `end_minute` of the day, or to what Python must do; returns why it stopped."""
    return play_on(day, pace, now, log, end_minute)


@bare
def play_on(day: Day, pace: Pace, now: Now, log: Log, end_minute: int) -> int:
    """`play`, for other kernels."""
    clock = now.clock[0]
    is_shared = day.overcommit.size > 0
    while clock.minute < end_minute:
        start, until = clock.minute, clock.minute + 1
        if clock.is_inside or clock.active > 0 or clock.head < clock.end:
            if not clock.is_inside:
                find_rows(now, start, until)
                load_of(day, pace, now, log, start)
            if not _migrate(day, pace, now, log):
                return START
            _meter(day, now, start)
        else:
            until = min(end_minute, max(clock.next_happening, until))
            if is_shared:
                until = min(until, (start // day.memory_minutes + 1) * day.memory_minutes)
            _play_quietly(day, pace, now, log, start, until)
        clock.minute = until
        _forget(now, log)
        if _is_asked(now):
            return HAPPEN
        if is_shared and until < DAY_MINUTES and until % day.memory_minutes == 0:
            share_anew(day, now, log, until)
    return ENDED


@inlined
def _is_asked(now: Now) -> bool:
    """Whether something is due in Python at the start of this minute."""
    clock = now.clock[0]
    if clock.has_resizes and clock.active == 0 and clock.head == clock.end:
        return True
    return clock.minute < DAY_MINUTES and (clock.is_watched or clock.minute >= clock.next_happening)


@bare
def _play_quietly(day: Day, pace: Pace, now: Now, log: Log, start: int, until: int) -> None:
    """Minutes in which nothing moves and nothing happens."""
    known = start
    for minute in range(start, until):
        if minute == known:
            known = find_rows(now, minute, until)
        load_of(day, pace, now, log, minute)
        _meter(day, now, minute)


@inlined
def find_rows(now: Now, minute: int, until: int) -> int:
    """Finds the row of `load_HK` that each movable loads; returns the minute up to which it stays there."""
    H, V, row_M = now.state_H.size, now.ready_minute_V.size, now.work.row_M
    for m in range(row_M.size):
        h, ready = now.host_of_M[m], now.ready_minute_V[m] if m < V else 0
        row_M[m] = (H if h < 0 or ready > minute else h) if now.is_on_M[m] else H + 1
        if ready > minute and ready < until:
            until = ready
    return until


@inlined
def load_of(day: Day, pace: Pace, now: Now, log: Log, minute: int) -> None:
    """Demand on each host in a minute, into `load_HK`; books what is on and does not run."""
    load_HK, row_M = now.load_HK, now.work.row_M
    demand_MJ, H = day.demand_NMJ[day.history_minutes + minute], now.state_H.size
    load_HK[:] = 0.0
    for m in range(row_M.size):
        row = row_M[m]
        load_HK[row, 0] += demand_MJ[m, 0]
        load_HK[row, 1] += demand_MJ[m, 1]
    now.cost_4[UNSERVED] += load_HK[H, 0] + load_HK[H, 1]
    for i in range(now.clock[0].first_settling, now.clock[0].head):
        if log[i].outcome == DONE and log[i].settling_minute <= minute < log[i].settled_minute:
            h = now.host_of_M[log[i].m]
            if h >= 0:
                load_HK[h, 1] += pace.relocalization_share * np.float64(demand_MJ[log[i].m, 1])


@bare
def _meter(day: Day, now: Now, minute: int) -> None:
    """Books a minute with the load in `load_HK`."""
    clock, load_HK, used_HK = now.clock[0], now.load_HK, now.used_THK[minute]
    has_swap, swap_H, contended = day.overcommit.size > 0, now.work.host_HX[:, 0], 0
    if has_swap:
        _swap_into(day, now, minute, swap_H)
    overload, unserved = now.cost_4[OVERLOAD], now.cost_4[UNSERVED]
    for h in range(used_HK.shape[0]):
        used_HK[h, 0], used_HK[h, 1] = load_HK[h, 0], load_HK[h, 1]
        is_contended = has_swap and swap_H[h] > TOLERANCE
        for k in range(2):
            load = load_HK[h, k]
            if load > day.threshold_HK[h, k]:
                is_contended = True
                overload += load - day.threshold_HK[h, k]
                unserved += max(load - day.capacity_HK[h, k], 0.0)
        contended += is_contended
    now.cost_4[OVERLOAD], now.cost_4[UNSERVED] = overload, unserved
    clock.contended_host_minutes += contended
    clock.waiting_vm_minutes += clock.waiting
    clock.evacuation_host_minutes += clock.to_empty


@inlined
def _swap_into(day: Day, now: Now, minute: int, swap_H: Array) -> None:
    """Memory swapped out on each host, GiB; books it."""
    swap_H[:] = 0.0
    for v in day.overcommit:
        h = now.host_of_M[v]
        if now.is_on_M[v] and h >= 0 and now.ready_minute_V[v] <= minute:
            swap_H[h] += swapped_gib(day, now, v, minute)
    for h in range(swap_H.size):
        now.cost_4[SWAP] += swap_H[h]


@bare
def _migrate(day: Day, pace: Pace, now: Now, log: Log) -> bool:
    """The migrations of a minute; times are exact to the second. False where Python must start a move first."""
    clock = now.clock[0]
    end = (clock.minute + 1) * TICK_SECONDS
    if not clock.is_inside:
        clock.seconds = clock.minute * TICK_SECONDS
        clock.is_inside = True
    while True:
        if not clock.has_started and not _start_moves(day, pace, now, log):
            return False
        clock.has_started = False
        if clock.active == 0:
            break
        first = _first_to_end(now, log)
        until = min(log[now.active_A[first]].end_seconds, end)
        for a in range(clock.active):
            move = log[now.active_A[a]]
            share = pace.busy_cores * (until - clock.seconds) / TICK_SECONDS
            now.load_HK[now.host_of_M[move.m], 0] += share
            now.load_HK[move.target, 0] += share
        clock.seconds = until
        if log[now.active_A[first]].end_seconds > end:
            break
        _finish(day, pace, now, log, first, (end - until) / TICK_SECONDS)
    clock.is_inside = False
    return True


@inlined
def _first_to_end(now: Now, log: Log) -> int:
    """Place of the migration that ends first; of several the one that came first in its plan."""
    first = 0
    for a in range(1, now.clock[0].active):
        one, other = now.active_A[a], now.active_A[first]
        ends, best = log[one].end_seconds, log[other].end_seconds
        if ends < best or (ends == best and one < other):
            first = a
    return first


@inlined
def _start_moves(day: Day, pace: Pace, now: Now, log: Log) -> bool:
    """Starts queued moves while a slot is free; a move that must wait for one under way waits. False: Python must."""
    clock = now.clock[0]
    while clock.head < clock.end and clock.active < pace.concurrent:
        answer = may_start(day, now, log, clock.head, clock.minute)
        if answer == NO and clock.active > 0:
            return True
        if answer != YES:
            clock.is_refused = answer == NO
            return False  # the rest is dropped, with the reason in words, or only Python can tell
        move = log[clock.head]
        seen = day.history_minutes + clock.minute
        cores = trend(day.demand_NMJ, now.work.window_T, move.m, 0, seen - day.trend_minutes, seen)
        log[clock.head].outcome = RUNNING
        log[clock.head].start_seconds = clock.seconds
        log[clock.head].end_seconds = clock.seconds + copy_seconds(pace, move.cost_gib, cores)
        now.active_A[clock.active] = clock.head
        clock.active += 1
        clock.head += 1
        now.cost_4[MIGRATION] += move.cost_gib
        share_anew(day, now, log, clock.minute)
    return True


@inlined
def copy_seconds(pace: Pace, cost_gib: float, cpu_cores: float) -> float:
    """Duration of one live migration; the twin of `migration_seconds`."""
    ratio = min(pace.dirty_ratio_limit, pace.dirty_ratio_per_core * cpu_cores)
    stretch = (1 - ratio ** float(pace.precopy_rounds + 1)) / (1 - ratio)
    return pace.base_seconds + cost_gib * pace.seconds_per_gib * stretch


@inlined
def _finish(day: Day, pace: Pace, now: Now, log: Log, a: int, rest: float) -> None:
    """The VM runs on its target from now on: for the rest (a share) of this minute it loads that host."""
    clock, i = now.clock[0], now.active_A[a]
    m, target, at = log[i].m, log[i].target, day.history_minutes + clock.minute
    source = now.host_of_M[m]
    for k in range(2):
        load = rest * np.float64(day.demand_NMJ[at, m, k])
        now.load_HK[source, k] -= load
        now.load_HK[target, k] += load
    now.host_of_M[m] = target
    remove_active(now.active_A, clock.active, a)
    clock.active -= 1
    log[i].outcome = DONE
    log[i].settling_minute = clock.minute + 1
    log[i].settled_minute = clock.minute + 1 + pace.relocalization_minutes
    share_anew(day, now, log, clock.minute)
    if clock.active == 0 and clock.head == clock.end:
        clock.last_end_seconds = log[i].end_seconds


@bare
def remove_active(active_A: IntArray, count: int, a: int) -> None:
    """Takes one of the running migrations out, keeping the order of the others."""
    for i in range(a, count - 1):
        active_A[i] = active_A[i + 1]


@inlined
def _forget(now: Now, log: Log) -> None:
    """Passes over the moves whose caches have settled."""
    clock = now.clock[0]
    while clock.first_settling < clock.head:
        move = log[clock.first_settling]
        if move.outcome == RUNNING or (move.outcome == DONE and move.settled_minute > clock.minute):
            return
        clock.first_settling += 1
