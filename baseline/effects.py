"""What the moves of a plan bring: the hosts they touch, before and after each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..env.model.cluster import CPU, MEMORY, RESOURCES, STORAGE, TOLERANCE
from ..env.model.contention import Contention, ContentionKind
from ..env.model.plan import Move, Plan, dense_move
from ..env.model.state import State

RESOURCE_NAMES = {CPU: "CPU", MEMORY: "memory", STORAGE: "storage controller"}
RESOURCE_OF = {ContentionKind.CPU: CPU, ContentionKind.STORAGE_CPU: STORAGE, ContentionKind.MEMORY_SWAP: MEMORY}


@dataclass(frozen=True)
class Change:
    """Utilization of a host before and after, by resource (CPU, memory, storage controller)."""

    host: str
    before_R: tuple[float, ...]
    after_R: tuple[float, ...]

    @property
    def figures(self) -> str:
        """What changes, for people: "CPU 90.2% to 74.1%, memory 60.0% to 55.2%"."""
        pairs = zip(RESOURCE_NAMES.values(), self.before_R, self.after_R, strict=True)
        changed = [
            f"{what} {before:.1%} to {after:.1%}" for what, before, after in pairs if abs(before - after) > TOLERANCE
        ]
        return ", ".join(changed) or "nothing changes"


@dataclass(frozen=True)
class Step:
    """One move of a plan with what it brings; `number` counts from 1."""

    number: int
    move: Move
    source: Change
    target: Change
    effect: str


def steps_of(state: State, plan: Plan) -> tuple[tuple[Step, ...], State]:
    """Every move of a plan with what it brings, and the state after them."""
    steps = []
    for i, move in enumerate(plan.moves):
        m, target = dense_move(state, move)
        after = state.moved(m, target)
        source = change_of(state, after, state.inventory.host_index[move.source])
        effect = _effect(state, move, source, plan.contentions)
        steps.append(Step(i + 1, move, source, change_of(state, after, target), effect))
        state = after
    return tuple(steps), state


def hottest(state: State) -> str:
    """The host that is nearest to a threshold, and how far below: a sentence."""
    inventory, settings = state.inventory, state.inventory.settings
    threshold_R = {CPU: settings.cpu_threshold, STORAGE: settings.storage_cpu_threshold}
    up = np.flatnonzero(inventory.is_up_H)
    if up.size == 0:
        return "no host is up"
    share_of = {(int(h), r): state.utilization_HR[h, r] / threshold_R[r] for r in threshold_R for h in up}
    h, r = max(share_of, key=lambda key: share_of[key])
    used, threshold = float(state.utilization_HR[h, r]), threshold_R[r]
    below = f"{100 * (threshold - used):.1f} points below its threshold of {threshold:.1%}"
    return f"the hottest host is {inventory.hosts[h].id}: {RESOURCE_NAMES[r]} {used:.1%}, {below}"


def _effect(state: State, move: Move, source: Change, found: Sequence[Contention]) -> str:
    """The move's reason with the figures of its source, threshold by threshold where it is contended."""
    figures = []
    for contention in found:
        if contention.host == move.source and contention.kind in RESOURCE_OF:
            r = RESOURCE_OF[contention.kind]
            threshold = 1.0 if r == MEMORY else contention.threshold
            pair = f"{source.before_R[r]:.1%} to {source.after_R[r]:.1%}"
            if abs(source.before_R[r] - source.after_R[r]) > TOLERANCE:
                figures.append(f"{RESOURCE_NAMES[r]} {pair}, {'limit' if r == MEMORY else 'threshold'} {threshold:.1%}")
    return f"{move.reason or 'moves'} ({'; '.join(figures) or source.figures})"


def change_of(before: State, after: State, h: int) -> Change:
    """What changes on host h."""
    return Change(before.inventory.hosts[h].id, shares_of(before, h), shares_of(after, h))


def differs(change: Change) -> bool:
    """Whether anything changes."""
    return any(abs(b - a) > TOLERANCE for b, a in zip(change.before_R, change.after_R, strict=True))


def shares_of(state: State, h: int) -> tuple[float, ...]:
    """Utilization of host h by resource."""
    return tuple(float(state.utilization_HR[h, r]) for r in range(RESOURCES))
