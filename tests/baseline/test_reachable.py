"""Refusals proven by looking at every placement that moves can lead to."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from quell.baseline.ads import Ads
from quell.baseline.exact import Exact
from quell.baseline.reachable import MOST_PLACEMENTS, reachable_without_plan
from quell.env.model.contention import unresolved_H
from quell.env.model.plan import Status
from quell.env.model.state import state_of
from tests.baseline.test_search import cheapest
from tests.builders import apart, build_cluster, random_cluster, vm


def test_where_nothing_can_move_the_refusal_is_proven_at_once() -> None:
    """host-0 is short of CPU; its VMs must not meet those on host-1, which must not meet those on host-0."""
    vms = [vm("a", 0, cpu=45), vm("b", 0, cpu=45), vm("x", 1), vm("y", 1)]
    cluster = build_cluster(2, vms, rules=[apart("a", "x"), apart("b", "y")])
    assert reachable_without_plan(state_of(cluster)) == 1
    for plan in (Ads().plan(cluster), Exact().plan(cluster)):
        assert (plan.status, plan.proven) == (Status.REFUSED, True)
        assert "no move is allowed" in plan.reason


def test_an_open_cluster_is_left_to_the_search() -> None:
    cluster = build_cluster(8, [vm(f"v{i}", 0, cpu=9) for i in range(20)])
    assert reachable_without_plan(state_of(cluster)) is None


@settings(max_examples=80)
@given(seed=st.integers(0, 2**32 - 1), hosts=st.integers(2, 3), load=st.floats(0.5, 0.85))
def test_what_it_proves_is_so(seed: int, hosts: int, load: float) -> None:
    """Held against exhaustive search: no plan exists where it says so, and it never gives up on so few placements."""
    state = state_of(random_cluster(seed, hosts=hosts, vms_per_host=2, load=load))
    if not unresolved_H(state).any():
        return
    reached = reachable_without_plan(state, 10 * MOST_PLACEMENTS)
    assert (reached is not None) == (cheapest(state) is None)
