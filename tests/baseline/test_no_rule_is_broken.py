"""No plan and no placement of any planner ever breaks R1-R8 at any step, judged by a second telling of the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.agents.planner import LearnedPlanner
from quell.baseline.ads import Ads
from quell.baseline.clairvoyant import Clairvoyant
from quell.baseline.exact import Exact
from quell.baseline.exact_limits import ExactLimits
from quell.baseline.nothing import Nothing
from quell.baseline.placement import place_with_room
from quell.baseline.search import SearchLimits
from quell.baseline.spread import Spread
from quell.env.model.cluster import NOWHERE, Cluster, read_only
from quell.env.model.placement import place
from quell.env.model.plan import Plan, Status, moves_of, validate
from quell.env.model.snapshot import plan_document, snapshot_document
from quell.env.model.state import State, state_of
from quell.env.world.workload import Episode
from tests.agents.policies import make_learned
from tests.baseline.second_judge import SecondJudge
from tests.builders import clusters, random_cluster
from tests.env.model.clusters import random_clusters

QUICK = SearchLimits(nodes=500)


def dice(candidates: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A policy that wants anything that is on offer, whatever it is; the same for the same features."""
    noise = np.random.default_rng(int(np.abs(candidates).sum() * 1e3) % 2**32).random(len(mask))
    return np.where(mask, noise - 0.5 * (np.arange(len(mask)) == 0), -1.0)


def learned() -> LearnedPlanner:
    """The learned planner with a policy that knows nothing."""
    return make_learned(dice)


def clairvoyant(cluster: Cluster) -> Clairvoyant:
    """One that thinks today's demand goes on."""
    window = cluster.cpu_samples_VT[:, -1:], cluster.storage_samples_MT[:, -1:]
    cpu_VN, storage_MN = (read_only(np.nan_to_num(np.repeat(w, 180, axis=1)), dtype=np.float32) for w in window)
    return Clairvoyant(Episode(cluster, cpu_VN, storage_MN, 0, "today", (), history_minutes=120))


PLANS: dict[str, Callable[[Cluster], Plan]] = {
    "none": Nothing().plan,
    "spread": Spread().plan,
    "ads": lambda cluster: Ads(limits=QUICK).plan(cluster),
    "exact": lambda cluster: Exact(limits=ExactLimits(work=0.05, search=SearchLimits(nodes=0))).plan(cluster),
    "clairvoyant": lambda cluster: clairvoyant(cluster).plan(cluster),
    "learned": lambda cluster: learned().plan(cluster),
}
PLACEMENTS: dict[str, Callable[[Cluster, int], Plan]] = {
    "place": place,
    "make room": lambda cluster, m: place_with_room(cluster, m, QUICK),
}


def judge(cluster: Cluster, plan: Plan) -> None:
    """Both tellings of the rules let the plan pass."""
    assert SecondJudge(snapshot_document(cluster)).broken_by(plan_document(plan)) == []
    must_resolve = plan.planner in ("ads", "exact")
    assert validate(state_of(cluster), plan, must_resolve=must_resolve, cluster_name=cluster.name) == ()


def waiting(cluster: Cluster, every: int) -> tuple[Cluster, list[int]]:
    """The cluster with some VMs taken off their hosts, and all that now wait for one."""
    V = cluster.inventory.vm_count
    host_of_M = cluster.host_of_M.copy()
    host_of_M[:V:every] = NOWHERE
    cluster = cluster.moved_to(host_of_M)
    return cluster, [v for v in range(V) if host_of_M[v] == NOWHERE and cluster.inventory.is_on_M[v]]


@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=200)
@given(cluster=st.one_of(random_clusters(), clusters()))
def test_no_plan_breaks_a_rule(name: str, cluster: Cluster) -> None:
    judge(cluster, PLANS[name](cluster))


@pytest.mark.parametrize("name", PLACEMENTS)
@settings(max_examples=200)
@given(cluster=st.one_of(random_clusters(), clusters(4, 4)), every=st.integers(2, 4))
def test_no_placement_breaks_a_rule(name: str, cluster: Cluster, every: int) -> None:
    cluster, vms = waiting(cluster, every)
    for v in vms:
        judge(cluster, PLACEMENTS[name](cluster, v))


def test_plans_with_several_moves_are_among_those_judged() -> None:
    """Rules at intermediate steps are told only by plans that have some."""
    moves = [len(PLANS["ads"](random_cluster(seed)).moves) for seed in range(100)]
    assert sum(n >= 1 for n in moves) >= 30 and sum(n >= 2 for n in moves) >= 15


@pytest.mark.slow
@settings(max_examples=10_000)
@given(cluster=st.one_of(random_clusters(max_hosts=5, max_vms=10), clusters(5, 4)), every=st.integers(2, 6))
def test_no_rule_is_broken_in_ten_thousand_clusters(cluster: Cluster, every: int) -> None:
    """Every planner plans for each cluster, and every VM that waits in it is placed."""
    for plan in PLANS.values():
        judge(cluster, plan(cluster))
    cluster, vms = waiting(cluster, every)
    for v in vms:
        for placement in PLACEMENTS.values():
            judge(cluster, placement(cluster, v))


@settings(max_examples=300)
@given(cluster=random_clusters(), data=st.data())
def test_both_tellings_of_the_rules_agree_on_any_single_move(cluster: Cluster, data: st.DataObject) -> None:
    """Be the move allowed or not: what the model forbids the second judge forbids, and the other way round."""
    state: State = state_of(cluster)
    placed = [m for m in range(cluster.inventory.movable_count) if state.host_of_M[m] != NOWHERE]
    if not placed:
        return
    m, h = data.draw(st.sampled_from(placed)), data.draw(st.integers(0, cluster.inventory.host_count - 1))
    moves = moves_of(state, [(m, h)])
    plan = Plan(cluster.name, "any", Status.PLANNED, "", moves=moves, cost_gib=moves[0].cost_gib)
    first = validate(state, plan, must_resolve=False)
    second = SecondJudge(snapshot_document(cluster)).broken_by(plan_document(plan))
    assert bool(first) == bool(second), (first, second)


def rules_named(broken: list[str]) -> set[str]:
    """R1, R2, ... in what the second judge says."""
    return {word.rstrip(":") for line in broken for word in line.split() if word[0] == "R" and word[1:2].isdigit()}


def test_the_second_judge_finds_what_is_wrong() -> None:
    """It would be worth nothing if it let everything pass: every rule is broken by some random move."""
    found: set[str] = set()

    @settings(max_examples=400, database=None, derandomize=True)
    @given(cluster=random_clusters(), data=st.data())
    def look(cluster: Cluster, data: st.DataObject) -> None:
        document: dict[str, Any] = snapshot_document(cluster)
        placed = [vm["id"] for vm in document["vms"] if vm["host"] is not None]
        if placed:
            name = data.draw(st.sampled_from(placed))
            source = next(vm["host"] for vm in document["vms"] if vm["id"] == name)
            target = data.draw(st.sampled_from([host["id"] for host in document["hosts"]]))
            move = {"id": name, "source": source, "target": target}
            found.update(rules_named(SecondJudge(document).broken_by({"status": "planned", "moves": [move]})))

    look()
    assert found >= {"R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8"}
