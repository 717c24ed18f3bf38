"""`quell bench plan`: seconds, cost against the optimum and rules broken, by cluster size, Quell's planners and peers.

Every plan is judged by `validate`. The optimum of a cluster is what its folder says, else what a planner of this run
has proven; where that is not known, a plan counts as valid or not, and its cost against nothing.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..baseline.catalogue import make_planner
from ..env.model.contention import unresolved_H
from ..env.model.errors import QuellError
from ..env.model.plan import Status, replay, validate
from ..env.model.planner import Planner
from ..env.model.state import State, state_of
from .bench_answers import Answer, peer_rows, planner_rows
from .cases import Case, folder_cases, fresh_cases
from .instances import Size, draw_cluster
from .peers import Peer, find_peers, judge_moves
from .terminal import progress

SIZES = (Size(8, 96), Size(24, 300), Size(128, 2000), Size(256, 4000))
CLUSTERS, LARGE_CLUSTERS, LARGE_VMS = 20, 5, 1000  # clusters per size, fewer from so many VMs on
EXACT_HOSTS = 24  # the proof is asked for up to so many hosts
PEER_HOSTS, PEER_CLUSTERS = 24, 20  # peers get clusters up to so many hosts that can be relieved, so many of a group


@dataclass(frozen=True)
class PlanBench:
    """What is measured.

    Attributes:
        folder: snapshots to measure on, besides fresh clusters.
        sizes: sizes of fresh clusters.
        clusters: how many of each size; None for 20, or 5 from 1,000 VMs on.
        seed: of the first fresh cluster of each size.
        planners: names of Quell's planners; the first one's answers stand beside those of the peers.
        has_peers: whether peers are asked.
        proxlb_python: a Python that has proxlb-solver, None for the one that runs this.
        peer_seconds: how long a peer may take for one cluster.
    """

    folder: Path | None = None
    sizes: tuple[Size, ...] = SIZES
    clusters: int | None = None
    seed: int = 1
    planners: tuple[str, ...] = ("ads", "exact")
    has_peers: bool = True
    proxlb_python: str | None = None
    peer_seconds: float = 30.0


def bench_plan(bench: PlanBench) -> dict[str, Any]:
    """Asks everybody about every cluster.

    Returns:
        rows of figures by group and planner (`planners`), rows of the same clusters for peers (`peers`), the peers
        that are not installed (`skipped`), and every answer (`answers`).

    Raises:
        QuellError: a planner is unknown, or the folder cannot be read.
    """
    planners = [make_planner(name) for name in bench.planners]
    groups = _groups(bench)
    peers, missing = find_peers(bench.proxlb_python) if bench.has_peers else ([], [])
    answers: list[Answer] = []
    peer_answers: list[Answer] = []
    peak_mib: dict[str, float] = {}
    done, total = 0, sum(len(cases) for cases in groups.values())
    with progress("bench plan: clusters", total) as on_progress:
        _warm_up(planners)
        for group, cases in groups.items():
            places = PEER_CLUSTERS
            for case in cases:
                ours, theirs = _ask_all(case, planners, peers if places > 0 else [], bench.peer_seconds)
                answers += ours
                peer_answers += [ours[0], *theirs] if theirs else []
                places -= bool(theirs)
                done += 1
                on_progress(done, total)
            peak_mib[group] = peak_memory_mib()
    return {
        "planners": [row | {"peak_memory_mib": peak_mib[row["group"]]} for row in planner_rows(answers)],
        "peers": peer_rows(peer_answers),
        "skipped": [{"name": name, "how": how} for name, how in missing],
        "answers": [asdict(answer) | {"ratio": answer.ratio} for answer in _all(answers, peer_answers)],
    }


def peak_memory_mib() -> float:
    """The most memory this process has held so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _groups(bench: PlanBench) -> dict[str, list[Case]]:
    """The clusters by group: the folder's, then small sizes before large ones, so that memory peaks tell."""
    groups = {} if bench.folder is None else {bench.folder.name: folder_cases(bench.folder)}
    for size in sorted(bench.sizes, key=lambda size: (size.hosts, size.vms)):
        default = CLUSTERS if size.vms < LARGE_VMS else LARGE_CLUSTERS
        groups[str(size)] = fresh_cases(size, bench.clusters or default, bench.seed)
    if not groups:
        raise QuellError("bench plan: neither --sizes nor --instances names a cluster")
    return groups


