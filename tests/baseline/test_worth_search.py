"""The search for moves that are worth their cost: the kernel against a slow telling of the same, and what it is for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.baseline.foresight import Foresight, foresight_of
from quell.baseline.worth_kernels import best_deed
from quell.baseline.worth_search import WorthLimits, board_of, choice_reason, choose_deeds
from quell.env.model.clumps import Clumped
from quell.env.model.cluster import CPU, NOWHERE, RESOURCES, STORAGE, Array, Host, Inventory, Vm
from quell.env.model.plan import Plan, Status, moves_of, validate
from quell.env.model.rules import allowed_moves_MH, check_move
from quell.env.model.state import State, state_from_demand, state_of
from tests.builders import build_cluster, clumped_cluster, together, vm

Deed = list[tuple[int, int]]


def cluster(cores_V: list[float], homes: list[int], hosts: int = 2, memory_gib: float = 8.0) -> State:
    """Hosts of 20 cores and 64 GiB, each VM with so many cores; the threshold is 17 cores."""
    inventory = Inventory(
        tuple(Host(f"host-{h}", 20, 64, 4) for h in range(hosts)),
        tuple(Vm(f"vm-{v}", 20, memory_gib) for v in range(len(cores_V))),
    )
    demand_MR = np.array([[cores, memory_gib, 0.1] for cores in cores_V])
    return state_from_demand(inventory, demand_MR, np.array(homes))


def to_come(state: State, cores_VB: list[list[float]]) -> Foresight:
    """An hour in equal blocks with this CPU demand."""
    cpu_VB = np.array(cores_VB)
    demand_MJB = np.stack([cpu_VB, np.full_like(cpu_VB, 0.1)], axis=1)
    return foresight_of(state, demand_MJB, np.full(cpu_VB.shape[1], 60 / cpu_VB.shape[1]))


def slow_deeds(state: State, foresight: Foresight, price_M: Array) -> dict[tuple[tuple[int, int], ...], float]:
    """Worth of every deed that starts on a costly host: played move by move, judged by the whole cluster's cost."""
    costly = foresight.host_cost_H() > 0
    free = [int(m) for m in np.flatnonzero(state.inventory.is_on_M & (state.host_of_M != NOWHERE))]
    H, found = state.inventory.host_count, {}
    hot = [m for m in free if costly[state.host_of_M[m]]]

    def note(deed: Deed) -> None:
        at, then = state, foresight
        for m, h in deed:
            if check_move(at, m, h, is_ha_enforced=False):
                return
            at, then = at.moved(m, h), then.moved(m, h)
        worth = foresight.host_cost_H().sum() - then.host_cost_H().sum() - sum(price_M[m] for m, _ in deed)
        found[tuple(deed)] = float(worth)

    for m, t in itertools.product(hot, range(H)):
        source = int(state.host_of_M[m])
        if t == source:
            continue
        note([(m, t)])
        for other in (o for o in free if state.host_of_M[o] == t):
            note([(m, t), (other, source)])
            for u in set(range(H)) - {t, source}:
                note([(other, u), (m, t)])
    return found


@given(st.integers(0, 10_000))
def test_the_best_deed_is_the_best_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hosts, vms = int(rng.integers(2, 5)), int(rng.integers(2, 9))
    homes = rng.integers(0, hosts, vms)
    state = cluster(rng.uniform(0, 8, vms).tolist(), homes.tolist(), hosts, memory_gib=float(rng.choice([4, 16])))
    foresight = to_come(state, rng.uniform(0, 16, (vms, 3)).tolist())
    price_M = rng.uniform(0, 20, vms)
    costly_M = (foresight.host_cost_H() > 0)[state.host_of_M]
    none = np.empty((0, 4), dtype=np.int64)
    worth, deed_4 = best_deed(board_of(Clumped.of(state), foresight, price_M, costly_M), 1.0, True, none)
    allowed = {deed: w for deed, w in slow_deeds(state, foresight, price_M).items() if w > 1.0}
    if not allowed:
        assert deed_4[0] == -1
        return
    deed = tuple((int(m), int(h)) for m, h in deed_4.reshape(2, 2) if m >= 0)
    assert allowed[deed] == pytest.approx(worth)
    assert worth == pytest.approx(max(allowed.values()))


def test_a_swap_where_no_single_move_helps() -> None:
    """20 and 13.5 cores on hosts of 17: 9 for 6.5 leaves 17.5 and 16, while any single move makes a new contention."""
    state = cluster([8, 6, 4, 6], [0, 0, 1, 1], memory_gib=4)
    foresight = to_come(state, [[11], [9], [7], [6.5]])
    alone = choose_deeds(state, foresight, np.full(4, 4.0), WorthLimits(with_pairs=False))
    both = choose_deeds(state, foresight, np.full(4, 4.0))
    assert alone == []
    assert [(c.m, c.target) for c in both] == [(1, 1), (3, 0)]
    assert both[0].worth > 0 and both[1].worth == 0.0


