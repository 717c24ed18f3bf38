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
from ..env.world.scenario import MIXED, PLAIN
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
    """Steps taken in some CPU time, and days that have ended in it."""

    steps: int
    days: int
    cpu_seconds: float


def bench_env(
    sizes: Sequence[tuple[int, int]] = SIZES,
    mixed_sizes: Sequence[tuple[int, int]] = MIXED_SIZES,
    cpu_seconds: float = CPU_SECONDS,
) -> dict[str, Any]:
    """All figures: `steps` (a row for each size, scenario, env, policy), `drawing`, `parts`, `shares`, `training`."""
    pool = part(load_workload("synthetic", SEED), "all")
    cases = [(PLAIN, size) for size in sizes] + [(MIXED, size) for size in mixed_sizes]
    steps: list[dict[str, Any]] = []
    drawing: list[dict[str, Any]] = []
    with progress("bench env") as on_progress:
        for i, (scenario, size) in enumerate(cases):
            on_progress(i, len(cases) + 1)
            generator = _generator(pool, scenario, size)
            named = {"hosts": size[0], "vms": size[0] * size[1], "scenario": scenario}
            drawing.append(named | {"seconds_per_day": _drawing_seconds(generator)})
            for env, measure in (("ClusterEnv", _single), ("vector", _vector)):
                for policy, stop_share in STOP_SHARE.items():
                    speed = measure(generator, stop_share, cpu_seconds)
                    steps.append(named | {"env": env, "policy": policy} | _figures(speed))
        generator = _generator(pool, PLAIN, sizes[min(1, len(sizes) - 1)])
        on_progress(len(cases), len(cases) + 1)
        parts, training = parts_of_a_step(generator, CLUSTERS, POOL), training_shares(generator, CLUSTERS, POOL)
        shares = [
            {"policy": policy} | shares_of_stepping(generator, CLUSTERS, POOL, stop_share)
            for policy, stop_share in STOP_SHARE.items()
        ]
    return {"steps": steps, "drawing": drawing, "parts": parts, "shares": shares, "training": training}


def _generator(pool: TracePart, scenario: str, size: tuple[int, int]) -> TraceGenerator:
    """Clusters of one size."""
    hosts, vms_per_host = size
    return TraceGenerator(pool, (hosts, hosts), (vms_per_host, vms_per_host), (LOAD, LOAD), scenario=scenario)


def _figures(speed: Speed) -> dict[str, Any]:
    """A speed as figures of a row."""
    return {
        "steps": speed.steps,
        "days": speed.days,
        "steps_per_cpu_second": speed.steps / speed.cpu_seconds,
        "microseconds_per_step": 1e6 * speed.cpu_seconds / max(1, speed.steps),
    }


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
    return Speed(steps, days, spent)


def _vector(generator: Generator, stop_share: float, cpu_seconds: float) -> Speed:
    """Steps of the vector env, everything that a step needs included, on a pool of days."""
    from ..env.gym.vector_env import ClusterVectorEnv

    buffers, rng = caller_buffers(CLUSTERS), np.random.default_rng(SEED)
    env = ClusterVectorEnv(generator, CLUSTERS, episodes_per_pool=POOL, buffers=buffers)
    env.reset(seed=SEED)
    env.step(np.zeros(CLUSTERS, dtype=np.int64))
    choose = random_actions(rng, stop_share)
    steps = days = 0
    started = time.process_time()
    while time.process_time() - started < cpu_seconds:
        *_, truncated_E, _ = env.step(choose(buffers["mask"]))
        steps, days = steps + CLUSTERS, days + int(truncated_E.sum())
    return Speed(steps, days, time.process_time() - started)


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
