"""The families of the shortlist: what each ranks by, and how they share the slots."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.gym.families import cover_of_leaving, in_turn, strain, worth_pairs
from quell.env.gym.shortlist import Kind, room_of_leaving, shortlist
from quell.env.gym.view import PlanView, look_at
from quell.env.model.cluster import Host, HostState, Inventory, PlacementRule, RuleKind, Vm, make_cluster
from quell.env.model.rules import allowed_moves_MH


def view_of(
    vms: list[tuple[int, float, float]],
    *,
    hosts: int = 2,
    rules: tuple[PlacementRule, ...] = (),
    states: tuple[HostState, ...] = (),
) -> PlanView:
    """Hosts of 10 cores, 64 GiB, 4 controller cores; VMs v0, v1, ... as (host, CPU cores, memory GiB), for an hour."""
    states = states or (HostState.UP,) * hosts
    inventory = Inventory(
        hosts=tuple(Host(f"h{h}", 10, 64, 4, state=states[h]) for h in range(hosts)),
        vms=tuple(Vm(f"v{v}", 8, memory_gib) for v, (_, _, memory_gib) in enumerate(vms)),
        rules=rules,
    )
    cpu_VT = np.repeat([[cpu] for _, cpu, _ in vms], 60, axis=1)
    return look_at(make_cluster(inventory, [h for h, _, _ in vms], cpu_VT, np.zeros_like(cpu_VT)))


class TestCover:
    def test_share_of_the_contention_that_leaving_resolves(self) -> None:
        # h0 has 9.5 cores: 1 above the threshold of 8.5; h1 none.
        view = view_of([(0, 6.5, 8), (0, 2.5, 8), (0, 0.5, 8), (1, 3, 8)])
        np.testing.assert_allclose(cover_of_leaving(view), [1, 1, 0.5, 0])

    def test_what_must_leave_covers_all(self) -> None:
        view = view_of([(0, 1, 8), (1, 1, 8)], states=(HostState.MAINTENANCE, HostState.UP))
        assert cover_of_leaving(view).tolist() == [1, 0]

    def test_the_cheapest_plan_is_on_a_list_of_four(self) -> None:
        # v2 alone resolves 1 core for 2 GiB; h2 has the lowest node score, so the exact planner moves v2 there.
        view = view_of([(0, 4.0, 32), (0, 4.3, 32), (0, 1.2, 2), (1, 3, 8), (2, 0.5, 8)], hosts=3)
        listed = shortlist(view, slots=4)
        assert (2, 2) in {listed.move(s) for s in range(1, 5)}


class TestWorth:
    def test_overload_counts_once_and_what_goes_unserved_twice(self) -> None:
        view = view_of([(0, 6.5, 8), (0, 4.5, 8)])  # 11 cores: 2.5 above the threshold, 1 above capacity
        np.testing.assert_allclose(strain(view, view.used_HJB, np.arange(2)), [3.5, 0])

    def test_the_best_pair_comes_first_and_what_wins_nothing_does_not_come(self) -> None:
        # Each of v0 and v1 takes off all 2.5 + 1, v0 for a fifth of the GiB; targets that win the same come by index.
        view = view_of([(0, 6.5, 8), (0, 4.5, 40), (1, 1.9, 8), (2, 0.5, 8)], hosts=3)
        movables, targets = worth_pairs(np.array([0, 1]), view, allowed_moves_MH(view.state), 10)
        assert (movables[0], targets[0]) == (0, 1)
        assert set(zip(movables.tolist(), targets.tolist(), strict=True)) == {(0, 1), (0, 2), (1, 1), (1, 2)}
        calm = view_of([(0, 4, 8), (0, 4, 8), (1, 1, 8)])  # near its threshold, so nothing is won yet
        assert worth_pairs(np.array([0, 1]), calm, allowed_moves_MH(calm.state), 10)[0].size == 0


class TestRoom:
    def test_room_in_two_steps(self) -> None:
        # v0 (6 cores) must leave h0 and fits nowhere; on h1 it lacks 4.5 cores, and v2 and v3 free 2.5 each.
        view = view_of([(0, 6, 8), (0, 3.5, 50), (1, 2.5, 8), (1, 2.5, 8), (1, 2, 40), (2, 5.5, 8)], hosts=3)
        room_M = room_of_leaving(view)
        assert room_M[2] == pytest.approx(room_M[3]) and room_M[2] > 0
        listed = shortlist(view)
        assert {2, 3} <= set(listed.movable_K[listed.kind_K == Kind.ROOM].tolist())

    def test_no_room_for_what_may_not_move(self) -> None:
        apart = PlacementRule("apart", RuleKind.VM_VM_ANTI_AFFINITY, ("v0", "v1"))
        pair = PlacementRule("pair", RuleKind.VM_VM_AFFINITY, ("v0", "v1"))  # which cannot be moved as one
        vms = [(0, 6.0, 8.0), (0, 3.5, 8.0), (1, 5.0, 8.0)]
        assert room_of_leaving(view_of(vms)).any()
        assert not room_of_leaving(view_of(vms, rules=(pair, apart))).any()

    def test_a_host_that_only_was_hot_makes_room_for_one_that_is(self) -> None:
        # h1 is near its threshold by the outlook, h0 over it: h1's v2 leaves for v0.
        view = view_of([(0, 4.5, 8), (0, 4.5, 60), (1, 4.4, 8), (1, 3.4, 8), (2, 4.0, 8)], hosts=3)
        listed = shortlist(view)
        assert {(2, 2), (3, 2)} & {listed.move(s) for s in range(1, 65)}


def test_families_take_turns_by_their_shares_and_no_pair_twice() -> None:
    first = (np.array([0, 0, 0]), np.array([1, 2, 3]))
    second = (np.array([0, 5]), np.array([2, 5]))  # (0, 2) is due before the first family's second turn
    picks_P2 = in_turn([first, second], [1.0, 0.5], 10)
    assert picks_P2.tolist() == [[0, 1], [0, 2], [0, 3], [5, 5]]
    assert in_turn([first, second], [1.0, 0.5], 2).tolist() == [[0, 1], [0, 2]]
    nothing = np.array([], dtype=np.int64)
    assert in_turn([(nothing, nothing)], [1.0], 3).shape == (0, 2)
