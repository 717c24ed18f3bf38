"""`quell bench learned`: CPU seconds of one whole plan, and the memory it takes, by planner and size of the cluster.

A whole plan is everything that `planner.plan(cluster)` does: the look, the forecast, the lookahead, the policy, and the
judgement of the plan. Every planner is asked in each round of the same day, on which nobody moves anything, so that
contentions pile up; telemetry goes back a day. Each planner and size has a process of its own, with one thread, so that
the memory peak is its own: that of the whole process, libraries and the simulated day included.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..agents.processes import Workers
from ..baseline.warm_up import warm_up_planners
from ..env.model.errors import QuellError
from ..env.world.simulator import Simulator
from ..env.world.traces import load_trace, part
from ..env.world.workload import ClusterSpec, build_episode
from .bench_plan import peak_memory_mib
from .planners import planner_factory
from .terminal import progress

THREADS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
WORKLOAD = "synthetic"
P95 = 95


@dataclass(frozen=True)
class LearnedBench:
    """What is measured.

    Attributes:
        planners: names, as for `quell simulate`.
        sizes: (hosts, VMs per host).
        load: mean CPU utilization of the cluster over the day.
        scenario: what else there is.
        rounds: of the day in which plans are asked for, evenly spread; 96 are all.
        seed: of the day.
    """

    planners: tuple[str, ...] = ("learned", "forecast", "tuned", "ads")
    sizes: tuple[tuple[int, int], ...] = ((8, 15), (16, 13), (64, 24))
    load: float = 0.7
    scenario: str = "ha"
    rounds: int = 96
    seed: int = 1


def bench_learned(bench: LearnedBench) -> dict[str, Any]:
    """Asks every planner on clusters of every size.

    Returns:
        what was measured, and `rows` of figures by size and planner.

    Raises:
        QuellError: a planner is unknown, a bundle cannot be trusted, or a process was ended from outside.
    """
    for name in bench.planners:
        planner_factory(name)  # says what is wrong with a name before any work
    cases = [(size, name) for size in bench.sizes for name in bench.planners]
    rows = []
    with progress("bench learned", len(cases)) as on_progress:
        for i, (size, name) in enumerate(cases):
            rows.append(_in_a_process_of_its_own(bench, size, name))
            on_progress(i + 1, len(cases))
    asked = {"workload": WORKLOAD, "load": bench.load, "scenario": bench.scenario, "seed": bench.seed}
    return asked | {"rows": rows}


def plan_times(bench: LearnedBench, size: tuple[int, int], planner_name: str) -> dict[str, Any]:
    """The row of one planner on clusters of one size, measured in this process."""
    hosts, vms_per_host = size
    days = part(load_trace(WORKLOAD, seed=bench.seed), "all")
    episode = build_episode(days, ClusterSpec(hosts, vms_per_host, bench.load, scenario=bench.scenario), bench.seed)
    planner, simulator = planner_factory(planner_name)(episode), Simulator(episode)
    planner.plan(simulator.cluster())  # whatever is made at the first plan is no part of the others
    seconds: list[float] = []
    moves = 0
    minutes = _minutes(episode.inventory.settings.round_minutes, bench.rounds)
    for minute in minutes:
        simulator.advance(minute - simulator.minute)
        cluster = simulator.cluster()
        started = time.process_time()
        plan = planner.plan(cluster)
        seconds.append(time.process_time() - started)
        moves += len(plan.moves)
    return {
        "planner": planner_name,
        "hosts": hosts,
        "vms": episode.inventory.vm_count,
        "plans": len(seconds),
        "moves_per_plan": moves / len(seconds),
        "median_cpu_seconds": float(np.median(seconds)),
        "p95_cpu_seconds": float(np.percentile(seconds, P95)),
        "max_cpu_seconds": max(seconds),
        "peak_memory_mib": peak_of_this_program_mib(),
    }


def peak_of_this_program_mib() -> float:
    """The most memory since this program was started, MiB.

    `getrusage` will not do in a process that was just started: on Linux it begins with the peak of its parent.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return peak_memory_mib()
    kibibytes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kibibytes[0]) / 1024 if kibibytes else peak_memory_mib()


def _minutes(round_minutes: int, rounds: int) -> Sequence[int]:
    """Minutes of the day, evenly spread over its rounds."""
    starts = np.arange(0, 24 * 60, round_minutes)
    chosen = np.linspace(0, len(starts) - 1, min(rounds, len(starts))).round().astype(int)
    return [int(starts[i]) for i in chosen]


def _in_a_process_of_its_own(bench: LearnedBench, size: tuple[int, int], planner_name: str) -> dict[str, Any]:
    """The row of one planner and size."""
    try:
        with _one_thread(), Workers(1, warm_up_planners, ()) as workers:
            return workers.submit(plan_times, bench, size, planner_name).result()
    except BrokenProcessPool:
        raise QuellError(
            f"bench learned: the process of {planner_name} at {size[0]} hosts was ended from outside (by a signal, or "
            "for lack of memory)"
        ) from None


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that are started meanwhile have one thread for linear algebra; it is told by the environment alone."""
    before = {name: os.environ.get(name) for name in THREADS_VARIABLES}
    os.environ.update(dict.fromkeys(THREADS_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
