"""Why a VM moves or stays, and what each move brings: by hand, and against exhaustive search on tiny clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.baseline.ads import Ads
from quell.baseline.exact import Exact
from quell.baseline.explain import ClusterAnswer, Fate, VmAnswer, explain_cluster, explain_movable
from quell.baseline.forced import forced_move
from quell.baseline.nothing import Nothing
from quell.env.model.cluster import Cluster, HostState
from quell.env.model.planner import Planner
from quell.env.model.state import state_of
from tests.baseline.test_explain import hard_to_refuse, held_by_reservation, take_proofs
from tests.baseline.test_search import cheapest
from tests.builders import apart, build_cluster, host, pinned, random_cluster, session, together, vm


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


def chained() -> Cluster:
    """host-0 is hot; a fits on host-2 only once e has left it for host-1."""
    vms = [vm("a", 0, cpu=45), vm("b", 0, cpu=45, memory_gib=48), vm("c", 1, cpu=65, memory_gib=64)]
    return build_cluster(3, [*vms, vm("d", 2, cpu=35), vm("e", 2, cpu=15, memory_gib=4)])


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
        assert "nothing moves, for there is no plan (" in answer.reasons[0]
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

    @pytest.mark.parametrize(
        ("planner", "told"),
        [
            (Exact(), "nothing moves, for there is no plan ("),
            (Ads(), "no plan was found within the limits; it is not proven that there is"),
            (Nothing(), "nothing moves, for planner none has no plan (this planner moves nothing)"),
        ],
    )
    def test_there_is_no_plan_only_where_that_is_proven(
        self, planner: Planner, told: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take_proofs(monkeypatch)
        cluster = hard_to_refuse()
        m = int(np.flatnonzero(cluster.inventory.is_on_M & (cluster.host_of_M >= 0))[0])
        assert told in explain_movable(cluster, planner.plan(cluster), m).reasons[0]

    @pytest.mark.parametrize(
        ("hosts", "cpu", "told"),
        [
            (1, 60, "there is no other host that could take a"),
            (2, 60, "as things are, the only other host, host-1, could take a"),
            (2, 90, "as things are, the only other host, host-1, could not take a"),
            (3, 60, "as things are, 2 of the 2 other hosts could take a: host-1 and host-2"),
            (3, 90, "as things are, none of the 2 other hosts could take a"),
        ],
    )
    def test_how_many_other_hosts_could_take_it(self, hosts: int, cpu: float, told: str) -> None:
        cluster = build_cluster(hosts, [vm("a", 0, cpu=cpu), vm("b", 0, cpu=30)], rules=[pinned("a", "b", hosts=[0])])
        unbound = build_cluster(hosts, [vm("a", 0, cpu=cpu)])
        answer = explain_movable(unbound, Nothing().plan(cluster), 0)
        assert answer.reasons[-1] == told

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
