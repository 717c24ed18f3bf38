"""What is said of a refusal: whose proof it is, and the least room on a host that would allow a plan."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.baseline.blocking import Fact, FactKind, facts_of, relaxed, widened
from quell.baseline.blocking_words import fact_sentence
from quell.baseline.conflict import find_conflict
from quell.baseline.exact import Exact
from quell.baseline.exact_proof import prove
from quell.baseline.explain import explain_cluster
from quell.baseline.least_room import STEP, rounded_up
from quell.baseline.questions import Moves, QuestionLimits, is_valid
from quell.env.model.state import State, state_of
from tests.baseline.test_explain import hard_to_refuse, held_by_reservation, take_proofs
from tests.baseline.test_search import cheapest
from tests.builders import build_cluster, random_cluster, session, vm

CPU_0, CPU_1 = (Fact(FactKind.CPU, f"host-{h}") for h in range(2))


def proof(state: State) -> tuple[Moves | None, bool]:
    """CP-SAT's answer."""
    result = prove(state)
    return result.moves, result.is_proven


class TestWhoseProofItIs:
    """The planner that was asked has the last word; the search proves nothing here."""

    @pytest.fixture(autouse=True)
    def unsure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        take_proofs(monkeypatch)

    def test_without_a_planner_that_looked_for_a_plan_the_search_is_asked(self) -> None:
        found = find_conflict(state_of(hard_to_refuse()))
        assert (found.is_proven, found.is_blocking, found.is_smallest) == (False, False, False)
        assert found.reason and found.facts

    def test_a_proven_refusal_stands_whatever_the_search_knows(self) -> None:
        found = find_conflict(state_of(hard_to_refuse()), is_refusal_proven=True)
        assert (found.is_proven, found.is_blocking, found.is_smallest, found.reason) == (True, False, False, "")

    def test_a_refusal_that_is_not_proven_is_not_called_so(self) -> None:
        found = find_conflict(state_of(hard_to_refuse()), is_refusal_proven=False, prover=proof)
        assert (found.is_proven, found.is_blocking, found.is_smallest, found.reason) == (False, False, False, "")

    def test_exact_proves_the_facts_too(self) -> None:
        cluster = hard_to_refuse()
        plan = Exact().plan(cluster)
        conflict = explain_cluster(cluster, plan, proof).conflict
        assert plan.proven and conflict is not None
        assert (conflict.is_proven, conflict.is_blocking, conflict.is_smallest, len(conflict.facts)) == (
            True,
            True,
            True,
            3,
        )

    def test_a_set_that_does_not_block_after_all_is_given_up(self) -> None:
        """A prover that has a plan for every set is never believed to have proven one."""
        state = state_of(hard_to_refuse())
        found = find_conflict(state, is_refusal_proven=True, prover=lambda _: ((), False))
        assert found.is_proven and not found.is_blocking


class TestLeastRoom:
    """The room that is told does, and less does not where that is said."""

    def test_less_than_the_cheapest_plan_uses_may_do(self) -> None:
        """c costs 64 GiB and lacks 10 cores on host-1; a would cost 4 GiB and lack 45."""
        vms = [vm("a", 0, cpu=50, memory_gib=4), vm("b", 0, cpu=30, memory_gib=8), vm("c", 0, cpu=15, memory_gib=64)]
        state = state_of(build_cluster(2, [*vms, vm("d", 1, cpu=80, memory_gib=200)]))
        repair = next(repair for repair in find_conflict(state).repairs if repair.fact == CPU_1)
        assert (repair.missing, repair.is_least) == (pytest.approx(10), True)
        assert (repair.moves, repair.cost_gib) == (((2, 1),), 64)

    def test_memory_that_only_a_restart_needs_is_room_too(self) -> None:
        """The plan itself fits; after it, d could not restart on host-0."""
        repairs = {repair.fact: repair for repair in find_conflict(state_of(held_by_reservation())).repairs}
        restart = repairs[Fact(FactKind.MEMORY, "host-0")]
        assert (restart.moves, restart.missing, restart.is_least) == (((1, 0),), pytest.approx(10), True)

    def test_it_is_not_called_the_least_where_the_search_ended_before_that_was_known(self) -> None:
        state = state_of(build_cluster(2, [vm(f"{h}{i}", h, cpu=30) for h in range(2) for i in range(3)]))
        known, unknown = find_conflict(state), find_conflict(state, QuestionLimits(room_nodes=0))
        assert all(repair.is_least for repair in known.repairs)
        assert unknown.repairs and not any(repair.is_least for repair in unknown.repairs)

    @settings(max_examples=30)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_against_exhaustive_search(self, seed: int) -> None:
        state = state_of(random_cluster(seed, hosts=2, vms_per_host=3, load=0.75))
        facts = facts_of(state)
        base = relaxed(state, facts, set(facts))
        for repair in find_conflict(state).repairs:
            if repair.missing:
                assert is_valid(widened(base, repair.fact, rounded_up(repair.missing)), repair.moves)
            if repair.is_least and repair.missing > 2 * STEP:
                assert cheapest(widened(base, repair.fact, repair.missing - 2 * STEP)) is None

    @pytest.mark.parametrize(("room", "told"), [(2.0, 2.0), (2.0000001, 2.0), (2.001, 2.01), (0.0004, 0.01), (0, 0)])
    def test_figures_are_rounded_so_that_they_still_do(self, room: float, told: float) -> None:
        assert rounded_up(room) == pytest.approx(told)


class TestWords:
    """One and many."""

    def test_what_has_to_leave_a_host_in_maintenance(self) -> None:
        maintenance = Fact(FactKind.MAINTENANCE, "host-0")
        for vms, sessions, told in (
            (0, 0, "takes nothing."),
            (1, 0, "takes nothing, and 1 VM has to leave it."),
            (2, 1, "takes nothing, and 2 VMs and 1 session have to leave it."),
            (0, 2, "takes nothing, and 2 sessions have to leave it."),
        ):
            items = [vm(f"v{i}") for i in range(vms)], [session(f"s{i}") for i in range(sessions)]
            state = state_of(build_cluster(2, items[0], sessions=items[1], maintenance=[0]))
            assert fact_sentence(state, [maintenance]).endswith(told)

    def test_a_host_of_its_own_kind_has_its_figure_once(self) -> None:
        hot = [vm(f"{h}{i}", h, cpu=45 if h == 0 else 42) for h in range(4) for i in range(2)]
        state = state_of(build_cluster(4, hot))
        said = fact_sentence(state, [Fact(FactKind.CPU, f"host-{h}") for h in range(4)])
        assert "host-0 must lose 5.00 cores of CPU; host-1 (1.00), host-2 (1.00) and host-3 (1.00) have room" in said

    def test_a_full_host_has_no_room_left(self) -> None:
        state = state_of(build_cluster(1, [vm("a", 0, cpu=85)]))
        assert fact_sentence(state, [CPU_0], is_proven=False) == (
            "No plan was found with this 1 fact in force: host-0 is at 85.0% CPU, threshold 85.0%: no room left."
        )
