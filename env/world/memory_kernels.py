"""Overcommitted memory in numba: the twin of `share_memory`, `Present.need_V` and of what telemetry shows of memory."""

from __future__ import annotations

from ..model.cluster import TOLERANCE, Array
from ..model.compiled import bare, inlined
from .arrays import Day, Log, Now


@inlined
def needed_gib(day: Day, v: int, minute: int) -> float:
    """Memory that a VM needed in the minute before this one, GiB; all of it where not overcommitted."""
    slot = day.slot_V[v]
    if slot < 0:
        return day.need_V[v]
    row = min(day.history_minutes + minute - 1, day.need_NO.shape[0] - 1)
    return day.need_NO[row, slot]


@inlined
def shown_gib(day: Day, now: Now, v: int, minute: int) -> float:
    """Memory need of a VM as telemetry shows it, usage and swap added up, GiB; 0 for a VM that is off."""
    if not now.is_on_M[v]:
        return 0.0
    need_gib = needed_gib(day, v, minute)
    if day.slot_V[v] < 0 or now.host_of_M[v] < 0:
        return need_gib
    usage_gib = min(need_gib, now.physical_V[v])
    return min(day.configured_V[v], usage_gib + (need_gib - usage_gib))


@bare
def share_anew(day: Day, now: Now, log: Log, minute: int) -> None:
    """Every host shares its memory anew, apart from what is held for VMs on their way to it; `share_memory`."""
    if day.overcommit.size == 0:
        return
    host_HX = now.work.host_HX
    room_H, sums_H3, share_H3 = host_HX[:, 0], host_HX[:, 1:4], host_HX[:, 4:7]
    host_HX[:] = 0.0
    H = room_H.size
    for h in range(H):
        room_H[h] = day.memory_gib_H[h]
    for v in range(day.configured_V.size):
        is_running = now.host_of_M[v] >= 0 and now.is_on_M[v]
        now.physical_V[v] = day.configured_V[v] if is_running else 0.0
        if is_running and day.slot_V[v] < 0:
            room_H[now.host_of_M[v]] -= day.configured_V[v]
    for h in range(H):
        room_H[h] = max(room_H[h], 0.0)
    for a in range(now.clock[0].active):
        move = log[now.active_A[a]]
        if move.m < day.configured_V.size:
            room_H[move.target] -= needed_gib(day, move.m, minute)
    for v in day.overcommit:  # sums: minimums, needs, all that is configured
        h = now.host_of_M[v]
        if h >= 0 and now.is_on_M[v]:
            sums_H3[h, 0] += day.minimum_V[v]
            sums_H3[h, 1] += _wanted_gib(day, now, v, minute)
            sums_H3[h, 2] += day.configured_V[v]
    for h in range(H):
        room_gib = max(room_H[h], 0.0)
        share_H3[h, 0] = _reached(room_gib, sums_H3[h, 0])
        share_H3[h, 1] = _reached(room_gib - sums_H3[h, 0], sums_H3[h, 1] - sums_H3[h, 0])
        share_H3[h, 2] = _reached(room_gib - sums_H3[h, 1], sums_H3[h, 2] - sums_H3[h, 1])
    _hand_out(day, now, share_H3, minute)


@inlined
def _hand_out(day: Day, now: Now, share_H3: Array, minute: int) -> None:
    """Gives overcommit VMs the shares that their hosts reach of minimum, need and configured memory."""
    for v in day.overcommit:
        h = now.host_of_M[v]
        if h >= 0 and now.is_on_M[v]:
            floor, wanted = day.minimum_V[v], _wanted_gib(day, now, v, minute)
            given_gib = share_H3[h, 0] * floor + share_H3[h, 1] * (wanted - floor)
            now.physical_V[v] = given_gib + share_H3[h, 2] * (day.configured_V[v] - wanted)


@inlined
def _wanted_gib(day: Day, now: Now, v: int, minute: int) -> float:
    """What a VM should have, GiB: its need, from the minimum to all that is configured."""
    return min(max(needed_gib(day, v, minute), day.minimum_V[v]), day.configured_V[v])


@inlined
def _reached(room_gib: float, needed: float) -> float:
    """Share of what is needed that there is room for, 0 to 1; 1 where nothing is needed."""
    return min(max(room_gib / needed, 0.0), 1.0) if needed > TOLERANCE else 1.0


@inlined
def swapped_gib(day: Day, now: Now, v: int, minute: int) -> float:
    """Memory of an overcommit VM that is swapped out in a minute, GiB."""
    row = min(day.history_minutes + minute, day.need_NO.shape[0] - 1)
    return max(day.need_NO[row, day.slot_V[v]] - now.physical_V[v], 0.0)