def test_room_is_made_where_it_pays() -> None:
    """vm-2 steps off host-1 to host-2 so that vm-0 fits there by memory."""
    hosts = Host("host-0", 20, 64, 4), Host("host-1", 20, 64, 4), Host("host-2", 2, 64, 4)
    inventory = Inventory(hosts, tuple(Vm(f"vm-{v}", 20, 40) for v in range(3)))
    demand_MR = np.array([[9.0, 30, 0.1], [9, 30, 0.1], [1, 40, 0.1]])
    state = state_from_demand(inventory, demand_MR, np.array([0, 0, 1]))
    chosen = choose_deeds(state, to_come(state, [[14], [10], [1]]), np.full(3, 5.0))
    assert [(c.m, c.target) for c in chosen] == [(2, 2), (0, 1)]
    assert "together with that of vm-" in choice_reason(state, chosen[0])
    assert choice_reason(state, chosen[1]) == "goes with the move of vm-2"


@pytest.mark.parametrize(("moves", "chosen"), [(1, [3]), (2, [0, 1]), (3, [0, 1])])
def test_a_clump_moves_where_the_plan_has_room_for_all_of_it(moves: int, chosen: list[int]) -> None:
    """host-0 has 121 cores of 85; a and b relieve all of it, y some; deeds that take too many moves are passed over."""
    vms = [vm("a", 0, 38, 8), vm("b", 0, 38, 8), vm("x", 0, 20, 8), vm("y", 0, 25, 8)]
    vms += [vm(f"v{h}-{i}", h, 4.0, 4) for h in range(1, 40) for i in range(2)]
    state = state_of(build_cluster(40, vms, rules=[together("a", "b")]))
    foresight = foresight_of(state, state.demand_MR[:, [CPU, STORAGE], None], np.array([60.0]))
    found = choose_deeds(state, foresight, np.full(len(vms), 1.0), WorthLimits(moves=moves, deeds=1))
    assert [c.m for c in found] == chosen
    assert [c.worth > 0 for c in found] == [True, False][: len(chosen)]
    if moves > 1:
        assert found[0].target == found[1].target
        assert choice_reason(state, found[0]).endswith("together with that of b")
        assert choice_reason(state, found[1]) == "goes with the move of a"


@given(st.integers(0, 10_000))
def test_what_is_chosen_where_there_are_clumps_is_valid_and_pays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = state_of(clumped_cluster(seed))
    demand_MJB = state.demand_MR[:, [CPU, STORAGE], None] * rng.uniform(0.5, 2.0, (state.host_of_M.size, 1, 3))
    foresight = foresight_of(state, demand_MJB, np.full(3, 20.0))
    price_M = rng.uniform(0, 20, state.host_of_M.size)
    chosen = choose_deeds(state, foresight, price_M)
    moves = moves_of(state, [(c.m, c.target) for c in chosen])
    plan = Plan("c", "test", Status.PLANNED, "", moves=moves, cost_gib=sum(move.cost_gib for move in moves))
    assert not chosen or validate(state, plan, must_resolve=False) == ()
    then = foresight
    for choice in chosen:
        then = then.moved(choice.m, choice.target)
    won = foresight.host_cost_H().sum() - then.host_cost_H().sum() - sum(price_M[c.m] for c in chosen)
    assert won == pytest.approx(sum(c.worth for c in chosen))
    assert len(chosen) <= 8


@given(st.integers(0, 10_000))
def test_every_chosen_move_keeps_the_rules_and_pays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = cluster(rng.uniform(0, 9, 10).tolist(), rng.integers(0, 3, 10).tolist(), 3, memory_gib=10)
    foresight = to_come(state, rng.uniform(0, 14, (10, 4)).tolist())
    price_M = rng.uniform(0, 20, 10)
    chosen = choose_deeds(state, foresight, price_M)
    at, then = state, foresight
    for choice in chosen:
        assert not check_move(at, choice.m, choice.target, is_ha_enforced=False)
        at, then = at.moved(choice.m, choice.target), then.moved(choice.m, choice.target)
    won = foresight.host_cost_H().sum() - then.host_cost_H().sum() - sum(price_M[c.m] for c in chosen)
    assert won == pytest.approx(sum(c.worth for c in chosen))
    assert len({c.m for c in chosen}) == len(chosen) <= 8


def test_the_board_opens_what_the_rules_allow() -> None:
    state = cluster([4, 4, 4], [0, 0, 1])
    board = board_of(Clumped.of(state), to_come(state, [[4], [4], [4]]), np.ones(3), np.ones(3, bool))
    assert (board.is_open_MH == allowed_moves_MH(state)).all()
    assert board.estimate_MR.shape == (3, RESOURCES)
