"""The K candidate moves put before a policy: allowed by the rules, worth a look, and spread over sources and targets.

Three kinds of move can help, and the shortlist holds all three:

    relief      out of a host whose demand is over or near a threshold in some scenario of the outlook
    evacuation  out of a host in maintenance, or one whose memory is overfull
    room        out of a host that could then take a VM of a hot host ("make room")

First the movables are ranked by what their leaving brings, against its cost; then the targets of each, by the
contention they would get and then by CPU and memory. Slots go to (movable, target) pairs along the diagonal of these
two ranks: the best movables get several targets, others their best one. Not offered are VMs that a VM-VM affinity rule
ties to another one on their host (R5), and VMs that the plan has moved already.

Shapes: K slots (without *stop*), N ranked movables, G movables on hot hosts; J, B as in `view.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ..model.cluster import MEMORY, NOWHERE, RESOURCES, TOLERANCE, Array, BoolArray, IntArray
from ..model.contention import must_leave_M
from ..model.rules import allowed_moves_MH, check_move
from ..model.state import State
from .headroom import keeps_reservation_MH, must_be_searched_M
from .view import TREND, WEIGHT_B, PlanView, RoundView

SLOTS = 64  # K
NEAR = 0.9  # of a threshold: while no host is above it in any scenario, the round is quiet; assumed
RELIEF_LEVEL = 0.7  # of a threshold: what lies above it is worth taking away, as demand may grow
RELIEF_ROWS, ROOM_ROWS = 48, 8  # movables ranked for relief (or evacuation) and for room
HOT_ROWS = 16  # movables that room is made for
ROW_STEP = 0.08  # how many target ranks one rank of a movable counts
COST_SHARE = 0.2  # of the mean migration cost is added to each, as a move is never for nothing
EXCESS_WEIGHT = 10.0  # of excess against utilization, where targets are ranked
# The last six are the best of a dozen variants on training days of Bitbrains and the synthetic trace, 6 to 12 hosts. Of
# the clairvoyant planner's moves the list holds 50 %, of its movables 64 % (Bitbrains, by worth), the others being VMs
# whose demand is yet to rise. Bound to this list, that planner does as well: 45 and 33 % of the cost of doing nothing,
# against 48 and 31 % with all moves.


class Kind(IntEnum):
    """Why a move is on the list."""

    NONE = 0  # an empty slot
    RELIEF = 1
    EVACUATION = 2
    ROOM = 3


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Candidate moves; slot 0 (stop) is not among them, so the move of slot k is at k - 1.

    Attributes:
        movable_K: movable of each candidate, -1 where the slot is empty; shape (K,).
        target_K: its target host, -1 where the slot is empty; shape (K,).
        kind_K: its `Kind`; shape (K,).
        mask_S: allowed slots, slot 0 (stop) always among them; shape (K + 1,).
    """

    movable_K: IntArray
    target_K: IntArray
    kind_K: IntArray
    mask_S: BoolArray

    def move(self, slot: int) -> tuple[int, int] | None:
        """The move of a slot as (m, target index); None for stop and for slots that are not allowed."""
        if slot == 0 or not self.mask_S[slot]:
            return None
        return int(self.movable_K[slot - 1]), int(self.target_K[slot - 1])

    @property
    def is_empty(self) -> bool:
        """Whether stop is the only choice."""
        return not self.mask_S[1:].any()


def shortlist(view: PlanView, slots: int = SLOTS) -> Shortlist:
    """The shortlist after the moves chosen so far.

    Args:
        view: the cluster after these moves.
        slots: K, the number of candidates at most.
    """
    if is_quiet(view):
        return _listed(np.zeros((0, 3), dtype=np.int64), slots)
    state, fixed = view.state, view.round
    allowed_MH = allowed_moves_MH(state)
    must_search_M = must_be_searched_M(state) & fixed.is_ha_enforced
    if fixed.is_ha_enforced:
        allowed_MH &= keeps_reservation_MH(state, view.slack) | must_search_M[:, None]
    gain_M = gain_of_leaving(view)
    room_M = room_for(ranked(gain_M, fixed, is_hot_M(view), HOT_ROWS), gain_M, state)
    kind_M = kinds(view, room_M)
    is_wanted_M = fixed.is_free_M & (state.host_of_M == fixed.start.host_of_M) & allowed_MH.any(axis=1)
    relief = ranked(gain_M, fixed, is_wanted_M, RELIEF_ROWS)
    is_wanted_M[relief] = False
    room = ranked(room_M, fixed, is_wanted_M, ROOM_ROWS)

    rows = np.concatenate([relief, room])
    badness_NH = target_badness(rows, view)
    badness_NH[~allowed_MH[rows]] = np.inf
    row_P, target_P = diagonal(badness_NH, np.concatenate([np.arange(relief.size), np.arange(room.size)]), slots)
    picks_P3 = np.stack([rows[row_P], target_P, kind_M[rows[row_P]]], axis=1)
    if must_search_M.any():
        is_kept_P = [
            not (must_search_M[m] and check_move(state, m, h, is_ha_enforced=True)) for m, h, _ in picks_P3.tolist()
        ]
        picks_P3 = picks_P3[np.array(is_kept_P, dtype=np.bool_)]
    return _listed(picks_P3, slots)


