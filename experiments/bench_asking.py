"""Everybody's answer to one cluster of `quell bench plan`, judged, and held against the cheapest plan that is known."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..env.model.contention import unresolved_H
from ..env.model.plan import Plan, Status, moves_of, replay, validate
from ..env.model.planner import Planner
from ..env.model.state import State
from .bench_answers import SAME_COST_GIB, Answer
from .cases import Case
from .optimum import Known
from .peers import Peer, judge_moves
from .planning import with_limit

SEARCHING = ("ads", "exact")  # planners that take a limit

Judged = tuple[Answer, Plan]
"""An answer, and the plan it is about."""


@dataclass(frozen=True)
class Better:
    """A valid plan where the reference has a dearer one, or none: it takes the reference's place for everybody.

    Attributes:
        group, cluster: which cluster.
        by: who found the plan.
        cost_gib: what it costs.
        reference: who said otherwise: `optimum.json`, or a proof of this run.
        reference_gib: what the reference says; None where it says that there is no plan.
    """

    group: str
    cluster: str
    by: str
    cost_gib: float
    reference: str
    reference_gib: float | None

    def __str__(self) -> str:
        said = "that no plan exists" if self.reference_gib is None else f"{self.reference_gib:.2f} GiB"
        return (
            f"{self.cluster} ({self.group}): {self.by} found a valid plan of {self.cost_gib:.2f} GiB where "
            f"{self.reference} says {said}; the plan is the reference now"
        )


def ask(case: Case, state: State, planner: Planner, limit_seconds: float | None = None) -> Judged:
    """One planner's answer, judged by `validate`; within so many seconds where the planner searches."""
    cluster = with_limit(case.cluster, planner.name, limit_seconds if planner.name in SEARCHING else None)
    wall, cpu = time.perf_counter(), time.process_time()
    plan = planner.plan(cluster)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    violations = validate(state, plan, cluster_name=case.cluster.name)
    after = state if violations else replay(state, plan)
    answer = Answer(
        group=case.group,
        cluster=case.name,
        seed=case.seed,
        hosts=state.inventory.host_count,
        planner=planner.name,
        status=plan.status.value,
        is_proven=bool(plan.proven),
        cost_gib=plan.cost_gib,
        moves=len(plan.moves),
        wall_seconds=wall,
        cpu_seconds=cpu,
        broken=dict(Counter(violation.reason.value for violation in violations)),
        contended_hosts=int(np.count_nonzero(unresolved_H(after))),
    )
    return answer, plan


def ask_peer(case: Case, state: State, peer: Peer, seconds: float) -> Judged:
    """One peer's answer, judged by our rules."""
    answer = peer.ask(state, seconds)
    verdict = judge_moves(state, answer.moves or [])
    status = Status.REFUSED if answer.moves is None else Status.PLANNED
    judged = Answer(
        group=case.group,
        cluster=case.name,
        seed=case.seed,
        hosts=state.inventory.host_count,
        planner=peer.name,
        status=status.value,
        is_proven=False,
        cost_gib=verdict.cost_gib,
        moves=len(answer.moves or []),
        wall_seconds=answer.wall_seconds,
        cpu_seconds=answer.cpu_seconds,
        broken={reason.value: count for reason, count in sorted(verdict.broken.items())},
        contended_hosts=verdict.contended_hosts,
    )
    moves = moves_of(state, answer.moves or [])
    reason = "what this program wants, whether our rules like it or not"
    name, cost_gib = case.cluster.name, sum(move.cost_gib for move in moves)
    return judged, Plan(name, peer.name, status, reason, moves=moves, cost_gib=cost_gib)


def known_after(case: Case, answers: Sequence[Answer]) -> tuple[Known, Better | None]:
    """What is known of a cluster's cheapest plan once all have answered, and the plan that shows more than was said.

    What the folder says counts, else a proof of this run; and a valid plan that is cheaper counts more than both.
    """
    best_gib, is_refused, source = case.known.best_gib, case.known.is_refused, "optimum.json"
    proven = [a for a in answers if a.is_proven]
    plans = [a for a in answers if a.is_valid_plan]
    if best_gib is None and is_refused is not True and (shown := [a for a in proven if a.is_valid_plan]):
        first = min(shown, key=lambda a: a.cost_gib)
        best_gib, source = first.cost_gib, f"the proof by {first.planner}"
    if is_refused is None and (shown := [a for a in proven if a.status == Status.REFUSED]):
        is_refused, source = True, f"the proof by {shown[0].planner}"
    cheapest = min(plans, key=lambda a: a.cost_gib, default=None)
    if cheapest is None:
        return Known(is_refused, best_gib), None
    is_better = is_refused is True or (best_gib is not None and cheapest.cost_gib < best_gib - SAME_COST_GIB)
    if not is_better:
        return Known(False, best_gib), None
    said = None if is_refused else best_gib
    better = Better(case.group, case.name, cheapest.planner, cheapest.cost_gib, source, said)
    return Known(False, cheapest.cost_gib), better


def held(answer: Answer, known: Known) -> Answer:
    """The answer with what is known of the truth."""
    has_refused = answer.status == Status.REFUSED
    is_right = known.is_refused is None or has_refused == known.is_refused
    return replace(answer, best_gib=known.best_gib, is_refusal_right=is_right)


def is_relievable(state: State, known: Known) -> bool:
    """Whether a plan of moves is asked for, and known to exist."""
    return known.is_refused is False and bool(unresolved_H(state).any())
