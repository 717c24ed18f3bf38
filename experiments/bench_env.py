"""`quell bench env`: steps of the environment per CPU-second of one process, by cluster size, and where the time goes.

Stepping is measured on days drawn before (`episodes_per_pool`), drawing beside it. Two policies: `moves` takes any
allowed action, so that most plans are full; `stops` mostly lets time go on, which is what a step costs most.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..env.gym.generator import Generator, TraceGenerator
from ..env.world.scenario import MIXED, PLAIN, SCENARIO_NAMES
from ..env.world.split import TracePart
from ..env.world.traces import part
from .bench_parts import parts_of_a_step, random_actions, shares_of_stepping, training_shares
from .simulation import load_workload
from .terminal import progress

SIZES = ((8, 15), (16, 13), (32, 13), (64, 13), (64, 24))  # hosts, VMs per host: 120, 208, 416, 832 and 1,536 VMs
MIXED_SIZES = ((8, 15), (16, 13), (64, 24))
CPU_SECONDS = 3.0  # per figure
CLUSTERS = 16  # of the vector env
POOL = 8  # days drawn before stepping
STOP_SHARE = {"moves": 0.0, "stops": 0.9}
LOAD = 0.65
SEED = 1


class Speed(NamedTuple):
    """Steps taken in some CPU time, days that have ended in it, and how often Python was asked, by what for."""

    steps: int
    days: int
    cpu_seconds: float
    served: dict[str, int]


def bench_env(
    sizes: Sequence[tuple[int, int]] = SIZES,
    mixed_sizes: Sequence[tuple[int, int]] = MIXED_SIZES,
    cpu_seconds: float = CPU_SECONDS,
) -> dict[str, Any]:
    """All figures.

    Returns:
        `steps`: a row for each size, scenario, env and policy; `growth`: by which power of hosts x VMs the time of a
        step grows; `asked`: what the kernels leave to Python in each scenario; `drawing`, `parts`, `shares`,
        `training`: where the time goes.
    """
    pool = part(load_workload("synthetic", SEED), "all")
    cases = [(PLAIN, size) for size in sizes] + [(MIXED, size) for size in mixed_sizes]
    steps: list[dict[str, Any]] = []
    drawing: list[dict[str, Any]] = []
    with progress("bench env") as on_progress:
        for i, (scenario, size) in enumerate(cases):
            on_progress(i, len(cases) + 2)
            generator = _generator(pool, scenario, size)
            named = _named(scenario, size)
            drawing.append(named | {"seconds_per_day": _drawing_seconds(generator)})
            steps += [named | row for row in _speeds(generator, size, cpu_seconds)]
        on_progress(len(cases), len(cases) + 2)
        middle = sizes[min(1, len(sizes) - 1)]
        asked = [_asked(pool, scenario, middle, cpu_seconds) for scenario in SCENARIO_NAMES]
        on_progress(len(cases) + 1, len(cases) + 2)
        where = _where_time_goes(_generator(pool, PLAIN, middle))
    growth = _growth([row for row in steps if row["scenario"] == PLAIN])
    return {"steps": steps, "growth": growth, "asked": asked, "drawing": drawing} | where


def _named(scenario: str, size: tuple[int, int]) -> dict[str, Any]:
    """The first columns of a row."""
    return {"hosts": size[0], "vms": size[0] * size[1], "scenario": scenario}


def _speeds(generator: Generator, size: tuple[int, int], cpu_seconds: float) -> list[dict[str, Any]]:
    """Steps of both envs with both policies."""
    return [
        {"env": env, "policy": policy} | _figures(measure(generator, stop_share, cpu_seconds), size)
        for env, measure in (("ClusterEnv", _single), ("vector", _vector))
        for policy, stop_share in STOP_SHARE.items()
    ]


def _where_time_goes(generator: Generator) -> dict[str, Any]:
    """Parts of a step, shares of stepping, and of a training."""
    return {
        "parts": parts_of_a_step(generator, CLUSTERS, POOL),
        "shares": [
            {"policy": policy} | shares_of_stepping(generator, CLUSTERS, POOL, stop_share)
            for policy, stop_share in STOP_SHARE.items()
        ],
        "training": training_shares(generator, CLUSTERS, POOL),
    }


def _generator(pool: TracePart, scenario: str, size: tuple[int, int]) -> TraceGenerator:
    """Clusters of one size."""
    hosts, vms_per_host = size
    return TraceGenerator(pool, (hosts, hosts), (vms_per_host, vms_per_host), (LOAD, LOAD), scenario=scenario)


def _figures(speed: Speed, size: tuple[int, int]) -> dict[str, Any]:
    """A speed as figures of a row; size as hosts and VMs per host."""
    nanoseconds = 1e9 * speed.cpu_seconds / max(1, speed.steps)
    return {
        "steps": speed.steps,
        "days": speed.days,
        "steps_per_cpu_second": speed.steps / speed.cpu_seconds,
        "microseconds_per_step": nanoseconds / 1e3,
        "nanoseconds_per_step_host_and_vm": nanoseconds / (size[0] * size[0] * size[1]),
    }


def _growth(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By which power of hosts x VMs the time of a step grows, for each env and policy; 1 is in proportion.

    The slope of a straight line through the logarithms of all sizes; only where there are several.
    """
    growth = []
    for env, policy in sorted({(row["env"], row["policy"]) for row in rows}):
        of_all = [row for row in rows if (row["env"], row["policy"]) == (env, policy)]
        work = np.log([row["hosts"] * row["vms"] for row in of_all])
        if np.ptp(work) > 0:
            power = float(np.polyfit(work, np.log([row["microseconds_per_step"] for row in of_all]), 1)[0])
            growth.append({"env": env, "policy": policy, "sizes": len(of_all), "power_of_hosts_x_vms": power})
    return growth