def all_pairs(view: PlanView, slots: int) -> Shortlist:
    """Every (movable, host) pair as a candidate, m * H + h being the slot after stop; for small clusters.

    The mask is `check_move` of every pair, but for VMs tied to others by R5, which stay.

    Raises:
        ValueError: there are more pairs than slots.
    """
    state, fixed = view.state, view.round
    M, H = fixed.inventory.movable_count, fixed.inventory.host_count
    if slots < M * H:
        raise ValueError(f"pairs of {M} movables and {H} hosts need {M * H} slots, there are {slots}")
    allowed_MH = allowed_moves_MH(state) & fixed.is_free_M[:, None]
    if fixed.is_ha_enforced:
        for m, h in np.argwhere(allowed_MH).tolist():
            allowed_MH[m, h] = not check_move(state, m, h, is_ha_enforced=True)
    gain_M = gain_of_leaving(view)
    kind_M = kinds(view, room_for(np.flatnonzero(is_hot_M(view)), gain_M, state))
    m_P, h_P = np.divmod(np.arange(M * H), max(H, 1))
    listed = _listed(np.stack([m_P, h_P, kind_M[m_P]], axis=1), slots)
    listed.mask_S[1 : 1 + M * H] = allowed_MH.ravel()
    return listed


def is_quiet(view: PlanView) -> bool:
    """Whether no host is near a threshold in any scenario, none lacks memory and none is to be emptied.

    A host that swaps although the needs fit is quiet: its memory is shared anew within minutes, without a move.
    """
    return not near_H(view).any() and not must_leave_M(view.state).any()


def near_H(view: PlanView) -> BoolArray:
    """Up hosts over or near a threshold in some scenario; shape (H,)."""
    is_near_H = (view.used_HJB > NEAR * view.round.threshold_HJ[:, :, None]).any(axis=(1, 2))
    return np.asarray(is_near_H & view.round.inventory.is_up_H)


def is_hot_M(view: PlanView) -> BoolArray:
    """Movables on hosts that must be relieved, which room is made for; shape (M,)."""
    host_of_M = view.state.host_of_M
    return np.asarray((near_H(view)[host_of_M] & (host_of_M != NOWHERE)) | must_leave_M(view.state))


def gain_of_leaving(view: PlanView) -> Array:
    """What it brings when a movable leaves its host: 1 where it must, else the relief; shape (M,)."""
    fixed = view.round
    pressure_HJB = view.used_HJB / fixed.threshold_HJ[:, :, None]
    relief_M = relief_of_leaving(pressure_HJB, fixed.demand_MJB, fixed.threshold_HJ, view.state)
    return np.where(must_leave_M(view.state), 1.0, relief_M)


def kinds(view: PlanView, room_M: Array) -> IntArray:
    """The kind of every movable's moves, should they be listed; shape (M,)."""
    is_room_M = (room_M > 0) & ~is_hot_M(view)
    return np.where(must_leave_M(view.state), Kind.EVACUATION, np.where(is_room_M, Kind.ROOM, Kind.RELIEF))


def relief_of_leaving(pressure_HJB: Array, demand_MJB: Array, threshold_HJ: Array, state: State) -> Array:
    """What a movable's leaving takes off the excess of its host, in host thresholds; 0 on hosts without; shape (M,).

    The excess of a host is the weighted mean over the outlook of what its pressure (demand / threshold) has above
    `RELIEF_LEVEL`, so a VM larger than the excess counts no more than one just large enough.
    """
    gain_M = np.zeros(len(demand_MJB))
    excess_HJ = excess(pressure_HJB)
    is_hot_H = (excess_HJ > 0).any(axis=1) & state.inventory.is_up_H
    leaving = np.flatnonzero(is_hot_H[state.host_of_M] & (state.host_of_M != NOWHERE))
    host_G = state.host_of_M[leaving]
    after_GJB = pressure_HJB[host_G] - demand_MJB[leaving] / threshold_HJ[host_G][:, :, None]
    gain_M[leaving] = (excess_HJ[host_G] - excess(after_GJB)).sum(axis=1)
    return gain_M


