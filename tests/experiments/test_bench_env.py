"""`quell bench env` on the smallest of clusters: every figure is there and makes sense."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from quell.env.world.scenario import SCENARIO_NAMES
from quell.experiments.bench_env import _growth, bench_env
from quell.experiments.bench_parts import random_actions
from quell.experiments.bench_tables import env_tables


def test_figures_and_tables() -> None:
    figures = bench_env(sizes=[(3, 8)], mixed_sizes=[(3, 8)], cpu_seconds=0.05)
    assert len(figures["steps"]) == 2 * 2 * 2  # scenarios, envs, policies
    assert {row["env"] for row in figures["steps"]} == {"ClusterEnv", "vector"}
    assert all(row["steps"] > 0 and row["steps_per_cpu_second"] > 0 for row in figures["steps"])
    for row in figures["steps"]:
        nanoseconds = row["nanoseconds_per_step_host_and_vm"] * row["hosts"] * row["vms"]
        assert nanoseconds == pytest.approx(1e3 * row["microseconds_per_step"])
    assert figures["growth"] == []  # of one size nothing can be said
    assert [row["scenario"] for row in figures["asked"]] == list(SCENARIO_NAMES)
    assert all(row["looks"] == row["lists"] == 0 for row in figures["asked"] if row["scenario"] == "plain")
    assert all(row["seconds_per_day"] > 0 for row in figures["drawing"])
    assert set(figures["parts"]) == {"call", "shortlist", "features", "look", "advance_round"}
    assert [row["policy"] for row in figures["shares"]] == ["moves", "stops"]
    for row in figures["shares"]:
        parts = [row[name] for name in ("advance", "look", "shortlist", "features", "python")]
        assert all(0 <= share <= 1 for share in parts) and sum(parts) == pytest.approx(1)
    assert 0 < figures["training"]["learner_share"] < 1
    console = Console(file=io.StringIO(), width=200)
    for table in env_tables(figures):
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "ClusterEnv" in text and "advance_round" in text


def test_growth_is_the_slope_between_sizes() -> None:
    rows = [
        {"env": "vector", "policy": "moves", "hosts": h, "vms": 10 * h, "microseconds_per_step": 5.0 * h}
        for h in (4, 8, 16)
    ]
    assert _growth(rows) == [
        {"env": "vector", "policy": "moves", "sizes": 3, "power_of_hosts_x_vms": pytest.approx(0.5)}
    ]


def test_random_actions_keep_the_masks() -> None:
    masks_ES = np.array([[True, False, True], [True, False, False]])
    choose = random_actions(np.random.default_rng(0), 0.0)
    drawn = np.array([choose(masks_ES) for _ in range(50)])
    assert set(drawn[:, 0]) == {0, 2} and set(drawn[:, 1]) == {0}
    assert not random_actions(np.random.default_rng(0), 1.0)(masks_ES).any()
