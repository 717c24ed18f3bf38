"""The K candidate moves put before a policy: allowed by the rules, worth a look, and spread over sources and targets.

Three kinds of move can help, and the shortlist holds all three:

    relief      out of a host whose demand is over or near a threshold in some scenario of the outlook
    evacuation  out of a host in maintenance, or one whose memory is overfull
    room        out of a host that could then take a VM of a hot host ("make room")

They come from four families (`families.py`): relief, cover, worth and room rank movables by what their leaving brings,
and then the targets of each. Slots go to (movable, target) pairs, the families in turn. VMs that a VM-VM affinity rule
ties to one another on their host (R5) are offered as one, by their lead (see `clumps.py`). Not offered are those that
cannot be moved so, and VMs that the plan has moved already.

Shapes: K slots (without *stop*), N ranked movables, G movables on hot hosts; J, B as in `view.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ..model.cluster import MEMORY, NOWHERE, RESOURCES, TOLERANCE, Array, BoolArray, IntArray
from ..model.contention import must_leave_M
from ..model.rules import check_move
from ..model.state import State
from .families import by_cover, cover_of_leaving, diagonal_pairs, in_turn, node_score_NH, worth_pairs
from .headroom import keeps_reservation_MH, must_be_searched_M
from .look_arrays import (
    BLOCK_WEIGHT,
    COST_SHARE,
    COVER_ROWS,
    COVER_SHARE,
    COVER_STEP,
    EXCESS_WEIGHT,
    HOT_ROWS,
    IS_SLACK_STALE,
    NEAR,
    RELIEF_LEVEL,
    RELIEF_ROWS,
    RELIEF_SHARE,
    ROOM_ROWS,
    ROOM_SHARE,
    ROOM_STEP,
    ROW_STEP,
    TREND,
    TREND_WEIGHT,
    WORTH_SHARE,
)
from .look_kernels import ASK, list_moves_into
from .view import PlanView, RoundView

SLOTS = 64  # K
SHARES = (RELIEF_SHARE, COVER_SHARE, WORTH_SHARE, ROOM_SHARE)


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
    look, arrays = view.round.look, view.arrays
    arrays.is_stale_H[:], arrays.number_X[IS_SLACK_STALE] = True, 1  # another view may have used the scratch arrays
    listed = _listed(np.zeros((0, 3), dtype=np.int64), slots)
    slots_of = (listed.movable_K, listed.target_K, listed.kind_K, listed.mask_S)
    if list_moves_into(look.fixed, look.now, arrays, look.scratch, *slots_of) == ASK:
        return reference_shortlist(view, slots)
    return listed


def reference_shortlist(view: PlanView, slots: int = SLOTS) -> Shortlist:
    """The same without kernels; it also knows the answer where these cannot tell (see `look_kernels.py`)."""
    if is_quiet(view):
        return _listed(np.zeros((0, 3), dtype=np.int64), slots)
    state, fixed = view.state, view.round
    allowed_MH = fixed.clumps.allowed_moves_MH(state, fixed.is_free_M)
    must_search_M = must_be_searched_M(state) & fixed.is_ha_enforced
    if fixed.is_ha_enforced:
        allowed_MH &= keeps_reservation_MH(state, view.slack) | must_search_M[:, None]
    picks_P2 = in_turn(_families(view, allowed_MH, slots), SHARES, slots)
    if must_search_M.any():
        is_kept_P = [
            not (must_search_M[m] and check_move(state, m, h, is_ha_enforced=True)) for m, h in picks_P2.tolist()
        ]
        picks_P2 = picks_P2[np.array(is_kept_P, dtype=np.bool_)]
    kind_M = kinds(view, room_of_leaving(view))
    return _listed(np.column_stack([picks_P2, kind_M[picks_P2[:, 0]]]), slots)


def _families(view: PlanView, allowed_MH: BoolArray, slots: int) -> list[tuple[IntArray, IntArray]]:
    """Ordered (movable, target) pairs of relief, cover, worth and room, `slots` of each at most."""
    fixed = view.round
    is_wanted_M = may_leave_M(view) & allowed_MH.any(axis=1)
    cover_M = cover_of_leaving(view)
    relief = ranked(gain_of_leaving(view), fixed, is_wanted_M, RELIEF_ROWS)
    cover = by_cover(cover_M, view, is_wanted_M, COVER_ROWS)
    room = ranked(room_of_leaving(view), fixed, is_wanted_M & (cover_M <= 0), ROOM_ROWS)
    return [
        diagonal_pairs(relief, target_badness(relief, view), allowed_MH, ROW_STEP, slots),
        diagonal_pairs(cover, node_score_NH(cover, view), allowed_MH, COVER_STEP, slots),
        worth_pairs(relief, view, allowed_MH, slots),
        diagonal_pairs(room, node_score_NH(room, view), allowed_MH, ROOM_STEP, slots),
    ]


def may_leave_M(view: PlanView) -> BoolArray:
    """Movables that are free to move and have not done so; shape (M,)."""
    return np.asarray(view.round.is_free_M & (view.state.host_of_M == view.round.start.host_of_M))


def room_of_leaving(view: PlanView) -> Array:
    """What it may bring that a movable makes room: `room_for` movables of contended hosts, else of hot ones; (M,)."""
    gain_M, cover_M, may_leave = gain_of_leaving(view), cover_of_leaving(view), may_leave_M(view)
    hot = by_cover(cover_M, view, may_leave, HOT_ROWS)
    if not hot.size:
        hot = ranked(gain_M, view.round, is_hot_M(view) & may_leave, HOT_ROWS)
    return room_for(hot, gain_M, view.state)


def all_pairs(view: PlanView, slots: int) -> Shortlist:
    """Every (movable, host) pair as a candidate, m * H + h being the slot after stop; for small clusters.

    The mask is `check_move` of every pair; of VMs that R5 ties together, the pairs of their lead stand for all.

    Raises:
        ValueError: there are more pairs than slots.
    """
    state, fixed = view.state, view.round
    M, H = fixed.inventory.movable_count, fixed.inventory.host_count
    if slots < M * H:
        raise ValueError(f"pairs of {M} movables and {H} hosts need {M * H} slots, there are {slots}")
    allowed_MH = fixed.clumps.allowed_moves_MH(state, fixed.is_free_M)
    if fixed.is_ha_enforced:
        for m, h in np.argwhere(allowed_MH).tolist():
            allowed_MH[m, h] = not fixed.clumps.check_moves(view.by_vm, m, h, is_ha_enforced=True)
    kind_M = kinds(view, room_for(np.flatnonzero(is_hot_M(view)), gain_of_leaving(view), state))
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
    relief_M = relief_of_leaving(view.used_HJB, fixed.demand_MJB, fixed.threshold_HJ, view.state)
    return np.where(must_leave_M(view.state), 1.0, relief_M)


def kinds(view: PlanView, room_M: Array) -> IntArray:
    """The kind of every movable's moves, should they be listed; shape (M,)."""
    is_room_M = (room_M > 0) & ~is_hot_M(view)
    return np.where(must_leave_M(view.state), Kind.EVACUATION, np.where(is_room_M, Kind.ROOM, Kind.RELIEF))