def excess(pressure_XJB: Array) -> Array:
    """Weighted mean over the outlook of the pressure above `RELIEF_LEVEL`; the shape without B."""
    over = pressure_XJB - RELIEF_LEVEL
    return np.asarray(np.maximum(over, 0.0, out=over) @ WEIGHT_B)


def ranked(gain_M: Array, fixed: RoundView, is_possible_M: BoolArray, rows: int) -> IntArray:
    """The movables with some gain, at most `rows`, by gain / sqrt(cost): halfway between gain and gain per GiB."""
    some = np.flatnonzero((gain_M > 0) & is_possible_M)
    worth_N = gain_M[some] / np.sqrt(fixed.cost_M[some] + COST_SHARE * fixed.mean_cost_gib + TOLERANCE)
    return np.asarray(some[np.argsort(-worth_N, kind="stable")[:rows]])


def room_for(hot: IntArray, gain_M: Array, state: State) -> Array:
    """For every movable, the best gain of a hot movable that could take its place if it left, else 0; shape (M,).

    Counted are places that the hot movable cannot take now for want of CPU, memory or storage (R1, R8); other rules
    that keep it off are left to the next step of the plan.

    Args:
        hot: indices of the movables to make room for; shape (G,).
    """
    inventory, host_M = state.inventory, state.host_of_M
    is_place_GH = np.zeros((hot.size, inventory.host_count), dtype=np.bool_)
    fits_GM = np.ones((hot.size, host_M.size), dtype=np.bool_)
    for r in range(RESOURCES):
        short_GH = state.used_HR[:, r] + state.demand_MR[hot, r, None] - inventory.limit_HR[:, r]
        is_place_GH |= short_GH > 0
        fits_GM &= short_GH[:, host_M] <= state.demand_MR[:, r]
    is_place_GH &= inventory.is_allowed_MH[hot] & inventory.is_up_H
    is_place_GH[np.arange(hot.size), host_M[hot]] = False
    fits_GM &= is_place_GH[:, host_M] & (host_M != NOWHERE)
    return np.where(fits_GM, gain_M[hot][:, None], 0.0).max(axis=0, initial=0.0)


def target_badness(rows: IntArray, view: PlanView) -> Array:
    """How ill a host would bear a movable: the excess it would have, then CPU and memory; shape (N, H)."""
    state, fixed = view.state, view.round
    capacity_H = fixed.inventory.capacity_HR[:, MEMORY]
    after_NHJB = (view.used_HJB + fixed.demand_MJB[rows][:, None]) / fixed.threshold_HJ[:, :, None]
    memory_NH = (state.used_HR[:, MEMORY] + state.demand_MR[rows, MEMORY, None]) / capacity_H
    return np.asarray((after_NHJB[:, :, 0, TREND] + memory_NH) / 2 + EXCESS_WEIGHT * excess(after_NHJB).sum(axis=2))


def diagonal(badness_NH: Array, rank_N: IntArray, slots: int) -> tuple[IntArray, IntArray]:
    """Rows and columns of the finite entries with the lowest sum of column rank and row rank; at most `slots` each."""
    order_NH = np.argsort(badness_NH, axis=1, kind="stable")
    column_rank_NH = np.empty(badness_NH.shape)
    np.put_along_axis(column_rank_NH, order_NH, np.arange(badness_NH.shape[1])[None, :] * 1.0, axis=1)
    sum_NH = np.where(np.isfinite(badness_NH), column_rank_NH + ROW_STEP * rank_N[:, None], np.inf)
    best = np.argsort(sum_NH, axis=None, kind="stable")[:slots]
    best = best[np.isfinite(sum_NH.ravel()[best])]
    return np.divmod(best, badness_NH.shape[1])


def _listed(picks_P3: IntArray, slots: int) -> Shortlist:
    """(movable, target, kind) rows as a shortlist with empty slots at its end."""
    movable_K, target_K = np.full(slots, -1), np.full(slots, -1)
    kind_K = np.full(slots, int(Kind.NONE))
    P = len(picks_P3)
    movable_K[:P], target_K[:P], kind_K[:P] = picks_P3.T
    mask_S = np.zeros(slots + 1, dtype=np.bool_)
    mask_S[: P + 1] = True
    return Shortlist(movable_K, target_K, kind_K, mask_S)
