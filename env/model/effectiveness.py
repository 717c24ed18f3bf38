"""What a plan was predicted to keep away, and what it did keep away.

The excess of a host is demand above its threshold, in cores of CPU and of its storage controller, and memory needed
above what it has, in GiB. A plan's moves are judged twice:

    predicted relief = excess before - excess after the moves, on the estimated demand the plan was made on
    measured relief  = excess there would be without the moves - excess there is, on the demand seen since its end

The second puts the VMs back on their sources in thought: a spike that went away by itself leaves nothing to relieve,
and a host that others fill up again does not speak against the plan. Excess that arrivals cause on their targets is
taken off.
Effectiveness = measured / predicted; above 1 where demand grew after the plan, below 0 where the moves did harm.

A GiB of missing memory counts like a core, as in the cost of a day. Memory has no samples: its need now stands for the
time since the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from .cluster import CPU, MEMORY, NOWHERE, RESOURCES, STORAGE, TOLERANCE, Array, Cluster, IntArray, Inventory
from .contention import ContentionKind
from .plan import MoveKind
from .state import State

KIND_OF_R = (ContentionKind.CPU, ContentionKind.MEMORY_SWAP, ContentionKind.STORAGE_CPU)
"""The kind of contention that a lack of each resource is."""


@dataclass(frozen=True)
class Relief:
    """Excess of one kind on one host: how much of it the plan was to keep away and did, cores or GiB."""

    kind: ContentionKind
    host: str
    predicted: float
    measured: float


@dataclass(frozen=True)
class MoveOutcome:
    """A move that was carried out, and the reliefs of its source that it has a part in.

    `reliefs` is empty where there is no verdict: the move made room for others or emptied a host, or what was moved
    has left, failed or moved again before it could be judged.
    """

    kind: MoveKind
    id: str
    source: str
    target: str
    reliefs: tuple[Relief, ...] = ()

    @property
    def effectiveness(self) -> float | None:
        """Measured / predicted relief; None where there is no verdict."""
        return _effectiveness(self.reliefs)


@dataclass(frozen=True)
class PlanOutcome:
    """What came of a plan.

    Attributes:
        plan: its running number.
        ended: when its last move ended.
        reliefs: by host and resource; those that were predicted.
        moves: what was carried out, one entry for each VM and session.
    """

    plan: int
    ended: datetime
    reliefs: tuple[Relief, ...]
    moves: tuple[MoveOutcome, ...]

    @property
    def effectiveness(self) -> float | None:
        """Measured / predicted relief of the whole plan; None where there is no verdict."""
        return _effectiveness(self.reliefs)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a verdict on a plan needs to know of the time before it.

    Attributes:
        plan: its running number.
        before: the state the plan was made on.
        moves: (movable, target host) of the moves that were carried out, in order.
        ended: when the last of them ended.
    """

    plan: int
    before: State
    moves: tuple[tuple[int, int], ...]
    ended: datetime


def outcome_of(prediction: Prediction, now: Cluster, minutes: int) -> PlanOutcome:
    """The verdict on a plan.

    Args:
        prediction: the plan, and what was known before it.
        now: the cluster after it; where everything now is counts for the whole time since the plan.
        minutes: how many of the newest samples were taken since the plan ended, >= 1.
    """
    before, inventory = prediction.before, prediction.before.inventory
    target_of_M = before.host_of_M.copy()
    for m, target in prediction.moves:
        target_of_M[m] = target
    moved = np.unique(np.array([m for m, _ in prediction.moves], dtype=np.int64))
    judged = moved[_is_judged(prediction, now, moved, target_of_M)]
    reliefs_HR = _reliefs(before, now, judged, target_of_M, minutes)
    return PlanOutcome(
        plan=prediction.plan,
        ended=prediction.ended,
        reliefs=tuple(relief for row in reliefs_HR for relief in row if relief is not None),
        moves=tuple(
            MoveOutcome(
                MoveKind.VM if m < inventory.vm_count else MoveKind.SESSION,
                inventory.movable_id(int(m)),
                inventory.hosts[before.host_of_M[m]].id,
                inventory.hosts[target_of_M[m]].id,
                _part_in(before, int(m), reliefs_HR[before.host_of_M[m]]) if m in judged else (),
            )
            for m in moved
        ),
    )


