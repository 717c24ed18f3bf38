"""Suites: the same days for all, in one process or several, and who places the VMs that arrive meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import fields
from functools import partial

import numpy as np
import pytest

from quell.baseline.ads import Ads
from quell.baseline.mode import Mode
from quell.baseline.nothing import Nothing
from quell.baseline.spread import Spread
from quell.env.model.errors import QuellError
from quell.env.model.planner import Planner
from quell.env.world.rounds import EpisodeResult
from quell.env.world.split import part
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.workload import ClusterSpec, Episode
from quell.experiments.cluster_mix import ClusterMix
from quell.experiments.evaluation import Suite, evaluate, most_workers, play_suite
from quell.experiments.planners import PlannerFactory
from quell.experiments.simulation import name_planners
from quell.experiments.sources import MixedDays, TraceDays

TRAIN = part(synthetic_trace(0, vms=200, days=6), "train")
MIXED = Suite(MixedDays(TRAIN, ClusterMix((3, 6), (8, 9), (0.6, 0.7), "ha")), 3, 1)
WITHOUT_TIMES = [field.name for field in fields(EpisodeResult) if field.name not in ("plan_seconds", "utilization_THK")]


def deadly_planners() -> dict[str, PlannerFactory]:
    """A planner whose process is killed as soon as it is to play."""

    def kill(_: Episode) -> Planner:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    return {"deadly": kill}


def test_what_is_to_move_nothing_moves_nothing_for_arrivals_either() -> None:
    """On crowded days with arrivals room is made for them, but neither by `none` nor while `ads` is disabled."""
    suite = Suite(TraceDays(TRAIN, ClusterSpec(4, 12, 0.8, scenario="churn")), 3, 1)
    planners = {
        "none": lambda _: Nothing(),
        "disabled": lambda _: Ads(mode=Mode.DISABLED),
        "spread": lambda _: Spread(plan_limit=0),
    }
    results = evaluate(suite, planners)  # type: ignore[arg-type]
    moves = {name: sum(result.moves for result in episodes) for name, episodes in results.items()}
    assert (moves["none"], moves["disabled"]) == (0, 0)
    assert moves["spread"] > 0, "room was made for somebody on these days"


def test_several_processes_give_what_one_gives() -> None:
    make_planners = partial(name_planners, ("none", "ads", "clairvoyant"))
    told: list[int] = []
    here = play_suite(MIXED, make_planners, 1, told.append)
    assert told == list(range(1, 10))
    told.clear()
    there = play_suite(MIXED, make_planners, 2, told.append)
    assert told == [3, 6, 9]
    assert list(here.results) == list(there.results) and here.redraws == there.redraws
    for name, results in here.results.items():
        for one, other in zip(results, there.results[name], strict=True):
            assert [getattr(one, key) for key in WITHOUT_TIMES] == [getattr(other, key) for key in WITHOUT_TIMES]
            assert np.array_equal(one.utilization_THK, other.utilization_THK)
        assert [len(result.utilization_THK) for result in results] == [1440, 0, 0]  # kept for the first day only
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_is_told_in_one_sentence() -> None:
    with pytest.raises(QuellError, match="one of 2 processes that played days was ended from outside") as told:
        play_suite(MIXED, deadly_planners, 2)
    assert "\n" not in str(told.value)
    assert multiprocessing.active_children() == []


def test_there_are_no_more_processes_than_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert [most_workers(episodes) for episodes in (1, 4, 100)] == [1, 4, 16]
