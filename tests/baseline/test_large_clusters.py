"""The search where many hosts are contended at once, and its HA test where it has many VMs to restart."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from quell.baseline.rule_kernels import has_reservation
from quell.baseline.search import SearchLimits, search
from quell.baseline.search_board import Board, board_of
from quell.env.model.availability import failure_scenarios
from quell.env.model.availability import has_reservation as has_reservation_by_rules
from quell.env.model.cluster import HighAvailability
from quell.env.model.contention import unresolved_H
from quell.env.model.plan import Plan, Status, moves_of, validate
from quell.env.model.state import State, state_of
from quell.experiments.instances import Size, draw_cluster
from tests.builders import build_cluster, vm


def test_forty_hot_hosts_need_more_than_eighty_moves() -> None:
    """Every other host is hot and must lose two of its four VMs."""
    vms = [vm(f"hot-{h}-{i}", h, 32 + 0.1 * i, 8 + i) for h in range(0, 80, 2) for i in range(4)]
    vms += [vm(f"cool-{h}", h, 10, 8) for h in range(1, 80, 2)]
    state = state_of(build_cluster(80, vms))
    found = search(state, SearchLimits(nodes=20_000))
    assert found.moves is not None and len(found.moves) == 80
    assert found.is_proven_optimal
    plan = Plan("", "", Status.PLANNED, "", moves=moves_of(state, found.moves), cost_gib=found.cost_gib)
    assert validate(state, plan) == ()


@pytest.mark.parametrize("seed", [3, 4])
def test_a_plan_is_found_for_hundreds_of_vms(seed: int) -> None:
    state = state_of(draw_cluster(Size(64, 900), seed))
    assert unresolved_H(state).sum() > 4
    found = search(state, SearchLimits(nodes=100_000))
    assert found.moves is not None
    plan = Plan("", "", Status.PLANNED, "", moves=moves_of(state, found.moves), cost_gib=found.cost_gib)
    assert [v for v in validate(state, plan) if "resize" not in v.detail] == []


@njit(cache=True)
def ask_kernel(board: Board) -> bool:
    """What the kernel says of the reservation."""
    return has_reservation(board)


def fuller(state: State, memory_share: float) -> State:
    """The state with every host's memory cut down to what it uses and a little more."""
    inventory = state.inventory
    memory_H = np.maximum(state.used_HR[:, 1] * (1 + memory_share), 1.0)
    hosts = tuple(replace(h, memory_gib=float(gib)) for h, gib in zip(inventory.hosts, memory_H, strict=True))
    return replace(state, inventory=replace(inventory, hosts=hosts))


@pytest.mark.parametrize("failures", [1, 2])
def test_the_reservation_on_larger_clusters_is_that_of_the_rules(failures: int) -> None:
    """From hopeless over just enough to plenty of memory."""
    verdicts = []
    for seed, share in itertools.product(range(6), (0.15, 0.2, 0.3, 0.6, 1.2)):
        cluster = draw_cluster(Size(8, 80), seed)
        guaranteed = replace(cluster.inventory, high_availability=HighAvailability(True, failures))
        state = fuller(state_of(replace(cluster, inventory=guaranteed)), share)
        failed_SF = np.array(list(failure_scenarios(state)), dtype=np.int64)
        verdicts.append(ask_kernel(board_of(state)._replace(failed_SF=failed_SF)))
        assert verdicts[-1] == has_reservation_by_rules(state)
    assert set(verdicts) == {True, False}
