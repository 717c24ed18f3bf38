"""The Acropolis Dynamic Scheduler, as its documents describe it: move only what contention makes necessary.

Demand is estimated from the trend of the last minutes; a host above a threshold, or one that swaps, is contended.
Without contention nothing moves, however skewed the cluster is. With contention the cheapest ordered plan that resolves
all of it by the rules is sought; if there is none, the planner refrains from moving anything and says why.

Moves that have proved ineffective count as dearer the next time, and where nothing better is to be had the planner
refrains for a while. Disabled, it finds and tells contentions and moves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..env.model.cluster import CPU, MEMORY, STORAGE, TOLERANCE, Array, Cluster
from ..env.model.contention import Contention, ContentionKind, contentions
from ..env.model.demand import Estimator, trend_estimate
from ..env.model.effectiveness import PlanOutcome
from ..env.model.memory import resizes
from ..env.model.plan import Plan, Status, moves_of
from ..env.model.state import State, state_of
from .effectiveness import EffectivenessRecord
from .mode import Mode
from .search import SearchLimits, SearchResult, search
from .search_in_time import search_in_time
from .warm_up import warm_up

PRICES = "prices that count how little of their predicted relief such moves kept away before"

RESOURCE_OF = {
    ContentionKind.CPU: (CPU, "CPU"),
    ContentionKind.STORAGE_CPU: (STORAGE, "storage controller"),
    ContentionKind.MEMORY_SWAP: (MEMORY, "memory"),
}


@dataclass(frozen=True)
class Ads:
    """Least-cost remediation of contention, all or nothing.

    Attributes:
        estimate: demand from samples.
        limits: when the search gives up; by default after a number of nodes, the same on every machine.
        is_interactive: whether somebody waits: search as long as `Settings.solve_limit_seconds` allows instead.
        mode: whether it acts on what it finds.
        record: what it has learned so far from the effectiveness of its plans; the one thing here that changes.
    """

    estimate: Estimator = trend_estimate
    limits: SearchLimits = field(default_factory=SearchLimits)
    is_interactive: bool = False
    mode: Mode = Mode.ENABLED
    record: EffectivenessRecord = field(default_factory=EffectivenessRecord, compare=False)
    name: str = "ads"
    observes_after_plan: bool = True

    def plan(self, cluster: Cluster) -> Plan:
        """The cheapest plan that resolves every contention, or why there is none."""
        if self.is_interactive:
            warm_up()  # compiling kernels must not come out of the seconds the search is allowed
        started = time.perf_counter()
        state = state_of(cluster, self.estimate)
        found = contentions(state)
        if not found:
            return uncontended(self.name, cluster, started)
        if self.mode is Mode.DISABLED:
            reason = f"disabled: {_count(len(found), 'contention')} found, nothing is moved"
            return self._refrained(cluster, found, reason, started)
        price_M = self.record.price_M(state, found, cluster.time)
        result = self._search(state, price_M)
        if result.moves is None:
            is_proven = result.is_proven_refusal
            return unresolved(self.name, cluster, found, result.reason, started, proven=is_proven)
        if why := self.record.why_refrain(state, found, result.moves, cluster.time):
            return self._refrained(cluster, found, why, started)
        known = result.reason if price_M is None else f"{result.reason}, by {PRICES}"
        is_proven = result.is_proven_optimal and price_M is None  # by prices, a dearer plan may have won
        return planned(self.name, cluster, state, found, result.moves, known, started, proven=is_proven)

    def learn(self, outcome: PlanOutcome) -> None:
        """Takes over the verdict on one of its plans."""
        self.record.learn(outcome)

    def unlearned(self) -> Ads:
        """The same planner before it has learned anything."""
        return replace(self, record=EffectivenessRecord(self.record.settings))

    def _search(self, state: State, price_M: Array | None) -> SearchResult:
        """The search, limited by the clock where somebody waits."""
        if self.is_interactive:
            return search_in_time(state, state.inventory.settings.solve_limit_seconds, price_M)
        return search(state, self.limits, price_M)

    def _refrained(self, cluster: Cluster, found: tuple[Contention, ...], reason: str, started: float) -> Plan:
        """No moves though there are contentions."""
        seconds = time.perf_counter() - started
        return Plan(cluster.name, self.name, Status.REFUSED, reason, found, solve_seconds=seconds)


def planned(
    planner: str,
    cluster: Cluster,
    state: State,
    found: tuple[Contention, ...],
    dense: Sequence[tuple[int, int]],
    known: str,
    started: float,
    *,
    proven: bool,
) -> Plan:
    """The plan for moves that were found.

    Args:
        planner: the name of who found them.
        cluster, state: before the plan.
        found: the contentions that the moves resolve.
        dense: (movable, target) in order.
        known: what is known about their cost, a clause.
        started: when the planner was asked, by `time.perf_counter`.
        proven: whether no valid plan is cheaper for certain.
    """
    moves = moves_of(state, dense, move_reasons(state, dense, found))
    after = state
    for m, target in dense:
        after = after.moved(m, target)
    resized = resizes(state, after)
    deeds = [_count(len(moves), "move")] if moves else []
    deeds += [_count(len(resized), "resize")] if resized else []
    cost_gib = sum(move.cost_gib for move in moves)
    reason = f"{' and '.join(deeds)} ({cost_gib:.1f} GiB) for {_count(len(found), 'contention')}; {known}"
    return Plan(
        cluster=cluster.name,
        planner=planner,
        status=Status.PLANNED,
        reason=reason,
        contentions=found,
        moves=moves,
        resizes=resized,
        cost_gib=cost_gib,
        solve_seconds=time.perf_counter() - started,
        proven=proven,
    )


def unresolved(
    planner: str, cluster: Cluster, found: tuple[Contention, ...], why: str, started: float, *, proven: bool
) -> Plan:
    """The refusal of a plan, for a reason that is a clause; whether it is proven that there is none."""
    verdict = "cannot be resolved" if len(found) == 1 else "cannot all be resolved"
    if not proven:
        verdict = "is not resolved" if len(found) == 1 else "are not resolved"
    reason = f"{_count(len(found), 'contention')} {verdict}: {why}"
    seconds = time.perf_counter() - started
    return Plan(cluster.name, planner, Status.REFUSED, reason, found, solve_seconds=seconds, proven=proven)


def uncontended(planner: str, cluster: Cluster, started: float) -> Plan:
    """The plan where nothing is contended."""
    reason = "no host is above its thresholds and none swaps"
    return Plan(cluster.name, planner, Status.NO_CONTENTION, reason, solve_seconds=time.perf_counter() - started)


def move_reasons(state: State, dense: Sequence[tuple[int, int]], found: Sequence[Contention]) -> list[str]:
    """Why each move is part of the plan, for people: "relieves CPU of node-1", "makes room on node-3 for a1"."""
    inventory = state.inventory
    reasons = []
    at = state
    for i, (m, target) in enumerate(dense):
        source = int(at.host_of_M[m])
        host = inventory.hosts[source].id
        guests = [inventory.movable_id(other) for other, to in dense[i + 1 :] if to == source and other != m]
        if any(other == m for other, _ in dense[i + 1 :]):
            reason = f"steps aside to {inventory.hosts[target].id} so that others can pass"
        elif any(other == m for other, _ in dense[:i]):
            reason = f"goes on from {host}, where it stepped aside"
        else:
            relieved = _relieved(state, m, [c for c in found if c.host == host])
            if relieved:
                reason = relieved
            elif guests:
                reason = f"makes room on {host} for {' and '.join(guests)}"
            else:
                reason = "makes room for what has to restart after a failure, or for other moves to pass"
        reasons.append(reason)
        at = at.moved(m, target)
    return reasons


def _relieved(state: State, m: int, there: Sequence[Contention]) -> str:
    """What of the contentions on its host the leaving of m relieves; empty where nothing."""
    if any(c.kind is ContentionKind.MAINTENANCE for c in there):
        return f"empties {there[0].host}, which is in maintenance"
    relieved = []
    for contention in there:
        resource, what = RESOURCE_OF[contention.kind]
        if state.demand_MR[m, resource] > TOLERANCE:
            relieved.append(what)
    return f"relieves {' and '.join(relieved)} of {there[0].host}" if relieved else ""


def _count(number: int, what: str) -> str:
    """ "1 move", "2 moves"."""
    return f"{number} {what}{'' if number == 1 else 's'}"
