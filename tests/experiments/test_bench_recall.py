"""`quell bench recall`: what is counted, by hand and on the smallest of days."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from quell.baseline.foresight import foresight_of
from quell.env.gym.view import look_at
from quell.env.model.cluster import Host, Inventory, Vm, make_cluster
from quell.env.model.state import State, state_of
from quell.env.world.workload import ClusterSpec
from quell.experiments.bench_recall import (
    RecallBench,
    bench_recall,
    intervals,
    looked_up,
    recall_rows,
    recall_table,
    taken_in_any_order,
)
from quell.experiments.recall_plans import MoveKind, PlannedMove, described
from quell.experiments.terminal import PIPED_WIDTH
from tests.builders import build_cluster, together, vm


def two_hosts() -> State:
    """h0 holds v0 (6 cores) and v1 (4), h1 holds v2 (1): 1.5 cores above the threshold of 8.5 on h0."""
    inventory = Inventory((Host("h0", 10, 64, 4), Host("h1", 10, 64, 4)), tuple(Vm(f"v{v}", 8, 8) for v in range(3)))
    return state_of(make_cluster(inventory, [0, 0, 1], np.repeat([[6.0], [4], [1]], 60, axis=1), np.zeros((3, 60))))


def test_kinds_and_worth_of_a_swap_and_of_a_relief() -> None:
    state = two_hosts()
    foresight = foresight_of(state, np.nan_to_num(state.demand_MR[:, [0, 2], None]), np.array([60.0]))
    swap = described(state, [(2, 0), (1, 1)], foresight, np.full(3, 5.0))
    assert [move.kind for move in swap] == [MoveKind.SWAP, MoveKind.SWAP]
    # Before 1.5 above the threshold for an hour, after it nothing: 90 core-minutes less two prices of 5, shared.
    assert [move.worth for move in swap] == pytest.approx([40.0, 40.0])
    (relief,) = described(state, [(1, 1)], foresight, np.full(3, 5.0))
    assert relief.kind is MoveKind.RELIEF and relief.worth == pytest.approx(85.0) and not relief.is_bound
    again = described(state, [(1, 1), (1, 0)], foresight, np.full(3, 5.0))
    assert again[1].is_bound


def test_a_move_is_looked_up_in_the_list_of_its_turn() -> None:
    inventory = two_hosts().inventory
    cluster = make_cluster(inventory, [0, 0, 1], np.repeat([[6.0], [4], [1]], 60, axis=1), np.zeros((3, 60)))
    move = PlannedMove(1, 1, MoveKind.RELIEF, 85.0, False)
    never = PlannedMove(2, 0, MoveKind.SWAP, 5.0, False)
    held, missed = looked_up(0, "exact", look_at(cluster), [move, never], (1, 64))
    assert held.is_listed_K[1] and missed.is_listed_K == (False, False)
    rows = recall_rows([held, missed], (1, 64))
    assert rows[0]["recall"]["64"] == rows[0]["in_any_order"]["64"] == 0.5
    assert rows[0]["by_worth"]["64"] == pytest.approx(85 / 90)
    assert [row["kind"] for row in rows] == ["all", "all on offer", "relief", "swap"]


def test_moves_may_be_taken_in_whatever_order_lists_offer_them() -> None:
    """h0 must lose both v0 and v1; a list of one slot offers v0 first, as it brings more; the plan begins with v1."""
    inventory = Inventory((Host("h0", 10, 64, 4), Host("h1", 20, 64, 4)), tuple(Vm(f"v{v}", 8, 8) for v in range(3)))
    view = look_at(make_cluster(inventory, [0] * 3, np.repeat([[7.0], [6], [3]], 60, axis=1), np.zeros((3, 60))))
    moves = [PlannedMove(m, 1, MoveKind.RELIEF, 1.0, False) for m in (1, 0)]
    assert [seen.is_listed_K for seen in looked_up(0, "exact", view, moves, (1,))] == [(False,), (True,)]
    assert [seen.is_taken_K for seen in looked_up(0, "exact", view, moves, (1,))] == [(True,), (True,)]
    nowhere = PlannedMove(2, 0, MoveKind.RELIEF, 1.0, False)
    assert taken_in_any_order(view, [nowhere, *moves], 64) == [False, True, True]


def test_vms_that_move_as_one_are_looked_up_by_their_lead() -> None:
    """a and b are offered as one; a plan that brings them to different hosts asks for what no list offers."""
    vms = [vm("a", 0, 30), vm("b", 0, 10), vm("c", 0, 60), vm("d", 1, 40), vm("e", 2, 20)]
    view = look_at(build_cluster(3, vms, rules=[together("a", "b")]))
    state, price_M = view.round.before, np.ones(5)
    foresight = foresight_of(state, state.demand_MR[:, [0, 2], None], np.array([60.0]))
    whole = described(state, [(1, 2), (0, 2)], foresight, price_M)
    found = list(looked_up(0, "exact", view, whole, (64,)))
    assert [(seen.move.is_bound, seen.is_listed_K, seen.is_taken_K) for seen in found] == [
        (False, (True,), (True,))
    ] * 2
    for parts in ([(1, 2), (0, 1)], [(1, 2)]):
        assert all(move.is_bound for move in described(state, parts, foresight, price_M))


def test_intervals_are_over_days() -> None:
    hit_NK = np.array([[1.0], [1.0], [0.0]])
    assert intervals(hit_NK, np.ones(3), np.array([0, 0, 0])) == [None]
    (interval,) = intervals(hit_NK, np.ones(3), np.array([0, 0, 1]))
    assert interval == [0.0, 1.0]


def test_figures_of_a_small_day() -> None:
    spec = ClusterSpec(hosts=4, vms_per_host=8, load=0.75, scenario="ha")
    document = bench_recall(RecallBench(spec=spec, days=1, players=("ads",), slots=(4, 64)))
    assert document["rows"]
    for row in document["rows"]:
        assert 0 <= row["recall"]["4"] <= row["recall"]["64"] <= row["movables"]["64"] <= 1
    printed = io.StringIO()
    Console(file=printed, width=PIPED_WIDTH).print(recall_table(document))
    title, head, *lines = printed.getvalue().splitlines()
    assert "@64" in head and len(lines) == len(document["rows"]) and "…" not in printed.getvalue()
