"""Every placement that moves lead to: refusals proven, and the cheapest plan where things step aside several times."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.baseline.ads import Ads
from quell.baseline.exact import Exact
from quell.baseline.reachable import MOST_PLACEMENTS, Reached, reach
from quell.baseline.search_board import board_of
from quell.env.model.contention import unresolved_H
from quell.env.model.plan import Plan, Status, moves_of, validate
from quell.env.model.rules import allowed_moves_MH, check_move, is_ha_binding, vm_vm_affinity
from quell.env.model.state import State, state_of
from quell.experiments.instances import Size, draw_cluster
from tests.baseline.test_search import cheapest
from tests.builders import apart, build_cluster, random_cluster, vm

VERY_FULL = (0.85, 0.97)  # memory of a host in use


def look_at_all(state: State, most: int = MOST_PLACEMENTS) -> Reached:
    """Every placement, from the state alone."""
    return reach(state, board_of(state), most)


def test_where_nothing_can_move_the_refusal_is_proven_at_once() -> None:
    """host-0 is short of CPU; its VMs must not meet those on host-1, which must not meet those on host-0."""
    vms = [vm("a", 0, cpu=45), vm("b", 0, cpu=45), vm("x", 1), vm("y", 1)]
    cluster = build_cluster(2, vms, rules=[apart("a", "x"), apart("b", "y")])
    met = look_at_all(state_of(cluster))
    assert (met.placements, met.is_all, met.moves) == (1, True, None)
    for plan in (Ads().plan(cluster), Exact().plan(cluster)):
        assert (plan.status, plan.proven) == (Status.REFUSED, True)
        assert "no move is allowed" in plan.reason


def test_an_open_cluster_is_left_to_the_search() -> None:
    cluster = build_cluster(8, [vm(f"v{i}", 0, cpu=9 + i / 100) for i in range(40)])
    met = look_at_all(state_of(cluster), 200)
    assert (met.moves, met.is_all, met.refusal) == (None, False, None)
    assert met.placements == 200


def test_time_runs_out_as_asked() -> None:
    state = state_of(build_cluster(8, [vm(f"v{i}", 0, cpu=9 + i / 100) for i in range(40)]))
    look_at_all(state, 10)
    started = time.perf_counter()
    met = reach(state, board_of(state), 1_000_000, seconds=0.05)
    assert met.moves is not None or not met.is_all
    assert time.perf_counter() - started < 0.5


@settings(max_examples=80)
@given(seed=st.integers(0, 2**32 - 1), hosts=st.integers(2, 3), load=st.floats(0.5, 0.85))
def test_what_it_proves_is_so(seed: int, hosts: int, load: float) -> None:
    """Held against exhaustive search: the cheapest plan, or none, and it never gives up on so few placements."""
    state = state_of(random_cluster(seed, hosts=hosts, vms_per_host=2, load=load))
    if not unresolved_H(state).any():
        return
    met, truth = look_at_all(state), cheapest(state)
    assert met.is_all
    assert (met.moves is None) == (truth is None)
    if met.moves is not None and truth is not None:
        assert met.cost_gib == pytest.approx(truth)
        assert_valid(state, met)


def assert_valid(state: State, met: Reached) -> None:
    """The one judge lets the moves pass, and they cost what is said."""
    assert met.moves is not None
    moves = moves_of(state, met.moves)
    cost_gib = sum(move.cost_gib for move in moves)
    plan = Plan("", "", Status.PLANNED, "", moves=moves, cost_gib=cost_gib)
    broken = [violation for violation in validate(state, plan) if "resize" not in violation.detail]
    assert broken == []
    assert cost_gib == pytest.approx(met.cost_gib)


def reachable_by_the_rules(start: State, most: int) -> int | None:
    """How many placements moves can lead to by the rules themselves, if none ends a plan; None where one does."""
    is_ha_enforced, seen, waiting = is_ha_binding(start), {start.host_of_M.tobytes()}, [start]
    while waiting and len(seen) <= most:
        state = waiting.pop()
        if not unresolved_H(state).any() and not vm_vm_affinity(start, state):
            return None
        for m, h in np.argwhere(allowed_moves_MH(state)).tolist():
            after = state.moved(m, h)
            key = after.host_of_M.tobytes()
            if key not in seen and not check_move(state, m, h, is_ha_enforced=is_ha_enforced):
                seen.add(key)
                waiting.append(after)
    return len(seen)


@pytest.mark.parametrize("seed", range(24))
def test_the_kernel_looks_at_the_placements_that_the_rules_allow(seed: int) -> None:
    """Very full clusters with vGPUs, sessions, pins, swapping hosts, maintenance and reservations."""
    state = state_of(draw_cluster(Size(3, 12), seed, VERY_FULL))
    met = look_at_all(state, 300)
    expected = reachable_by_the_rules(state, 300)
    if met.moves is not None:
        assert expected is None
        assert_valid(state, met)
    elif met.is_all:
        assert met.placements == expected


@pytest.mark.parametrize("seed", [5023, 5044, 5047, 5058])
def test_refusals_of_very_full_clusters_are_proven(seed: int) -> None:
    """Placements without contention exist, and no order of moves leads there: the search could not tell for sure."""
    plan = Ads(is_interactive=True).plan(draw_cluster(Size(4, 20), seed, VERY_FULL))
    assert (plan.status, plan.proven) == (Status.REFUSED, True)
    assert "moves can lead to no more than" in plan.reason


def test_a_plan_is_found_where_things_step_aside_several_times() -> None:
    """Refused before, without a proof."""
    cluster = draw_cluster(Size(3, 12), 5069, VERY_FULL)
    for plan in (Ads().plan(cluster), Ads(is_interactive=True).plan(cluster), Exact(is_interactive=True).plan(cluster)):
        assert (plan.status, plan.proven) == (Status.PLANNED, True)
        assert validate(state_of(cluster), plan) == ()
        assert plan.cost_gib == pytest.approx(184.13)


def test_a_cheaper_plan_with_several_detours_is_found_too() -> None:
    """168.95 GiB before, where 118.93 do."""
    plan = Ads(is_interactive=True).plan(draw_cluster(Size(3, 12), 5078, VERY_FULL))
    assert plan.proven and plan.cost_gib == pytest.approx(118.93)


def test_only_what_costs_less_is_looked_at() -> None:
    """Nothing is cheaper than the cheapest plan: proven by looking at the few placements that cost less."""
    state = state_of(draw_cluster(Size(3, 12), 5078, VERY_FULL))
    assert reach(state, board_of(state)).cost_gib == pytest.approx(118.93)
    cheaper = reach(state, board_of(state), below_gib=118.93)
    assert cheaper.moves is None and cheaper.is_all
