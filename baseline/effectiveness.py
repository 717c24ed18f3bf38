"""What earlier moves have taught: how much of the relief that is predicted can be expected to come true.

The documents say that the effectiveness of migrations is judged and learned from, and leave open how. Ours: every
verdict on a relief (see `env/model/effectiveness.py`), clipped to 0..1, is evidence for the kind of contention and for
each VM that had a part in it, kept and missed: 0.3 adds 0.3 to the one and 0.7 to the other. All evidence halves with
every half-life. With the counts k and n of kept and of all, and weights of the trust that comes before evidence,

    expected of a kind           = (k + kind_trust) / (n + kind_trust)
    expected of a kind and a VM  = (k + vm_trust * expected of the kind) / (n + vm_trust)

so what is new is trusted, and a VM nobody has moved is judged by others. The price of a move is its cost divided by
what is expected of it: GiB for each core that stays away as predicted. Where not even the best move of the cheapest
plan is expected to bring more than a floor, the planner refrains until the evidence has faded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ..env.model.cluster import TOLERANCE, Array
from ..env.model.contention import Contention, ContentionKind
from ..env.model.cost import migration_cost_M
from ..env.model.effectiveness import KIND_OF_R, PlanOutcome
from ..env.model.plan import MoveKind
from ..env.model.state import State

BISECTIONS = 40  # of the share of evidence that is left; far finer than a minute


@dataclass(frozen=True)
class EffectivenessSettings:
    """How fast is learned and forgotten. The documents give no figures: all of these are assumed."""

    half_life_hours: float = 6.0  # assumed: evidence counts half after it
    vm_trust: float = 1.0  # assumed: verdicts that weigh as much as what is expected of the kind
    kind_trust: float = 4.0  # assumed: verdicts that weigh as much as the trust in a kind never seen
    floor_share: float = 0.2  # assumed: expected effectiveness below which a plan is not worth trying


@dataclass(frozen=True)
class Evidence:
    """Verdicts so far, faded to `time`: relief that was kept and that was missed, each verdict weighing 1."""

    time: datetime
    kept: float = 0.0
    missed: float = 0.0

    def faded(self, time: datetime, half_life_hours: float) -> Evidence:
        """The same evidence as it weighs at another time; never more than it does."""
        hours = max(0.0, (time - self.time).total_seconds() / 3600)
        share = 0.5 ** (hours / half_life_hours)
        return Evidence(time, self.kept * share, self.missed * share)


_Key = tuple[ContentionKind, MoveKind, str] | ContentionKind


class EffectivenessRecord:
    """Evidence by kind of contention, and by kind and VM (or session); belongs to one planner on one cluster.

    Args:
        settings: how fast is learned and forgotten.
    """

    def __init__(self, settings: EffectivenessSettings | None = None) -> None:
        self.settings = settings or EffectivenessSettings()
        self._evidence: dict[_Key, Evidence] = {}

    def learn(self, outcome: PlanOutcome) -> None:
        """Takes over the verdict on a plan."""
        for relief in outcome.reliefs:
            self._add(relief.kind, outcome.ended, relief.measured / relief.predicted)
        for move in outcome.moves:
            for relief in move.reliefs:
                self._add((relief.kind, move.kind, move.id), outcome.ended, relief.measured / relief.predicted)

    def price_M(self, state: State, found: Sequence[Contention], time: datetime) -> Array | None:
        """What moving each movable should count as, GiB: its cost / what is expected of it; shape (M,).

        None where all prices are costs. Only what would relieve a contention of its host is dearer: the others make
        room or empty a host, and nothing is expected of them.
        """
        if not self._evidence:
            return None
        expected_M = np.ones(state.inventory.movable_count)
        for m in np.flatnonzero(state.host_of_M >= 0):
            kinds = _relieved_kinds(state, int(m), found)
            if kinds:
                expected_M[m] = self._expected(state, int(m), kinds, time)
        if np.all(expected_M > 1 - TOLERANCE):
            return None
        return np.asarray(migration_cost_M(state) / expected_M)

    def why_refrain(
        self, state: State, found: Sequence[Contention], dense: Sequence[tuple[int, int]], time: datetime
    ) -> str | None:
        """Why a plan is not worth trying, with figures; None where it is.

        Args:
            state: before the plan.
            found: contentions it is to resolve; a host in maintenance is emptied whatever was learned.
            dense: its moves: movables and targets.
            time: now.
        """
        relieving = [(m, kinds) for m in sorted({m for m, _ in dense}) if (kinds := _relieved_kinds(state, m, found))]
        if not relieving or any(c.kind is ContentionKind.MAINTENANCE for c in found):
            return None

        def best(share: float) -> float:
            return max(self._expected(state, m, kinds, time, share) for m, kinds in relieving)

        if best(1.0) >= self.settings.floor_share:
            return None
        kept_share = self._kept_share(state, relieving, time)
        again = time + timedelta(minutes=math.floor(60 * self._hours_until(best)) + 1)
        return (
            f"moves like these kept away {kept_share:.0%} of what was predicted, so {best(1.0):.0%} is expected of the "
            f"next, less than {self.settings.floor_share:.0%}; waits until {again:%H:%M} before trying again"
        )

    def _add(self, key: _Key, time: datetime, effectiveness: float) -> None:
        """Adds one verdict to the evidence."""
        kept = min(1.0, max(0.0, effectiveness))
        known = self._known(key, time)
        self._evidence[key] = Evidence(time, known.kept + kept, known.missed + 1 - kept)

    def _known(self, key: _Key, time: datetime) -> Evidence:
        """The evidence of a key, faded to a time."""
        known = self._evidence.get(key)
        return Evidence(time) if known is None else known.faded(time, self.settings.half_life_hours)

    def _expected(
        self, state: State, m: int, kinds: Sequence[ContentionKind], time: datetime, share: float = 1.0
    ) -> float:
        """What can be expected of a move that relieves these kinds, were only a share of the evidence left; 0 to 1."""
        total = 0.0
        for kind in kinds:
            of_kind, of_vm = self._known(kind, time), self._known(_key(state, m, kind), time)
            expected = _mean(of_kind, share, self.settings.kind_trust, 1.0)
            total += _mean(of_vm, share, self.settings.vm_trust, expected)
        return total / len(kinds)

    def _kept_share(
        self, state: State, relieving: Sequence[tuple[int, Sequence[ContentionKind]]], time: datetime
    ) -> float:
        """Share of the predicted relief that moves of these VMs kept away so far, else that moves of any VM did."""
        of_vms = [self._known(_key(state, m, kind), time) for m, kinds in relieving for kind in kinds]
        of_kinds = [self._known(kind, time) for _, kinds in relieving for kind in kinds]
        for known in (of_vms, of_kinds):
            total = sum(e.kept + e.missed for e in known)
            if total > 0:
                return sum(e.kept for e in known) / total
        return 1.0

    def _hours_until(self, best: Callable[[float], float]) -> float:
        """Time until so little of the evidence is left that the floor is reached."""
        little, much = 0.0, 1.0
        for _ in range(BISECTIONS):
            middle = (little + much) / 2
            little, much = (middle, much) if best(middle) >= self.settings.floor_share else (little, middle)
        return self.settings.half_life_hours * math.log2(1 / much)


def _relieved_kinds(state: State, m: int, found: Sequence[Contention]) -> tuple[ContentionKind, ...]:
    """The kinds of contention of its host that the leaving of a movable would relieve."""
    host = state.inventory.hosts[state.host_of_M[m]].id
    kinds = {c.kind for c in found if c.host == host}
    return tuple(
        k for k, demand in zip(KIND_OF_R, state.demand_MR[m], strict=True) if k in kinds and demand > TOLERANCE
    )


def _key(state: State, m: int, kind: ContentionKind) -> _Key:
    """Where evidence of a kind and a movable is kept."""
    moved = MoveKind.VM if m < state.inventory.vm_count else MoveKind.SESSION
    return kind, moved, state.inventory.movable_id(m)


def _mean(evidence: Evidence, share: float, trust: float, trusted: float) -> float:
    """The mean verdict, with a number of trusted ones added, were only a share of the evidence left."""
    kept, missed = evidence.kept * share, evidence.missed * share
    return (kept + trust * trusted) / (kept + missed + trust)