def _warm_up(planners: Sequence[Planner]) -> None:
    """One plan each, so that nobody is charged for compiling and importing."""
    for planner in planners:
        planner.plan(draw_cluster(Size(4, 24), 1))


def _ask_all(
    case: Case, planners: Sequence[Planner], peers: Sequence[Peer], seconds: float
) -> tuple[list[Answer], list[Answer]]:
    """Every answer to one cluster, held against the cheapest plan that is known after all of them."""
    state = state_of(case.cluster)
    hosts = state.inventory.host_count
    asked = [p for p in planners if p.name != "exact" or hosts <= EXACT_HOSTS]
    ours = [_ask(case, state, planner) for planner in asked]
    best_gib, is_refused = _known(case, ours)
    is_relievable = is_refused is False and bool(unresolved_H(state).any())
    able = peers if hosts <= PEER_HOSTS and is_relievable else []
    theirs = [_ask_peer(case, state, peer, seconds) for peer in able]
    return [_held(a, best_gib, is_refused) for a in ours], [_held(a, best_gib, is_refused) for a in theirs]


def _ask(case: Case, state: State, planner: Planner) -> Answer:
    """One planner's answer, judged by `validate`."""
    wall, cpu = time.perf_counter(), time.process_time()
    plan = planner.plan(case.cluster)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    violations = validate(state, plan, cluster_name=case.cluster.name)
    after = state if violations else replay(state, plan)
    return Answer(
        group=case.group,
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


def _ask_peer(case: Case, state: State, peer: Peer, seconds: float) -> Answer:
    """One peer's answer, judged by our rules."""
    answer = peer.ask(state, seconds)
    verdict = judge_moves(state, answer.moves or [])
    return Answer(
        group=case.group,
        hosts=state.inventory.host_count,
        planner=peer.name,
        status=(Status.REFUSED if answer.moves is None else Status.PLANNED).value,
        is_proven=False,
        cost_gib=verdict.cost_gib,
        moves=len(answer.moves or []),
        wall_seconds=answer.wall_seconds,
        cpu_seconds=answer.cpu_seconds,
        broken={reason.value: count for reason, count in sorted(verdict.broken.items())},
        contended_hosts=verdict.contended_hosts,
    )


def _known(case: Case, ours: Sequence[Answer]) -> tuple[float | None, bool | None]:
    """The cheapest cost and whether a plan exists: by the folder, else by a proof of this run."""
    proven = [a for a in ours if a.is_proven]
    best_gib, is_refused = case.best_gib, case.is_refused
    if best_gib is None:
        best_gib = min((a.cost_gib for a in proven if a.is_valid_plan), default=None)
    if is_refused is None and any(a.is_valid_plan for a in ours):
        is_refused = False
    if is_refused is None and any(a.status == Status.REFUSED for a in proven):
        is_refused = True
    return best_gib, is_refused


def _held(answer: Answer, best_gib: float | None, is_refused: bool | None) -> Answer:
    """The answer with what is known of the truth."""
    has_refused = answer.status == Status.REFUSED
    is_right = is_refused is None or has_refused == is_refused
    return replace(answer, best_gib=best_gib, is_refusal_right=is_right)


def _all(answers: list[Answer], peer_answers: list[Answer]) -> list[Answer]:
    """Everybody's answers, nobody's twice."""
    return answers + [answer for answer in peer_answers if answer not in answers]
