"""What plans keep away, by hand: hosts of 100 cores with a threshold of 85."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.env.model.cluster import NOWHERE, Cluster, HostState
from quell.env.model.contention import ContentionKind
from quell.env.model.effectiveness import PlanOutcome, Prediction, outcome_of
from quell.env.model.rules import allowed_moves_MH
from quell.env.model.state import state_of
from tests.builders import Item, build_cluster, clusters, session, vm

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(cluster: Cluster, *dense: tuple[int, int]) -> Cluster:
    """The cluster with these (movable, host) elsewhere."""
    host_of_M = cluster.host_of_M.copy()
    for m, h in dense:
        host_of_M[m] = h
    return cluster.moved_to(host_of_M)


def judge(before: Cluster, after: Cluster, *dense: tuple[int, int], minutes: int = 15) -> PlanOutcome:
    """The verdict on these moves, carried out between the two."""
    return outcome_of(Prediction(7, state_of(before), dense, NOON), after, minutes)


def three(a: float | Sequence[float] = 45, b: float | Sequence[float] = 45, c: float | Sequence[float] = 30) -> Cluster:
    """a and b on host-0, 5 cores over its threshold, c on host-1."""
    return build_cluster(3, [vm("a", 0, a), vm("b", 0, b), vm("c", 1, c)])


@pytest.mark.parametrize(
    ("after", "measured"),
    [
        (three(), 5.0),  # all as before: 90 without the move
        (three(b=10), 0.0),  # the spike went away by itself: 55 without the move
        (three(b=[45] * 5 + [0] * 5), 2.5),  # it went away halfway
        (three(a=60), 20.0),  # a has grown: 105 without the move, 60 with it
        (three(a=100), 45.0),  # the host is hot again, but by all of b less than it would be
        (three(c=50), -5.0),  # c has grown: 5 kept away on host-0, 10 caused on host-1
    ],
    ids=["as predicted", "gone", "half gone", "more", "hot again", "harm"],
)
def test_measured_relief_is_the_excess_without_the_moves_less_the_excess_there_is(
    after: Cluster, measured: float
) -> None:
    outcome = judge(three(), at(after, (1, 1)), (1, 1))
    (relief,) = outcome.reliefs
    assert (relief.kind, relief.host) == (ContentionKind.CPU, "host-0")
    assert relief.predicted == pytest.approx(5, abs=1e-3)
    assert relief.measured == pytest.approx(measured, abs=1e-3)
    assert outcome.effectiveness == outcome.moves[0].effectiveness == pytest.approx(measured / 5, abs=1e-3)


def test_only_samples_since_the_end_of_the_plan_count() -> None:
    """Ten minutes of 45 cores before the plan, five of nothing after it."""
    after = three(b=[45.0] * 10 + [0.0] * 5)
    assert judge(three(), at(after, (1, 1)), (1, 1), minutes=5).effectiveness == pytest.approx(0, abs=1e-3)


def test_minutes_without_a_sample_count_like_the_others() -> None:
    after = three(b=[45.0, np.nan, 45.0, np.nan])
    assert judge(three(), at(after, (1, 1)), (1, 1), minutes=4).effectiveness == pytest.approx(1, abs=1e-3)


def test_moves_that_make_room_get_no_verdict() -> None:
    """c leaves host-1 so that b finds room there."""
    before = three(c=60)
    outcome = judge(before, at(before, (2, 2), (1, 1)), (2, 2), (1, 1))
    assert [(m.id, m.effectiveness is None) for m in outcome.moves] == [("b", False), ("c", True)]
    assert outcome.effectiveness == pytest.approx(1, abs=1e-3)


def test_moves_that_empty_a_host_get_no_verdict() -> None:
    before = build_cluster(2, [vm("a", 0, 95)], maintenance=[0])
    assert judge(before, at(before, (0, 1)), (0, 1)).effectiveness is None


def _off(cluster: Cluster, v: int) -> Cluster:
    """The cluster without a VM."""
    vms = list(cluster.inventory.vms)
    vms[v] = replace(vms[v], is_on=False)
    return replace(at(cluster, (v, NOWHERE)), inventory=replace(cluster.inventory, vms=tuple(vms)))


def _failed(cluster: Cluster, h: int) -> Cluster:
    """The cluster with a host down."""
    hosts = list(cluster.inventory.hosts)
    hosts[h] = replace(hosts[h], state=HostState.DOWN)
    return replace(cluster, inventory=replace(cluster.inventory, hosts=tuple(hosts)))


@pytest.mark.parametrize(
    "after",
    [_off(three(), 1), at(three(), (1, 2)), at(three(), (1, NOWHERE)), _failed(at(three(), (0, 2), (1, 1)), 0)],
    ids=["left", "moved again", "its host failed", "its source failed"],
)
def test_what_left_or_moved_again_is_left_out(after: Cluster) -> None:
    outcome = judge(three(), after, (1, 1))
    assert (outcome.reliefs, outcome.effectiveness) == ((), None)
    assert [(m.id, m.effectiveness) for m in outcome.moves] == [("b", None)]


def test_of_two_moves_the_one_that_still_counts_is_judged_by_itself() -> None:
    """100 cores on host-0; a and b leave, b dies. With a put back the host would have 55: nothing to relieve."""
    before = build_cluster(3, [vm("a", 0, 45), vm("b", 0, 45), vm("c", 0, 10)])
    outcome = judge(before, _off(at(before, (0, 1), (1, 2)), 1), (0, 1), (1, 2))
    (relief,) = outcome.reliefs
    assert relief.predicted == pytest.approx(15, abs=1e-3)
    assert relief.measured == pytest.approx(0, abs=1e-3)
    assert [m.effectiveness is None for m in outcome.moves] == [False, True]


def test_a_vm_that_stepped_aside_is_judged_from_its_source_to_its_last_target() -> None:
    before = three()
    (move,) = judge(before, at(before, (1, 1)), (1, 2), (1, 1)).moves
    assert (move.source, move.target) == ("host-0", "host-1")
    assert move.effectiveness == pytest.approx(1, abs=1e-3)


def test_sessions_and_storage_controllers() -> None:
    """Controllers of 8 cores, threshold 6.8: 7.8 before, a session of 2 leaves; then it needs only 1.4."""
    before = build_cluster(2, [vm("a", 0, storage=5.8)], sessions=[session("s", 0, 2)])
    after = build_cluster(2, [vm("a", 0, storage=5.8)], sessions=[session("s", 1, 1.4)])
    outcome = judge(before, after, (1, 1))
    (relief,) = outcome.reliefs
    assert (relief.kind, relief.predicted) == (ContentionKind.STORAGE_CPU, pytest.approx(1.0, abs=1e-3))
    assert outcome.moves[0].effectiveness == pytest.approx(0.4, abs=1e-3)


def test_memory_counts_the_need_above_what_the_host_has() -> None:
    """100 GiB; two VMs need 60 each before, and 60 and 45 after."""

    def needing(*needs: float, host: int) -> Cluster:
        listed: list[Item] = [
            vm("ab"[i], host if i else 0, 1, 80, usage_gib=min(need, 50), swap_gib=max(0, need - 50))
            for i, need in enumerate(needs)
        ]
        return build_cluster(2, listed, memory_gib=100)

    outcome = judge(needing(60, 60, host=0), needing(60, 45, host=1), (1, 1))
    (relief,) = outcome.reliefs
    assert relief.kind is ContentionKind.MEMORY_SWAP
    assert (relief.predicted, relief.measured) == (pytest.approx(20, abs=1e-3), pytest.approx(5, abs=1e-3))


@given(cluster=clusters(), data=st.data())
def test_where_nothing_changes_but_the_moves_the_prediction_comes_true(cluster: Cluster, data: st.DataObject) -> None:
    state = state_of(cluster)
    moves = np.argwhere(allowed_moves_MH(state))
    if len(moves) == 0:
        return
    m, h = map(int, moves[data.draw(st.integers(0, len(moves) - 1))])
    outcome = judge(cluster, at(cluster, (m, h)), (m, h), minutes=1)
    assert outcome.effectiveness is None or outcome.effectiveness == pytest.approx(1, abs=1e-6)
