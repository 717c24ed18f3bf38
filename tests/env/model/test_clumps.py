"""Clumps: VMs that R5 ties together move as one VM of their summed size, where the rules would say the same of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.env.gym.headroom import keeps_reservation_MH, restart_slack
from quell.env.model.clumps import Clumped, Clumps, clumps_of, largest_clump
from quell.env.model.cluster import MEMORY, Cluster
from quell.env.model.plan import Plan, Status, moves_of, validate
from quell.env.model.rules import allowed_moves_MH, check_move, is_ha_binding
from quell.env.model.state import State, state_of
from tests.builders import Item, apart, build_cluster, clumped_cluster, pinned, together, vm


def clumps(cluster: Cluster, *settled: int) -> list[list[int]]:
    """The VMs of each clump that can be moved as one."""
    return [vms.tolist() for vms in clumps_of(state_of(cluster), frozenset(settled)).vms_of.values()]


def three(**special: object) -> list[Item]:
    """a, b and c on the first host; c is made in a special way."""
    return [vm("a"), vm("b"), vm("c", **special)]  # type: ignore[arg-type]


class TestWhoMovesAsOne:
    def test_those_of_a_rule_that_share_a_host(self) -> None:
        vms = [vm("a"), vm("alone"), vm("b"), vm("far", 1)]
        assert clumps(build_cluster(2, vms, rules=[together("far", "b", "a")])) == [[0, 2]]

    def test_rules_that_share_a_vm_make_one_clump(self) -> None:
        vms = [vm(name) for name in "abcdef"]
        chained = [together("e", "f"), together("c", "d"), together("d", "e"), together("a", "b")]
        assert clumps(build_cluster(2, vms, rules=chained)) == [[0, 1], [2, 3, 4, 5]]

    def test_a_host_that_all_of_them_have_left_ties_nobody(self) -> None:
        assert clumps(build_cluster(2, [vm("a", -1), vm("b", -1)], rules=[together("a", "b")])) == []

    @pytest.mark.parametrize(
        "special", [{"is_on": False}, {"vgpu_gib": 8.0}, {"is_ha": False}, {"usage_gib": 4.0}], ids=str
    )
    def test_nobody_of_a_clump_in_which_one_is_unlike_the_others(self, special: dict[str, object]) -> None:
        assert clumps(build_cluster(2, three(), rules=[together("a", "b", "c")])) == [[0, 1, 2]]
        assert clumps(build_cluster(2, three(**special), rules=[together("a", "b", "c")])) == []

    def test_r3_must_give_all_of_them_the_same_hosts(self) -> None:
        rules = [together("a", "b", "c"), pinned("a", "b", hosts=[0, 1])]
        assert clumps(build_cluster(3, three(), rules=rules)) == []
        assert clumps(build_cluster(3, three(), rules=[*rules, pinned("c", hosts=[0, 1])])) == [[0, 1, 2]]

    def test_nobody_that_r4_keeps_apart_from_another_of_them(self) -> None:
        rules = [together("a", "b", "c")]
        assert clumps(build_cluster(2, three(), rules=[*rules, apart("c", "a")])) == []
        assert clumps(build_cluster(2, [*three(), vm("d", 1)], rules=[*rules, apart("c", "d")])) == [[0, 1, 2]]

    def test_who_must_stay_holds_its_clump(self) -> None:
        cluster = build_cluster(2, [vm(name) for name in "abcd"], rules=[together("a", "b"), together("c", "d")])
        assert clumps(cluster, 1) == [[2, 3]]

    def test_the_largest_a_clump_can_be_whatever_stands_where(self) -> None:
        vms = [vm("a"), vm("b", 1), vm("c"), vm("d")]
        assert largest_clump(build_cluster(2, vms, rules=[together("a", "b"), together("b", "c")]).inventory) == 3
        assert largest_clump(build_cluster(2, vms).inventory) == 1


class TestAsOne:
    def test_the_lead_has_the_demand_of_all(self) -> None:
        cluster = build_cluster(
            2, [vm("a", cpu=1, memory_gib=8), vm("x", cpu=2), vm("b", cpu=4)], rules=[together("a", "b")]
        )
        before = state_of(cluster)
        found = clumps_of(before)
        one = found.as_one(before)
        assert one.demand_MR[:, :2].tolist() == [[5, 24], [2, 16], [0, 0]]
        np.testing.assert_allclose(one.used_HR, before.used_HR)
        assert found.is_free_M(before).tolist() == [True, True, False]
        assert [found.lead(m) for m in range(3)] == [0, 1, 0]
        assert found.size_M(3).tolist() == [2, 1, 1]
        assert found.moves(0, 1) == ((0, 1), (2, 1))

    def test_without_clumps_nothing_changes(self) -> None:
        state = state_of(build_cluster(2, three()))
        assert Clumps().as_one(state) is state

    def test_it_goes_only_where_there_is_room_for_all(self) -> None:
        vms = [vm("a", cpu=30), vm("b", cpu=30), vm("c", 1, cpu=40), vm("d", 2, cpu=20)]
        here = Clumped.of(state_of(build_cluster(3, vms, rules=[together("a", "b")])))
        assert here.allowed_moves_NH(np.array([0, 2])).tolist() == [[False, False, True], [False, False, True]]
        assert here.check_moves(0, 2, is_ha_enforced=False) == ()
        (broken,) = here.check_moves(0, 1, is_ha_enforced=False)
        assert "host-1 to 100.0%, threshold 85.0%" in broken.detail

    def test_r4_of_each_of_them_binds_all(self) -> None:
        vms = [vm("a"), vm("b"), vm("c", 1)]
        here = Clumped.of(state_of(build_cluster(3, vms, rules=[together("a", "b"), apart("b", "c")])))
        assert here.allowed_moves_NH(np.array([0])).tolist() == [[False, False, True]]

    def test_nothing_moves_twice(self) -> None:
        here = Clumped.of(state_of(build_cluster(2, three(), rules=[together("a", "b")]))).moved(0, 1)
        assert here.is_free_M.tolist() == [False, False, True]
        assert here.before.host_of_M.tolist() == here.state.host_of_M.tolist() == [1, 1, 0]


def broken_by(before: State, found: Clumps, m: int, target: int) -> list[str]:
    """What the validator says of the moves of a lead as a plan."""
    moves = moves_of(before, found.moves(m, target))
    plan = Plan("c", "test", Status.PLANNED, "", moves=moves, cost_gib=sum(move.cost_gib for move in moves))
    return [str(violation) for violation in validate(before, plan, must_resolve=False)]


class TestProperties:
    @given(st.integers(0, 10_000))
    def test_every_allowed_move_of_a_clump_is_a_valid_plan(self, seed: int) -> None:
        before = state_of(clumped_cluster(seed))
        here = Clumped.of(before)
        leads, is_bound = np.array(list(here.clumps.vms_of), dtype=np.int64), is_ha_binding(before)
        assert leads.size
        for lead, allowed_H in zip(leads.tolist(), here.allowed_moves_NH(leads), strict=True):
            for target in range(before.inventory.host_count):
                is_kept = not here.check_moves(lead, target, is_ha_enforced=is_bound)
                assert is_kept == (not broken_by(before, here.clumps, lead, target)) or target == before.host_of_M[lead]
                if not is_bound and target != before.host_of_M[lead]:
                    assert allowed_H[target] == is_kept

    @given(st.integers(0, 10_000))
    def test_of_what_is_in_no_clump_the_rules_say_the_same(self, seed: int) -> None:
        before = state_of(clumped_cluster(seed))
        here = Clumped.of(before)
        alone = np.array(
            [m for m in np.flatnonzero(here.is_free_M).tolist() if m not in here.clumps.vms_of], dtype=np.int64
        )
        rows_NH, allowed_MH = here.allowed_moves_NH(alone), allowed_moves_MH(before)
        near_NH = (
            np.abs(before.used_HR[None] + before.demand_MR[alone, None] - before.inventory.limit_HR[None]).min(axis=2)
            < 1e-9
        )  # sums of other rows round in another way
        assert (rows_NH == allowed_MH[alone])[~near_NH].all()

    @given(st.integers(0, 10_000))
    def test_what_keeps_the_reservation_as_one_keeps_it_vm_by_vm(self, seed: int) -> None:
        before = state_of(clumped_cluster(seed, ha_failures=1))
        found = clumps_of(before)
        one = found.as_one(before)
        if (slack := restart_slack(one)) is None:
            return
        assert is_ha_binding(before)
        keeps_MH = keeps_reservation_MH(one, slack)
        for lead in found.vms_of:
            for target in range(before.inventory.host_count):
                if keeps_MH[lead, target] and not check_move(one, lead, target, is_ha_enforced=False):
                    state = before
                    for v, h in found.moves(lead, target):
                        assert [
                            b.reason for b in check_move(state, v, h, is_ha_enforced=True) if "R7" in b.reason
                        ] == []
                        state = state.moved(v, h)

    @given(st.integers(0, 10_000))
    def test_demand_is_gathered_and_not_changed(self, seed: int) -> None:
        before = state_of(clumped_cluster(seed))
        found = clumps_of(before)
        one = found.as_one(before)
        np.testing.assert_allclose(one.used_HR, before.used_HR, atol=1e-9)
        assert one.demand_MR[:, MEMORY].sum() == pytest.approx(before.demand_MR[:, MEMORY].sum())
        assert (one.members_HA == before.members_HA).all()
