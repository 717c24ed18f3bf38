"""The quick reservation test: never laxer than the search, and hardly stricter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.env.gym.headroom import keeps_reservation_MH, must_be_searched_M, restart_slack
from quell.env.model.cluster import Cluster, HighAvailability, Host, Inventory, Vm, make_cluster
from quell.env.model.rules import allowed_moves_MH, check_move, is_ha_binding
from quell.env.model.state import state_of

# The model's estimate of a VM without a sample is NaN, and numpy says so.
pytestmark = pytest.mark.filterwarnings("ignore:All-NaN slice")


def reserved_cluster(memory_gib: list[tuple[int, float]], hosts: int = 3) -> Cluster:
    """Hosts of 64 GiB with one failure reserved for, VMs as (host, GiB)."""
    inventory = Inventory(
        hosts=tuple(Host(f"h{h}", 32, 64, 4) for h in range(hosts)),
        vms=tuple(Vm(f"v{v}", 4, gib) for v, (_, gib) in enumerate(memory_gib)),
        high_availability=HighAvailability(is_guaranteed=True),
    )
    zeros = [0.0] * len(memory_gib)
    return make_cluster(inventory, [h for h, _ in memory_gib], zeros, zeros)


def test_a_move_that_fills_the_reserve_does_not_pass() -> None:
    # If h1 fails, v1 (48 GiB) restarts on h0, which has 48 free; with v3 there as well, h0 and h2 would have 32 each.
    state = state_of(reserved_cluster([(0, 16.0), (1, 48.0), (2, 32.0), (2, 16.0)]))
    assert is_ha_binding(state)
    assert not keeps_reservation_MH(state, restart_slack(state))[3, 0]
    assert check_move(state, 3, 0, is_ha_enforced=True) != ()


def test_a_move_that_leaves_the_reserve_passes() -> None:
    state = state_of(reserved_cluster([(0, 8.0), (0, 8.0), (1, 16.0), (2, 16.0)]))
    assert keeps_reservation_MH(state, restart_slack(state))[0, 1]


def test_what_a_failure_leaves_free_is_counted() -> None:
    # If h0 fails, v0 goes to h2, where most is free: 64 - 10 - 30 = 24 there, 64 - 20 = 44 on h1.
    found = restart_slack(state_of(reserved_cluster([(0, 30.0), (1, 20.0), (2, 10.0)])))
    assert found is not None
    slack_FH, failed_FH = found
    np.testing.assert_array_equal(failed_FH, np.eye(3, dtype=bool))
    np.testing.assert_allclose(slack_FH[0], [-np.inf, 44.0, 24.0], atol=1e-3)


@settings(max_examples=120)
@given(seed=st.integers(min_value=0, max_value=10**6))
def test_never_laxer_than_the_search(random_cluster: Callable[[int], Cluster], seed: int) -> None:
    state = state_of(random_cluster(seed))
    if not is_ha_binding(state):
        return
    for m, h in np.argwhere(allowed_moves_MH(state) & keeps_reservation_MH(state, restart_slack(state))).tolist():
        assert check_move(state, m, h, is_ha_enforced=True) == ()


def test_hardly_stricter_than_the_search(random_cluster: Callable[[int], Cluster]) -> None:
    allowed = passed = 0
    for seed in range(150):
        state = state_of(random_cluster(seed))
        if not is_ha_binding(state):
            continue
        keeps_MH = keeps_reservation_MH(state, restart_slack(state))
        for m, h in np.argwhere(allowed_moves_MH(state) & ~must_be_searched_M(state)[:, None]).tolist():
            if not check_move(state, m, h, is_ha_enforced=True):
                allowed += 1
                passed += int(keeps_MH[m, h])
    assert allowed > 100
    assert passed >= 0.9 * allowed
