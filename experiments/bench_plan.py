"""`quell bench plan`: seconds, cost against the optimum and rules broken, by cluster size, Quell's planners and peers.

Every plan is judged by `validate`. The optimum of a cluster is what its folder says, else what a planner of this run
has proven, and always the cost of a valid plan that is cheaper; where none is known, a plan counts as valid or not, and
its cost against nothing.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..baseline.catalogue import make_planner
from ..env.model.errors import QuellError
from ..env.model.planner import Planner
from ..env.model.state import state_of
from .bench_answers import Answer, peer_rows, planner_rows
from .bench_asking import Better, Judged, ask, ask_peer, held, is_relievable, known_after
from .bench_saving import new_folder, save_case
from .cases import Case, folder_cases, fresh_cases
from .instances import MEMORY_SHARES, Size, draw_cluster
from .peers import Peer, find_peers
from .terminal import progress

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
        limit_seconds: how long `ads` may search, or `exact` prove; None for what the settings of the clusters say.
        memory_shares: how much of its memory a host of a fresh cluster has in use, from and to.
        save: folder for the fresh clusters and all plans; None for none.
        peer_seconds: how long a peer may take for one cluster.
    """

    folder: Path | None = None
    sizes: tuple[Size, ...] = ()
    clusters: int | None = None
    seed: int = 1
    planners: tuple[str, ...] = ("ads", "exact")
    has_peers: bool = True
    proxlb_python: str | None = None
    limit_seconds: float | None = None
    memory_shares: tuple[float, float] = MEMORY_SHARES
    save: Path | None = None
    peer_seconds: float = 30.0


@dataclass
class _Tally:
    """What has been answered so far, and why peers were not asked (any more)."""

    answers: list[Answer] = field(default_factory=list)
    peer_answers: list[Answer] = field(default_factory=list)
    better: list[Better] = field(default_factory=list)
    peak_mib: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def bench_plan(bench: PlanBench) -> dict[str, Any]:
    """Asks everybody about every cluster.

    Returns:
        rows of figures by group and planner (`planners`), rows of the same clusters for peers (`peers`), the peers
        that were left out and why (`skipped`), plans cheaper than the reference (`better`), and every answer
        (`answers`).

    Raises:
        QuellError: a planner is unknown, or a folder or program cannot be used.
    """
    planners = [make_planner(name) for name in bench.planners]
    peers, missing = find_peers(bench.proxlb_python) if bench.has_peers else ([], {})
    groups = _groups(bench)
    if bench.save is not None:
        new_folder(bench.save)
    tally = _Tally(skipped=dict(missing))
    done, total = 0, sum(len(cases) for cases in groups.values())
    with progress("bench plan: clusters", total) as on_progress:
        _warm_up(planners)
        for group, cases in groups.items():
            places = PEER_CLUSTERS
            for case in cases:
                places -= _ask_all(bench, case, planners, peers if places > 0 else [], tally)
                done += 1
                on_progress(done, total)
            tally.peak_mib[group] = peak_memory_mib()
    _tell_unasked(peers, tally)
    return _document(tally)


def peak_memory_mib() -> float:
    """The most memory this process has held so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _document(tally: _Tally) -> dict[str, Any]:
    """The figures."""
    everybody = tally.answers + [answer for answer in tally.peer_answers if answer not in tally.answers]
    return {
        "planners": [row | {"peak_memory_mib": tally.peak_mib[row["group"]]} for row in planner_rows(tally.answers)],
        "peers": peer_rows(tally.peer_answers),
        "skipped": [{"name": name, "reason": reason} for name, reason in tally.skipped.items()],
        "better": [asdict(better) for better in tally.better],
        "answers": [asdict(answer) | {"ratio": answer.ratio} for answer in everybody],
    }


def _groups(bench: PlanBench) -> dict[str, list[Case]]:
    """The clusters by group: the folder's, then small sizes before large ones, so that memory peaks tell."""
    groups: dict[str, list[Case]] = {}
    if bench.folder is not None:
        cases = folder_cases(bench.folder)
        groups[cases[0].group] = cases
    for size in sorted(bench.sizes, key=lambda size: (size.hosts, size.vms)):
        default = CLUSTERS if size.vms < LARGE_VMS else LARGE_CLUSTERS
        groups[str(size)] = fresh_cases(size, bench.clusters or default, bench.seed, bench.memory_shares)
    if not groups:
        raise QuellError("bench plan: neither --sizes nor --instances names a cluster")
    return groups


def _warm_up(planners: Sequence[Planner]) -> None:
    """One plan each, so that nobody is charged for compiling and importing."""
    for planner in planners:
        planner.plan(draw_cluster(Size(4, 24), 1))


def _ask_all(bench: PlanBench, case: Case, planners: Sequence[Planner], peers: Sequence[Peer], tally: _Tally) -> bool:
    """Everybody's answer to one cluster, held against the cheapest plan known after all; whether peers were asked."""
    state = state_of(case.cluster)
    hosts = state.inventory.host_count
    asked = [p for p in planners if p.name != "exact" or hosts <= EXACT_HOSTS]
    ours = [ask(case, state, planner, bench.limit_seconds) for planner in asked]
    theirs: list[Judged] = []
    known, _ = known_after(case, [answer for answer, _ in ours])
    for peer in peers if hosts <= PEER_HOSTS and is_relievable(state, known) else []:
        if peer.name not in tally.skipped:
            try:
                theirs.append(ask_peer(case, state, peer, bench.peer_seconds))
            except QuellError as error:
                tally.skipped[peer.name] = f"not asked any more after {case.name}: {error}"
    known, better = known_after(case, [answer for answer, _ in (*ours, *theirs)])
    tally.better += [] if better is None else [better]
    answers = [held(answer, known) for answer, _ in ours]
    tally.answers += answers
    tally.peer_answers += [answers[0], *(held(answer, known) for answer, _ in theirs)] if theirs else []
    if bench.save is not None:
        save_case(bench.save, case, [plan for _, plan in (*ours, *theirs)])
    return bool(theirs)


def _tell_unasked(peers: Sequence[Peer], tally: _Tally) -> None:
    """Names the peers that are here and had nothing to answer."""
    measured = {answer.planner for answer in tally.peer_answers}
    for peer in peers:
        if peer.name not in measured:
            reason = f"no cluster to ask about: none of up to {PEER_HOSTS} hosts has a contention and a known plan"
            tally.skipped.setdefault(peer.name, reason)
