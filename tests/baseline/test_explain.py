"""What blocks every plan: by hand, and against exhaustive search on tiny clusters."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.baseline import questions
from quell.baseline.ads import Ads
from quell.baseline.blocking import Fact, FactKind, facts_of, relaxed, widened
from quell.baseline.blocking_words import fact_sentence
from quell.baseline.conflict import Conflict, find_conflict
from quell.baseline.explain import explain_cluster
from quell.baseline.least_room import rounded_up
from quell.baseline.nothing import Nothing
from quell.baseline.questions import QuestionLimits, is_valid
from quell.baseline.search import SearchLimits, SearchResult, search
from quell.env.model.cluster import Cluster, HostState
from quell.env.model.plan import Plan, Status
from quell.env.model.state import State, state_of
from tests.baseline.test_search import cheapest
from tests.builders import apart, build_cluster, clusters, host, pinned, random_cluster, vm

CPU_0, CPU_1, CPU_2 = (Fact(FactKind.CPU, f"host-{h}") for h in range(3))


def conflict_of(cluster: Cluster) -> Conflict:
    """What blocks every plan of a cluster."""
    return find_conflict(state_of(cluster))


def held_by_reservation() -> Cluster:
    """host-1 is hot and c cannot leave it; with x on host-0, d could not restart there; on host-2 x has no cores."""
    vms = [vm("c", 1, cpu=40, memory_gib=60, is_ha=False), vm("x", 1, cpu=50, memory_gib=10)]
    vms += [vm("d", 2, cpu=20, memory_gib=60), vm("a", 0, memory_gib=40, is_ha=False)]
    vms.append(vm("y", 2, cpu=40, memory_gib=1, is_ha=False))
    rules = [pinned("c", hosts=[1]), pinned("a", hosts=[0]), pinned("y", hosts=[2])]
    return build_cluster(3, vms, memory_gib=100, ha_failures=1, rules=rules)


def hard_to_refuse() -> Cluster:
    """No plan, which CP-SAT proves at once; of three facts, none of them room, each alone would have to go."""
    return random_cluster(103, hosts=4, vms_per_host=3, load=0.78)


def take_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the search and `ads` prove no refusal, however good they get at that; `exact` stays as it is."""
    plan_of_ads = Ads.plan

    def unsure_search(state: State, limits: SearchLimits | None = None) -> SearchResult:
        found = search(state, limits)
        reason = "the search ended" if found.is_proven_refusal else found.reason
        return replace(found, is_proven_refusal=False, reason=reason)

    def unsure_plan(planner: Ads, cluster: Cluster) -> Plan:
        plan = plan_of_ads(planner, cluster)
        return replace(plan, proven=False) if plan.status is Status.REFUSED else plan

    monkeypatch.setattr(questions, "search", unsure_search)
    monkeypatch.setattr(Ads, "plan", unsure_plan)


