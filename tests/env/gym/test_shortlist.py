"""The shortlist: only what the rules allow, what matters first, spread out; and the same moves every time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.env.gym.shortlist import Kind, Shortlist, all_pairs, is_quiet, shortlist
from quell.env.gym.view import PlanView, look_at
from quell.env.model.cluster import Cluster, Host, HostState, Inventory, PlacementRule, RuleKind, Vm, make_cluster
from quell.env.model.plan import validate
from quell.env.model.rules import check_move, is_ha_binding

RandomCluster = Callable[[int], Cluster]
# The model's estimate of a VM without a sample is NaN, and numpy says so.
pytestmark = pytest.mark.filterwarnings("ignore:All-NaN slice")

seeds = st.integers(min_value=0, max_value=10**6)


def cluster_of(
    vms: list[tuple[int, float, float]], *, hosts: int = 2, rules: tuple[PlacementRule, ...] = (), **states: HostState
) -> Cluster:
    """Hosts h0, h1, ... of 10 cores, 64 GiB, 4 controller cores; VMs v0, v1, ... as (host, CPU cores, memory GiB)."""
    inventory = Inventory(
        hosts=tuple(Host(f"h{h}", 10, 64, 4, state=states.get(f"h{h}", HostState.UP)) for h in range(hosts)),
        vms=tuple(Vm(f"v{v}", 8, memory_gib) for v, (_, _, memory_gib) in enumerate(vms)),
        rules=rules,
    )
    return make_cluster(inventory, [h for h, _, _ in vms], [cpu for _, cpu, _ in vms], [0.0] * len(vms))


def moves(listed: Shortlist) -> set[tuple[int, int]]:
    """The moves on offer."""
    return {move for slot in range(listed.mask_S.size) if (move := listed.move(slot)) is not None}


class TestKinds:
    def test_hot_host_gets_relief_by_what_is_allowed(self) -> None:
        # v1 fits on h1 (5 cores after), v0 does not (6.5 + 3 = 9.5 cores).
        listed = shortlist(look_at(cluster_of([(0, 6.5, 8), (0, 2, 8), (1, 3, 8)])))
        assert moves(listed) == {(1, 1)}
        assert listed.kind_K[0] == Kind.RELIEF

    def test_cool_cluster_is_quiet(self) -> None:
        view = look_at(cluster_of([(0, 7.6, 8), (1, 1, 8)]))  # 0.76 / 0.85 = 0.89 of the threshold
        assert is_quiet(view)
        assert shortlist(view).is_empty

    def test_host_near_its_threshold_is_not_quiet(self) -> None:
        view = look_at(cluster_of([(0, 4, 8), (0, 3.7, 8), (1, 1, 8)]))  # 0.77 / 0.85 = 0.906 of it
        assert not is_quiet(view)
        assert moves(shortlist(view)) == {(0, 1), (1, 1)}

    def test_maintenance_host_is_evacuated(self) -> None:
        listed = shortlist(look_at(cluster_of([(0, 1, 8), (0, 1, 4)], hosts=3, h0=HostState.MAINTENANCE)))
        assert moves(listed) == {(0, 1), (0, 2), (1, 1), (1, 2)}
        assert set(listed.kind_K[:4]) == {Kind.EVACUATION}

    def test_room_is_made_where_no_single_move_helps(self) -> None:
        # The three-host example of the contract: a1 (45 cores) can leave node-1 once c2 (15) has left node-3, or one of
        # b1 and b2 node-2.
        demands = [(0, 45.0), (0, 45.0), (1, 35.0), (1, 30.0), (2, 35.0), (2, 15.0)]
        memory = (64, 72, 32, 32, 32, 16)
        inventory = Inventory(
            hosts=tuple(Host(f"node-{h + 1}", 100, 512, 8) for h in range(3)),
            vms=tuple(
                Vm(name, 48, gib) for name, gib in zip(("a1", "a2", "b1", "b2", "c1", "c2"), memory, strict=True)
            ),
        )
        view = look_at(make_cluster(inventory, [h for h, _ in demands], [cpu for _, cpu in demands], [1.0] * 6))
        first = shortlist(view)
        assert moves(first) == {(5, 1), (2, 2), (3, 2)}
        assert set(first.kind_K[:3]) == {Kind.ROOM}
        second = shortlist(view.after(5, 1))
        assert (0, 2) in moves(second)  # a1 to node-3
        assert validate(view.round.start, view.after(5, 1).after(0, 2).plan("test")) == ()

    def test_overfull_memory_is_relieved(self) -> None:
        listed = shortlist(look_at(cluster_of([(0, 1, 40), (0, 1, 32), (1, 1, 8)])))
        assert moves(listed) == {(0, 1), (1, 1)}


class TestOffers:
    def test_affinity_clump_stays_together(self) -> None:
        rule = PlacementRule("pair", RuleKind.VM_VM_AFFINITY, ("v0", "v1"))
        vms = [(0, 3.0, 8.0), (0, 3.0, 8.0), (0, 3.0, 8.0), (1, 1.0, 8.0)]
        view = look_at(cluster_of(vms, rules=(rule,)))
        assert moves(shortlist(view)) == {(0, 1), (2, 1)}
        after = view.after(0, 1)
        assert [(move.id, move.target) for move in after.plan("test").moves] == [("v0", "h1"), ("v1", "h1")]
        assert validate(view.round.before, after.plan("test")) == ()

    def test_lone_member_of_an_affinity_rule_may_move(self) -> None:
        rule = PlacementRule("pair", RuleKind.VM_VM_AFFINITY, ("v0", "v3"))
        vms = [(0, 3.0, 8.0), (0, 3.0, 8.0), (0, 3.0, 8.0), (1, 1.0, 8.0)]
        assert (0, 1) in moves(shortlist(look_at(cluster_of(vms, rules=(rule,)))))

    def test_no_movable_moves_twice_in_a_plan(self) -> None:
        view = look_at(cluster_of([(0, 4, 8), (0, 4, 8), (0, 4, 8)], hosts=3))
        after = view.after(0, 1)
        assert all(m != 0 for m, _ in moves(shortlist(after)))

    def test_a_small_list_holds_several_movables_and_targets(self) -> None:
        listed = shortlist(look_at(cluster_of([(0, 1.0, 2.0 + v) for v in range(12)], hosts=8)), slots=32)
        assert int(listed.mask_S.sum()) == 33
        assert len({m for m, _ in moves(listed)}) == 12
        assert len({h for _, h in moves(listed)}) >= 3

    def test_empty_slots_are_masked_and_stop_never_is(self) -> None:
        listed = shortlist(look_at(cluster_of([(0, 6.5, 8), (0, 2, 8), (1, 3, 8)])), slots=5)
        assert listed.mask_S.tolist() == [True, True, False, False, False, False]
        assert listed.move(0) is None
        assert listed.move(3) is None


class TestProperties:
    @settings(max_examples=60)
    @given(seed=seeds)
    def test_every_slot_keeps_the_rules_and_every_plan_is_valid(self, random_cluster: RandomCluster, seed: int) -> None:
        view = look_at(random_cluster(seed))
        start, rng = view.round.before, np.random.default_rng(seed)
        assert view.round.is_ha_enforced == is_ha_binding(start)
        for _ in range(4):
            listed = shortlist(view)
            for m, target in moves(listed):
                assert check_move(view.state, m, target, is_ha_enforced=view.round.is_ha_enforced) == ()
            if listed.is_empty:
                break
            slot = int(rng.choice(np.flatnonzero(listed.mask_S[1:]))) + 1
            view = chosen(view, listed, slot)
        assert validate(start, view.plan("test"), must_resolve=False) == ()

    @settings(max_examples=40)
    @given(seed=seeds)
    def test_mask_of_pairs_is_the_validator(self, random_cluster: RandomCluster, seed: int) -> None:
        view = look_at(random_cluster(seed))
        inventory, fixed = view.round.inventory, view.round
        if np.isnan(view.state.used_HR).any():  # nothing can be said of a host whose demand is unknown
            return
        listed = all_pairs(view, slots=500)
        for m in range(inventory.movable_count):
            for h in range(inventory.host_count):
                is_valid = fixed.clumps.check_moves(view.by_vm, m, h, is_ha_enforced=fixed.is_ha_enforced) == ()
                is_stuck = inventory.is_on_M[m] and view.state.host_of_M[m] >= 0 and not fixed.is_free_M[m]  # R5
                assert listed.mask_S[1 + m * inventory.host_count + h] == (is_valid and not is_stuck)

    @settings(max_examples=25)
    @given(seed=seeds)
    def test_the_same_cluster_gives_the_same_list(self, random_cluster: RandomCluster, seed: int) -> None:
        first, second = shortlist(look_at(random_cluster(seed))), shortlist(look_at(random_cluster(seed)))
        np.testing.assert_array_equal(first.movable_K, second.movable_K)
        np.testing.assert_array_equal(first.target_K, second.target_K)
        assert len(moves(first)) == first.mask_S[1:].sum()  # no move twice


def test_too_many_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs of 3 movables and 2 hosts need 6 slots, there are 5"):
        all_pairs(look_at(cluster_of([(0, 1, 8), (0, 1, 8), (1, 1, 8)])), slots=5)


def chosen(view: PlanView, listed: Shortlist, slot: int) -> PlanView:
    """The view after the move in a slot."""
    move = listed.move(slot)
    assert move is not None
    return view.after(*move)