def _asked(pool: TracePart, scenario: str, size: tuple[int, int], cpu_seconds: float) -> dict[str, Any]:
    """What the vector env leaves to Python in a scenario, each per 1,000 steps of the policy `moves`."""
    speed = _vector(_generator(pool, scenario, size), STOP_SHARE["moves"], cpu_seconds)
    asked = {name: 1e3 * count / max(1, speed.steps) for name, count in speed.served.items()}
    return _named(scenario, size) | asked | {"steps_per_cpu_second": speed.steps / speed.cpu_seconds}


def _drawing_seconds(generator: Generator) -> float:
    """CPU seconds to draw a day and to play its twin."""
    from ..env.gym.fleet import fleet_day
    from ..env.model.placement import place

    rng, days = np.random.default_rng(SEED), 3
    started = time.process_time()
    for _ in range(days):
        fleet_day(generator(rng), None, None, place)
    return (time.process_time() - started) / days


def _single(generator: Generator, stop_share: float, cpu_seconds: float) -> Speed:
    """Steps of `ClusterEnv`; drawing days is not counted."""
    from ..env.gym.cluster_env import ClusterEnv

    env, rng = ClusterEnv(generator), np.random.default_rng(SEED)
    env.reset(seed=SEED)
    env.step(0)  # kernels are loaded now
    steps = days = 0
    spent = 0.0
    while spent < cpu_seconds:
        started = time.process_time()
        is_over = False
        while not is_over and spent + time.process_time() - started < cpu_seconds:
            allowed = np.flatnonzero(env.action_masks())
            *_, is_over, _ = env.step(0 if rng.random() < stop_share else int(rng.choice(allowed)))
            steps += 1
        spent += time.process_time() - started
        if is_over:
            days += 1
            env.reset()
    return Speed(steps, days, spent, {})


def _vector(generator: Generator, stop_share: float, cpu_seconds: float) -> Speed:
    """Steps of the vector env, everything that a step needs included, on a pool of days."""
    from ..env.gym.vector_env import ClusterVectorEnv

    buffers, rng = caller_buffers(CLUSTERS), np.random.default_rng(SEED)
    env = ClusterVectorEnv(generator, CLUSTERS, episodes_per_pool=POOL, buffers=buffers)
    env.reset(seed=SEED)
    env.step(np.zeros(CLUSTERS, dtype=np.int64))
    choose = random_actions(rng, stop_share)
    steps = days = 0
    served = dict(env.served)
    started = time.process_time()
    while time.process_time() - started < cpu_seconds:
        *_, truncated_E, _ = env.step(choose(buffers["mask"]))
        steps, days = steps + CLUSTERS, days + int(truncated_E.sum())
    spent = time.process_time() - started
    return Speed(steps, days, spent, {name: count - served[name] for name, count in env.served.items()})


def caller_buffers(clusters: int) -> dict[str, np.ndarray]:
    """Arrays that a training would have its results written to, so that nothing is copied."""
    from ..env.gym.fleet_arrays import new_board
    from ..env.gym.shortlist import SLOTS

    board = new_board(clusters, SLOTS)
    return {
        "candidates": board.candidates_ESF,
        "context": board.context_EC,
        "mask": board.mask_ES,
        "rewards": board.rewards_E,
        "truncated": board.is_over_E,
    }