class TestBlockingFacts:
    """The smallest set of facts that blocks every plan."""

    def test_a_hot_host_and_the_rule_that_holds_its_vms_there(self) -> None:
        vms = [vm("a", 0, cpu=50), vm("b", 0, cpu=40)]
        cluster = build_cluster(2, vms, rules=[pinned("a", "b", hosts=[0]), apart("a", "b")])
        found = conflict_of(cluster)
        rule = Fact(FactKind.RULE, rule="pinned-a-b")
        assert (found.facts, found.is_smallest) == ((CPU_0, rule), True)
        said = fact_sentence(state_of(cluster), found.facts)
        assert said.startswith(
            "Every plan is blocked by 2 facts: host-0 is at 90.0% CPU, threshold 85.0%, and must lose "
        )
        assert "lose 5.00 cores; rule pinned-a-b lets a and b run on host-0 only." in said
        assert [(r.fact, r.cost_gib, len(r.moves)) for r in found.repairs] == [(CPU_0, 0.0, 0), (rule, 16.0, 1)]
        assert found.repairs[0].missing == pytest.approx(5)

    def test_too_little_room_is_a_fact_of_every_host(self) -> None:
        vms = [vm(f"{h}{i}", h, cpu=cores) for h, cores in enumerate([30, 28, 28]) for i in range(3)]
        found = conflict_of(build_cluster(3, vms))
        assert (set(found.facts), found.is_smallest) == ({CPU_0, CPU_1, CPU_2}, True)
        assert [r.fact for r in found.repairs][0] == CPU_0
        assert found.repairs[1].missing > 0, "a host that takes a VM of 28 cores or more goes over its threshold"

    def test_of_two_sets_the_smaller_one_is_told(self) -> None:
        vms = [vm(f"{h}{i}", h, cpu=30) for h in range(3) for i in range(3)]
        found = conflict_of(build_cluster(3, vms, rules=[pinned("00", "01", "02", hosts=[0])]))
        assert (found.facts, found.is_smallest) == ((CPU_0, Fact(FactKind.RULE, rule="pinned-00-01-02")), True)
        assert [r.fact for r in found.repairs] == [CPU_0], "without the rule there is still too little room"

    def test_with_two_sets_no_single_fact_helps(self) -> None:
        vms = [vm(f"{h}{i}", h, cpu=45) for h in range(2) for i in range(2)]
        cluster = build_cluster(3, vms, rules=[pinned("00", "01", hosts=[0]), pinned("10", "11", hosts=[1])])
        found = conflict_of(cluster)
        assert (len(found.facts), found.is_smallest, found.repairs) == (2, True, ())

    def test_maintenance_can_be_what_blocks(self) -> None:
        cluster = build_cluster(2, [vm("a", 0)], maintenance=[0], rules=[pinned("a", hosts=[0])])
        found = conflict_of(cluster)
        assert [fact.kind for fact in found.facts] == [FactKind.MAINTENANCE, FactKind.RULE]
        said = fact_sentence(state_of(cluster), found.facts)
        assert "host-0 is in maintenance: it takes nothing, and 1 VM has to leave it;" in said

    def test_a_host_that_is_down_can_be_what_blocks(self) -> None:
        hosts = [host("host-0"), replace(host("host-1"), state=HostState.DOWN)]
        found = conflict_of(build_cluster(hosts, [vm("a", 0, cpu=60), vm("b", 0, cpu=40)]))
        assert set(found.facts) == {CPU_0, Fact(FactKind.DOWN, "host-1")}
        assert (found.repairs[1].fact.kind, found.repairs[1].cost_gib) == (FactKind.DOWN, 16)

    def test_the_ha_reservation_can_be_what_blocks(self) -> None:
        cluster = held_by_reservation()
        found = conflict_of(cluster)
        assert Fact(FactKind.HA) in found.facts
        assert found.is_proven, "so few placements can be reached that all of them are looked at"
        repair = next(repair for repair in found.repairs if repair.fact.kind is FactKind.HA)
        assert (repair.moves, repair.cost_gib, repair.is_cheapest) == (((1, 0),), 10, True)
        said = fact_sentence(state_of(cluster), found.facts, is_proven=False)
        assert said.startswith("No plan was found with these ") and " facts in force: " in said
        assert "the HA reservation: after a failure of any host all VMs" in said

    def test_a_reservation_that_is_lost_already_is_no_fact(self) -> None:
        vms = [vm("a", 0, cpu=50, memory_gib=70), vm("b", 0, cpu=40, memory_gib=20), vm("c", 1, memory_gib=60)]
        state = state_of(build_cluster(2, vms, memory_gib=100, ha_failures=1))
        assert Fact(FactKind.HA) not in facts_of(state)
        unbound = relaxed(state, facts_of(state), set())
        assert not unbound.inventory.high_availability.is_guaranteed, "more memory would make it bind again"

    def test_gpus_can_be_what_blocks(self) -> None:
        hosts = [host("host-0", gpus=1), host("host-1")]
        vms = [vm("a", 0, cpu=45, vgpu_gib=12), vm("b", 0, cpu=45, vgpu_gib=12)]
        cluster = build_cluster(hosts, vms)
        found = conflict_of(cluster)
        assert found.facts == (CPU_0, Fact(FactKind.GPU, "host-1"))
        assert "host-1 has no GPU" in fact_sentence(state_of(cluster), found.facts)
        assert found.repairs[1].cost_gib == 28

    def test_where_another_planner_refuses_the_plan_that_exists_is_told(self) -> None:
        cluster = build_cluster(2, [vm("a", 0, cpu=50), vm("b", 0, cpu=40)])
        answer = explain_cluster(cluster, Nothing().plan(cluster))
        assert answer.conflict is not None and answer.conflict.facts == ()
        assert answer.conflict.moves is not None and answer.conflict.cost_gib == 16

    def test_nothing_is_claimed_to_be_proven_that_is_not(self) -> None:
        cluster = build_cluster(3, [vm(f"{h}{i}", h, cpu=30) for h in range(3) for i in range(3)])
        found = find_conflict(state_of(cluster), QuestionLimits(all_nodes=0))
        assert set(found.facts) >= {CPU_0, CPU_1, CPU_2}, "it blocks all the same"
        assert not found.is_smallest

    def test_many_hosts_are_told_together(self) -> None:
        state = state_of(
            build_cluster(5, [vm(f"{h}{i}", h, cpu=45 if h < 2 else 42) for h in range(5) for i in range(2)])
        )
        said = fact_sentence(state, find_conflict(state).facts)
        assert "5 facts: host-0 (5.00) and host-1 (5.00) must lose 10.00 cores of CPU; host-2 (1.00), host-3" in said
        assert "host-3 (1.00) and host-4 (1.00) have room for 3.00 cores of CPU." in said

    @settings(max_examples=40)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_the_set_blocks_and_no_smaller_one_does(self, seed: int) -> None:
        state = state_of(random_cluster(seed, hosts=2, vms_per_host=2, load=0.75))
        facts = facts_of(state)
        found = find_conflict(state)
        if not found.is_proven:
            return
        again = find_conflict(state)
        assert (again.facts, again.repairs) == (found.facts, found.repairs), "the same every time"

        def is_blocked(some: tuple[Fact, ...]) -> bool:
            return cheapest(relaxed(state, facts, set(some))) is None

        assert is_blocked(found.facts)
        if found.is_smallest:
            smaller = itertools.combinations(facts, len(found.facts) - 1)
            assert not any(is_blocked(some) for some in smaller)

    @settings(max_examples=25)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_single_facts_forbid_just_the_plans_that_are_told(self, seed: int) -> None:
        state = state_of(random_cluster(seed, hosts=3, vms_per_host=2, load=0.75))
        facts = facts_of(state)
        found = find_conflict(state)
        for repair in found.repairs:
            without = relaxed(state, facts, set(facts) - {repair.fact})
            if repair.missing:
                without = widened(relaxed(state, facts, set(facts)), repair.fact, rounded_up(repair.missing))
            assert is_valid(without, repair.moves)
            assert not repair.is_cheapest or cheapest(without) == pytest.approx(repair.cost_gib)

    @settings(max_examples=60)
    @given(cluster=clusters(max_hosts=3, max_vms_per_host=2), chance=st.integers(0, 2**32 - 1))
    def test_with_fewer_facts_in_force_no_plan_gets_dearer(self, cluster: Cluster, chance: int) -> None:
        state = state_of(cluster)
        facts = facts_of(state)
        assert cheapest(relaxed(state, facts, set(facts))) == cheapest(state), "all in force: the cluster itself"
        dice = np.random.default_rng(chance)
        many = {fact for fact in facts if dice.random() < 0.7}
        few = {fact for fact in many if dice.random() < 0.7}
        dear = cheapest(relaxed(state, facts, many))
        cheap = cheapest(relaxed(state, facts, few))
        assert dear is None or (cheap is not None and cheap <= dear + 1e-9)
        assert cheapest(relaxed(state, facts, set())) == 0, "no fact, no contention"
