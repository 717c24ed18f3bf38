"""CP-SAT in a thread: its limits hold, its answer is always the same, and Ctrl-C ends it at once."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from ortools.sat.python import cp_model

from quell.baseline.exact_limits import ExactLimits
from quell.baseline.exact_model import OutOfTimeError, PlacementModel
from quell.baseline.exact_proof import prove
from quell.baseline.exact_solve import solve
from quell.baseline.search import SearchLimits
from quell.baseline.search_board import board_of
from quell.env.model.state import state_of
from quell.experiments.instances import Size, draw_cluster


def hard_model() -> cp_model.CpModel:
    """A market split problem: 6 sums over 50 switches, each to be exactly half of all; nobody solves it in a minute."""
    rng, model = np.random.default_rng(1), cp_model.CpModel()
    switches = [model.new_bool_var("") for _ in range(50)]
    for _ in range(6):
        weights = rng.integers(1, 100, 50)
        model.add(cp_model.LinearExpr.weighted_sum(switches, weights.tolist()) == int(weights.sum()) // 2)
    return model


def test_an_easy_model_is_solved() -> None:
    model = cp_model.CpModel()
    switch = model.new_bool_var("")
    model.maximize(switch)
    solver, status = solve(model, np.inf, np.inf)
    assert status == cp_model.OPTIMAL and solver.boolean_value(switch)


@pytest.mark.parametrize(("work", "seconds"), [(0.1, np.inf), (np.inf, 0.2), (np.inf, -1.0)])
def test_limits_hold(work: float, seconds: float) -> None:
    started = time.perf_counter()
    assert solve(hard_model(), work, seconds)[1] == cp_model.UNKNOWN
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("after_seconds", [0.0, 0.001, 0.3])
def test_ctrl_c_ends_it_at_once(after_seconds: float) -> None:
    model, started = hard_model(), time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        threading.Timer(after_seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
        solve(model, np.inf, 30.0)
    assert time.perf_counter() - started < 1.3
    assert not [thread for thread in threading.enumerate() if thread.name == "cp-sat" and thread.is_alive()], (
        "nothing goes on behind"
    )


def test_building_a_large_model_counts() -> None:
    """128 x 2,048 took seconds after the limit had passed."""
    board = board_of(state_of(draw_cluster(Size(24, 300), 1)))
    with pytest.raises(OutOfTimeError):
        PlacementModel(board, lambda: False)
    prove(state_of(draw_cluster(Size(24, 300), 3)), ExactLimits(0.01, search=SearchLimits(nodes=10)))
    state = state_of(draw_cluster(Size(64, 900), 2))
    started = time.perf_counter()
    proof = prove(state, ExactLimits(np.inf, 0.01, SearchLimits(nodes=10)))
    assert proof.moves is None and not proof.is_proven
    assert time.perf_counter() - started < 0.5