def relief_of_leaving(used_HJB: Array, demand_MJB: Array, threshold_HJ: Array, state: State) -> Array:
    """What a movable's leaving takes off the excess of its host, in host thresholds; 0 on hosts without; shape (M,).

    The excess of a host is the weighted mean over the outlook of what its pressure (demand / threshold) has above
    `RELIEF_LEVEL`, so a VM larger than the excess counts no more than one just large enough.
    """
    gain_M = np.zeros(len(demand_MJB))
    excess_HJ = excess(used_HJB, threshold_HJ)
    is_hot_H = (excess_HJ > 0).any(axis=1) & state.inventory.is_up_H
    leaving = np.flatnonzero(is_hot_H[state.host_of_M] & (state.host_of_M != NOWHERE))
    host_G = state.host_of_M[leaving]
    after_GJ = excess(used_HJB[host_G] - demand_MJB[leaving], threshold_HJ[host_G])
    gain_M[leaving] = (excess_HJ[host_G] - after_GJ).sum(axis=1)
    return gain_M


def excess(used_XJB: Array, threshold_XJ: Array) -> Array:
    """Weighted mean over the outlook of the pressure above `RELIEF_LEVEL`; shape (X, J).

    Added up in four sums as the kernels do it: rounding must not tell equals apart.
    """
    over = np.maximum(used_XJB - (RELIEF_LEVEL * threshold_XJ)[..., None], 0.0)
    a, b, c, d = ((over[..., i] + over[..., i + 4]) + over[..., i + 8] for i in range(1, 5))
    return np.asarray((TREND_WEIGHT * over[..., TREND] + BLOCK_WEIGHT * ((a + b) + (c + d))) / threshold_XJ)


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
    share_GM = np.ones((hot.size, host_M.size))
    for r in range(RESOURCES):
        short_GH = state.used_HR[:, r] + state.demand_MR[hot, r, None] - inventory.limit_HR[:, r]
        is_place_GH |= short_GH > 0
        short_GM = short_GH[:, host_M]
        is_short_GM = short_GM > state.demand_MR[:, r]
        part_GM = np.where(is_short_GM, state.demand_MR[:, r] / np.where(is_short_GM, short_GM, 1.0), 1.0)
        share_GM = np.minimum(share_GM, part_GM)
    is_place_GH &= inventory.is_allowed_MH[hot] & inventory.is_up_H
    is_place_GH[np.arange(hot.size), host_M[hot]] = False
    share_GM[~(is_place_GH[:, host_M] & (host_M != NOWHERE))] = 0.0
    return (share_GM * gain_M[hot][:, None]).max(axis=0, initial=0.0)


def target_badness(rows: IntArray, view: PlanView) -> Array:
    """How ill a host would bear a movable: the excess it would have, then CPU and memory; shape (N, H)."""
    state, fixed = view.state, view.round
    capacity_H = fixed.inventory.capacity_HR[:, MEMORY]
    after_NHJB = view.used_HJB + fixed.demand_MJB[rows][:, None]
    threshold_NHJ = np.broadcast_to(fixed.threshold_HJ, after_NHJB.shape[:3])
    cpu_NH = after_NHJB[:, :, 0, TREND] / threshold_NHJ[:, :, 0]
    memory_NH = (state.used_HR[:, MEMORY] + state.demand_MR[rows, MEMORY, None]) / capacity_H
    return np.asarray((cpu_NH + memory_NH) / 2 + EXCESS_WEIGHT * excess(after_NHJB, threshold_NHJ).sum(axis=2))


def _listed(picks_P3: IntArray, slots: int) -> Shortlist:
    """(movable, target, kind) rows as a shortlist with empty slots at its end."""
    movable_K, target_K = np.full(slots, -1), np.full(slots, -1)
    kind_K = np.full(slots, int(Kind.NONE))
    P = len(picks_P3)
    movable_K[:P], target_K[:P], kind_K[:P] = picks_P3.T
    mask_S = np.zeros(slots + 1, dtype=np.bool_)
    mask_S[: P + 1] = True
    return Shortlist(movable_K, target_K, kind_K, mask_S)
