"""Why a VM moves or stays, and what blocks every plan: by hand, and against exhaustive search on tiny clusters."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.baseline.ads import Ads
from quell.baseline.blocking import Fact, FactKind, facts_of, relaxed
from quell.baseline.blocking_words import fact_sentence
from quell.baseline.conflict import Conflict, find_conflict
from quell.baseline.explain import ClusterAnswer, Fate, VmAnswer, explain_cluster, explain_movable
from quell.baseline.forced import forced_move
from quell.baseline.nothing import Nothing
from quell.baseline.questions import QuestionLimits, is_valid
from quell.env.model.cluster import Cluster, HostState
from quell.env.model.state import state_of
from tests.baseline.test_search import cheapest
from tests.builders import apart, build_cluster, clusters, host, pinned, random_cluster, session, together, vm

CPU_0, CPU_1, CPU_2 = (Fact(FactKind.CPU, f"host-{h}") for h in range(3))


def conflict_of(cluster: Cluster) -> Conflict:
    """What blocks every plan of a cluster."""
    return find_conflict(state_of(cluster))


def vm_answer(cluster: Cluster, m: int) -> VmAnswer:
    """Why movable m moves in the plan of `ads`, or not."""
    return explain_movable(cluster, Ads().plan(cluster), m)


def cluster_answer(cluster: Cluster) -> ClusterAnswer:
    """Why the plan of `ads` is as it is."""
    return explain_cluster(cluster, Ads().plan(cluster))


def told_of(cluster: Cluster, m: int) -> str:
    """All that is said of a movable."""
    answer = vm_answer(cluster, m)
    return "\n".join([*answer.reasons, *(f"{h.host} {h.standing} {h.rule}: {h.detail}" for h in answer.hosts)])


def held_by_reservation() -> Cluster:
    """host-1 is hot and c cannot leave it; with x on host-0, d could not restart there; on host-2 x has no cores."""
    vms = [vm("c", 1, cpu=40, memory_gib=60, is_ha=False), vm("x", 1, cpu=50, memory_gib=10)]
    vms += [vm("d", 2, cpu=20, memory_gib=60), vm("a", 0, memory_gib=40, is_ha=False)]
    vms.append(vm("y", 2, cpu=40, memory_gib=1, is_ha=False))
    rules = [pinned("c", hosts=[1]), pinned("a", hosts=[0]), pinned("y", hosts=[2])]
    return build_cluster(3, vms, memory_gib=100, ha_failures=1, rules=rules)


def chained() -> Cluster:
    """host-0 is hot; a fits on host-2 only once e has left it for host-1."""
    vms = [vm("a", 0, cpu=45), vm("b", 0, cpu=45, memory_gib=48), vm("c", 1, cpu=65, memory_gib=64)]
    return build_cluster(3, [*vms, vm("d", 2, cpu=35), vm("e", 2, cpu=15, memory_gib=4)])


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
        assert "host-0 is in maintenance: it takes nothing and has to lose all 1" in fact_sentence(
            state_of(cluster), found.facts
        )

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
        assert said.startswith("No plan was found because of ")
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
        assert answer.conflict.found.moves is not None and answer.conflict.found.cost_gib == 16

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

    @settings(max_examples=40)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_single_facts_forbid_just_the_plans_that_are_told(self, seed: int) -> None:
        state = state_of(random_cluster(seed, hosts=3, vms_per_host=2, load=0.75))
        facts = facts_of(state)
        found = find_conflict(state)
        if found.found.moves is not None:
            return
        for repair in found.repairs:
            without = relaxed(state, facts, set(facts) - {repair.fact})
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


class TestMoves:
    """What each move brings."""

    def test_a_plan_tells_what_each_move_brings_and_the_hosts_before_and_after(self) -> None:
        answer = cluster_answer(chained())
        room, relief = answer.steps
        assert room.effect.startswith("makes room on host-2 for a (CPU 50.0% to 35.0%, memory 3.9% to 3.1%")
        assert relief.effect == "relieves CPU of host-0 (CPU 90.0% to 45.0%, threshold 85.0%)"
        cpu_of = {change.host: (change.before_R[0], change.after_R[0]) for change in answer.hosts}
        assert cpu_of["host-0"] == pytest.approx((0.9, 0.45))
        assert cpu_of["host-1"] == pytest.approx((0.65, 0.8))
        assert cpu_of["host-2"] == pytest.approx((0.5, 0.8)), "both moves count"

    def test_a_calm_cluster_names_its_hottest_host(self) -> None:
        answer = cluster_answer(build_cluster(2, [vm("a", 0, cpu=71.2), vm("b", 1, cpu=10)]))
        expected = "the hottest host is host-0: CPU 71.2%, 13.8 points below its threshold of 85.0%"
        assert answer.reasons == (expected,)


class TestOneVm:
    """Why a VM moves or stays."""

    def test_a_vm_that_moves(self) -> None:
        cluster = build_cluster(3, [vm("a", 0, cpu=50), vm("b", 0, cpu=40, memory_gib=8), vm("c", 2, cpu=70)])
        answer = vm_answer(cluster, 1)
        assert answer.fate is Fate.MOVES
        said = "b moves from host-0 to host-1 (move 1 of 1, 8.0 GiB): relieves CPU of host-0 (CPU 90.0% to 50.0%"
        assert answer.reasons[0].startswith(said)
        assert [h.standing for h in answer.hosts] == ["here", "open", "blocked"]
        assert "would bring the CPU of host-2 to 110.0%, threshold 85.0%" in answer.hosts[2].detail

    def test_hosts_are_judged_just_before_the_move(self) -> None:
        answer = vm_answer(chained(), 0)
        assert "(move 2 of 2, 16.0 GiB)" in answer.reasons[0]
        assert [h.standing for h in answer.hosts] == ["here", "blocked", "open"], "host-2 is open by then"

    def test_a_vm_that_stays_because_another_is_cheaper(self) -> None:
        cluster = build_cluster(2, [vm("a", 0, cpu=50, memory_gib=48), vm("b", 0, cpu=40)])
        answer = vm_answer(cluster, 0)
        assert answer.fate is Fate.STAYS
        assert "a stays on host-0, which is contended: b (16.0 GiB) leaves it instead" in answer.reasons
        assert "the cheapest plan that moves a costs 48.0 GiB; this one costs 16.0 GiB" in answer.reasons

    def test_a_dearer_plan_may_need_others_to_make_room(self) -> None:
        reasons = vm_answer(chained(), 1).reasons
        assert "the cheapest plan that moves b costs 52.0 GiB; this one costs 20.0 GiB" in reasons, "e goes first"

    def test_a_vm_on_a_host_that_is_not_contended(self) -> None:
        cluster = build_cluster(2, [vm("a", 0, cpu=50), vm("b", 0, cpu=40), vm("c", 1, memory_gib=4)])
        said = told_of(cluster, 2)
        assert "c stays on host-1: that host is not contended, and the plan does not need its room" in said
        assert "host-0 blocked R8 no new contention: c cannot go to host-0, whose CPU is above its threshold" in said

    def test_in_a_calm_cluster_nothing_moves(self) -> None:
        assert "no host is contended, so nothing moves" in told_of(build_cluster(2, [vm("a", 0, cpu=20)]), 0)

    def test_every_host_has_its_own_reason(self) -> None:
        hosts = [host(f"host-{h}") for h in range(6)]
        hosts[5] = replace(hosts[5], state=HostState.DOWN)
        vms = [vm("a", 0, cpu=90), vm("b", 1, cpu=5), vm("c", 2, memory_gib=500), vm("d", 4, cpu=10)]
        rules = [apart("a", "b"), pinned("a", hosts=[0, 1, 2, 3, 5])]
        answer = vm_answer(build_cluster(hosts, vms, rules=rules), 0)
        assert [h.rule for h in answer.hosts] == [
            "",
            "R4 vm-vm-anti-affinity",
            "R1 memory",
            "R8 no new contention",
            "R3 vm-host-affinity",
            "R2 host state",
        ]
        assert "needs 16.00 GiB, host-2 has 12.00 GiB free" in answer.hosts[2].detail
        assert "nothing moves, for there is no plan" in answer.reasons[0]
        assert "none of the 5 other hosts could take a" in answer.reasons[1]

    def test_a_vm_that_another_binds_to_its_host(self) -> None:
        cluster = build_cluster(2, [vm("a", 0), vm("b", 0)], rules=[together("a", "b")])
        said = told_of(cluster, 0)
        assert "host-1 blocked R5 vm-vm-affinity: alone: a, b no longer share a host (rule together-a-b)" in said

    def test_the_ha_reservation_blocks_hosts(self) -> None:
        said = told_of(held_by_reservation(), 1)
        assert "host-0 blocked R7 ha reservation: with x on host-0, the VMs of host-2 could not all restart" in said
        assert "host-2 blocked R8 no new contention: x would bring the CPU of host-2 to 110.0%" in said

    def test_sessions_are_answered_for_too(self) -> None:
        cluster = build_cluster(2, [vm("a", 0, storage=4)], sessions=[session("s", 0, storage=3.5)])
        answer = vm_answer(cluster, 1)
        assert answer.fate is Fate.MOVES
        assert (
            "relieves storage controller of host-0 (storage controller 93.8% to 50.0%, threshold" in answer.reasons[0]
        )

    def test_a_vm_that_is_off(self) -> None:
        answer = vm_answer(build_cluster(2, [vm("a", 0, is_on=False)]), 0)
        assert (answer.fate, answer.reasons) == (Fate.OFF, ("a is off: only what runs is moved or placed",))

    def test_a_vm_that_waits_for_a_host(self) -> None:
        vms = [vm("a", -1, memory_gib=80), vm("b", 0, memory_gib=40), vm("c", 1, memory_gib=40, cpu=30)]
        answer = vm_answer(build_cluster(2, vms, memory_gib=100), 0)
        assert (answer.fate, answer.target, len(answer.steps)) == (Fate.PLACED, "host-0", 1)
        assert answer.steps[0].effect.startswith("makes room on host-0 for a (CPU 10.0% to 0.0%")
        assert [h.rule for h in answer.hosts] == ["R1 memory", "R1 memory"], "as things are, no host can take it"

    def test_a_vm_that_no_host_can_take(self) -> None:
        answer = vm_answer(build_cluster(2, [vm("a", -1, memory_gib=80)], memory_gib=64), 0)
        assert answer.fate is Fate.REJECTED
        assert "2 of 2 lack memory" in answer.reasons[1]
        assert "a needs 80.00 GiB, host-0 has 64.00 GiB free" in answer.hosts[0].detail

    @settings(max_examples=60)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_what_it_costs_to_move_a_vm_against_exhaustive_search(self, seed: int) -> None:
        state = state_of(random_cluster(seed, hosts=2, vms_per_host=2, load=0.55))
        inventory = state.inventory
        for m in np.flatnonzero(inventory.is_on_M & (state.host_of_M >= 0)):
            forced = forced_move(state, int(m))
            truth = cheapest(state, must_move=int(m))
            assert forced.cost_gib <= (float("inf") if truth is None else truth) + 1e-9
            assert not forced.is_exact or forced.cost_gib == pytest.approx(float("inf") if truth is None else truth)