def _is_judged(prediction: Prediction, now: Cluster, moved: IntArray, target_of_M: IntArray) -> np.ndarray:
    """Which of the moved still run where the plan put them, and could stand on their sources; shape as `moved`."""
    sources = prediction.before.host_of_M[moved]
    is_still_there = (now.host_of_M[moved] == target_of_M[moved]) & now.inventory.is_on_M[moved]
    return is_still_there & prediction.before.inventory.is_up_H[sources] & now.inventory.is_up_H[sources]


def _reliefs(
    before: State, now: Cluster, judged: IntArray, target_of_M: IntArray, minutes: int
) -> list[list[Relief | None]]:
    """Predicted and measured relief by host and resource; None where none was predicted."""
    inventory = before.inventory
    after_of_M, without_of_M = before.host_of_M.copy(), now.host_of_M.copy()
    after_of_M[judged], without_of_M[judged] = target_of_M[judged], before.host_of_M[judged]
    demand_TMR = _demand_since(now, minutes)
    predicted_HR = (
        _excess_THR(inventory, before.demand_MR[None], before.host_of_M)
        - _excess_THR(inventory, before.demand_MR[None], after_of_M)
    )[0]
    measured_HR = (
        _excess_THR(now.inventory, demand_TMR, without_of_M) - _excess_THR(now.inventory, demand_TMR, now.host_of_M)
    ).mean(axis=0)
    is_relief_HR = predicted_HR > TOLERANCE
    harm = float(np.minimum(measured_HR[~is_relief_HR], 0.0).sum())  # <= 0: excess that arrivals caused
    total = float(predicted_HR[is_relief_HR].sum())
    return [
        [
            Relief(
                KIND_OF_R[r],
                host.id,
                float(predicted_HR[h, r]),
                float(measured_HR[h, r] + harm * predicted_HR[h, r] / total),
            )
            if is_relief_HR[h, r]
            else None
            for r in range(RESOURCES)
        ]
        for h, host in enumerate(inventory.hosts)
    ]


def _excess_THR(inventory: Inventory, demand_TMR: Array, host_of_M: IntArray) -> Array:
    """Demand above what each host may be asked for, 0 where it is not up; shape (T, H, R)."""
    is_there_M = inventory.is_on_M & (host_of_M != NOWHERE)
    on_HM = (host_of_M[None, :] == np.arange(inventory.host_count)[:, None]) & is_there_M
    used_THR = on_HM.astype(np.float64) @ demand_TMR
    return np.asarray(np.maximum(used_THR - inventory.limit_HR, 0.0) * inventory.is_up_H[None, :, None])


def _demand_since(now: Cluster, minutes: int) -> Array:
    """Demand in the newest minutes of telemetry; shape (T, M, R)."""
    V, M = now.inventory.vm_count, now.inventory.movable_count
    T = min(minutes, max(now.cpu_samples_VT.shape[1], now.storage_samples_MT.shape[1]))
    demand_TMR = np.zeros((T, M, RESOURCES))
    demand_TMR[:, :V, CPU] = _newest(now.cpu_samples_VT, T).T
    demand_TMR[:, :V, MEMORY] = now.memory_need_V
    demand_TMR[:, :, STORAGE] = _newest(now.storage_samples_MT, T).T
    return demand_TMR


def _newest(samples_NT: Array, minutes: int) -> Array:
    """The newest samples, the mean of a row's others in place of a missing one, 0 where it has none; (N, minutes)."""
    there_NT = samples_NT[:, -minutes:]
    newest_NT = np.full((len(samples_NT), minutes), np.nan)
    newest_NT[:, minutes - there_NT.shape[1] :] = there_NT
    is_missing_NT = np.isnan(newest_NT)
    count_N = np.maximum((~is_missing_NT).sum(axis=1), 1)
    mean_N = np.where(is_missing_NT, 0.0, newest_NT).sum(axis=1) / count_N
    return np.where(is_missing_NT, mean_N[:, None], newest_NT)


def _part_in(before: State, m: int, reliefs_R: Sequence[Relief | None]) -> tuple[Relief, ...]:
    """The reliefs of its source that a movable with this demand has a part in."""
    demand_R = before.demand_MR[m]
    return tuple(r for demand, r in zip(demand_R, reliefs_R, strict=True) if r is not None and demand > TOLERANCE)


def _effectiveness(reliefs: Sequence[Relief]) -> float | None:
    """Measured / predicted relief of all together, raw; None where there are none."""
    predicted = sum(relief.predicted for relief in reliefs)
    return sum(relief.measured for relief in reliefs) / predicted if predicted > 0 else None
