"""The clock: whoever waits for a plan gets an answer in time, and slices of work change nothing in it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from quell.baseline import exact_proof, reachable
from quell.baseline import search as search_module
from quell.baseline.exact_limits import ExactLimits
from quell.baseline.reachable import MANY_PLACEMENTS, Reached, reach
from quell.baseline.search import SearchLimits, search
from quell.baseline.search_board import board_of
from quell.baseline.solver import Solver
from quell.env.model.state import State, state_of
from quell.experiments.instances import Size, draw_cluster

VERY_FULL = (0.85, 0.97)  # memory of a host in use
NOTHING = Reached(None, 0.0, False, 1)  # of a look at all placements that did not come to an end
SLICE = 500  # of work: a placement of the cluster below has some 2,700 moves


def open_cluster() -> State:
    """Thousands of moves from every placement, under a reservation."""
    state = state_of(draw_cluster(Size(24, 300), 7))
    assert board_of(state).failed_SF.size > 0
    return state


def hemmed_in_cluster() -> State:
    """The search finds no plan; that there is none is known only once all placements were looked at."""
    return state_of(draw_cluster(Size(4, 20), 5058, VERY_FULL))


def counting_clock() -> SimpleNamespace:
    """A clock on which every look takes a second."""
    looks = iter(range(10_000))
    return SimpleNamespace(perf_counter=lambda: float(next(looks)))


def seconds_spy(asked: list[float | None]) -> Callable[..., Reached]:
    """Stands for a look at all placements that does not come to an end; notes how long it may take."""

    def spy(*_: object, seconds: float | None = None) -> Reached:
        asked.append(seconds)
        return NOTHING

    return spy


def seconds_of_last_look(monkeypatch: pytest.MonkeyPatch, limits: SearchLimits) -> list[float | None]:
    """How long the search lets the look at all placements take, where it finds no plan."""
    asked: list[float | None] = []
    monkeypatch.setattr(search_module, "reach", seconds_spy(asked))
    found = search(hemmed_in_cluster(), limits)
    assert found.moves is None and not found.is_proven_refusal
    return asked


class TestLookAtAllPlacements:
    def test_the_clock_is_looked_at_in_the_midst_of_a_placement(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Three slices are less than the moves of the first placement, which were asked for in one go before."""
        state = open_cluster()
        monkeypatch.setattr(reachable, "time", counting_clock())
        monkeypatch.setattr(reachable, "WORK_AT_ONCE", SLICE)
        met = reach(state, board_of(state), MANY_PLACEMENTS, seconds=3.5)
        assert (met.moves, met.is_all) == (None, False)
        assert 1 < met.placements <= 1 + 3 * SLICE

    def test_with_no_time_left_nothing_is_looked_at(self) -> None:
        state = hemmed_in_cluster()
        assert reach(state, board_of(state), seconds=0.0) == NOTHING

    @pytest.mark.parametrize("work", [1, 37])
    @pytest.mark.parametrize("seed", [5058, 5078, 9])
    def test_slices_do_not_change_the_answer(self, work: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        state = state_of(draw_cluster(Size(3, 12), seed, VERY_FULL))
        whole = reach(state, board_of(state))
        monkeypatch.setattr(reachable, "WORK_AT_ONCE", work)
        assert reach(state, board_of(state)) == whole

    def test_after_a_search_it_gets_what_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert seconds_of_last_look(monkeypatch, SearchLimits(nodes=3_000)) == [None]
        (seconds,) = seconds_of_last_look(monkeypatch, SearchLimits(nodes=3_000, seconds=60.0))
        assert seconds is not None and 0 < seconds < 60.0

    def test_after_a_search_that_took_all_the_time_it_gets_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert seconds_of_last_look(monkeypatch, SearchLimits(seconds=1e-9)) == [0.0]


class TestProof:
    def test_its_looks_at_placements_watch_the_clock_as_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both were given up only after 5,000 placements, however long those took."""
        asked: list[float | None] = []

        def spy(*_: object, seconds: float | None = None, **__: object) -> None:
            asked.append(seconds)

        monkeypatch.setattr(exact_proof, "hemmed_in", spy)
        monkeypatch.setattr(search_module, "reach", seconds_spy(asked))
        exact_proof.prove(hemmed_in_cluster(), ExactLimits(np.inf, 0.2, SearchLimits(500, 0.2)))
        assert len(asked) == 2 and all(seconds is not None and seconds <= 0.2 for seconds in asked)


class TestEngines:
    def test_none_begins_once_it_is_late(self) -> None:
        solver = Solver(hemmed_in_cluster())
        solver.prepare()
        nodes = solver.nodes
        solver.is_late = lambda: True
        solver.try_greedy(1_000)
        solver.repair(1_000, 100)
        assert solver.nodes == nodes and solver.best_moves is None

    def test_without_time_for_the_relief_of_a_host_the_floor_stays_a_floor(self) -> None:
        state = open_cluster()
        found = search(state)
        solver = Solver(state)
        solver.is_late = lambda: True
        solver.prepare()
        assert 0.0 <= solver.floor_gib <= found.cost_gib
        assert not np.any(solver._draft.hosts["least_gib"] > 0)
