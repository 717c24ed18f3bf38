"""`quell bench`: how fast planning and the environment are, per CPU-second of one process.

Wall-clock figures of shared machines say little, so everything is counted in CPU seconds, and beside it stands the
time of a fixed piece of numpy work in the same run (`reference_seconds`): figures of two machines compare by their
ratio to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.table import Table

from ..baseline.catalogue import make_planner
from ..env.model.cluster import Cluster
from ..env.model.contention import unresolved_H
from ..env.model.errors import QuellError
from ..env.model.plan import validate
from ..env.model.planner import Planner
from ..env.model.state import state_of
from ..env.world.traces import part
from ..env.world.workload import DAY_MINUTES, ClusterSpec, build_episode
from .simulation import load_workload
from .terminal import console, progress

PLAN_SIZES = ((8, 15), (24, 12), (64, 24))  # hosts, VMs per host
PLAN_CLUSTERS = 10  # per size
ENV_SIZES = ((8, 15), (16, 13), (64, 24))
ENV_CPU_SECONDS = 5.0  # per size
SEED = 1


def run_benchmarks(what: str, is_text: bool) -> dict[str, Any]:
    """Runs `plan`, `env` or `all`; returns the figures.

    Raises:
        QuellError: there is no such benchmark.
    """
    benchmarks: dict[str, Callable[[], list[dict[str, Any]]]] = {"plan": bench_plan, "env": bench_env}
    if what != "all" and what not in benchmarks:
        raise QuellError(f"benchmark {what!r} is unknown; there are {', '.join(benchmarks)}, all")
    document: dict[str, Any] = {"reference_seconds": reference_seconds()}
    for name, benchmark in benchmarks.items():
        if what in (name, "all"):
            document[name] = benchmark()
            if is_text:
                console.print(_table(name, document[name]))
    return document


def reference_seconds() -> float:
    """CPU seconds of a fixed piece of numpy work: sorting a million numbers ten times."""
    values = np.random.default_rng(SEED).random(1_000_000)
    started = time.process_time()
    for _ in range(10):
        np.sort(values)
    return time.process_time() - started


def bench_plan() -> list[dict[str, Any]]:
    """CPU seconds of `ads` on contended clusters, by size; every plan is judged."""
    trace = load_workload("synthetic", SEED)
    rows = []
    with progress("bench plan: clusters", len(PLAN_SIZES) * PLAN_CLUSTERS) as on_progress:
        for i, (hosts, vms_per_host) in enumerate(PLAN_SIZES):
            spec = ClusterSpec(hosts, vms_per_host, load=0.7)
            planner = make_planner("ads")
            planner.plan(_contended(part(trace, "all"), spec, SEED))  # compiles and warms up
            seconds, planned, cost_gib, broken = [], 0, 0.0, 0
            for n in range(PLAN_CLUSTERS):
                cluster = _contended(part(trace, "all"), spec, SEED + n)
                plan, spent = _timed(planner, cluster)
                seconds.append(spent)
                planned += plan.status == "planned"
                cost_gib += plan.cost_gib
                broken += len(validate(state_of(cluster), plan))
                on_progress(i * PLAN_CLUSTERS + n + 1, len(PLAN_SIZES) * PLAN_CLUSTERS)
            rows.append(
                {
                    "hosts": hosts,
                    "vms": hosts * vms_per_host,
                    "clusters": PLAN_CLUSTERS,
                    "planned": planned,
                    "rules_broken": broken,
                    "mean_cost_gib": cost_gib / max(planned, 1),
                    "median_cpu_seconds": float(np.median(seconds)),
                    "p95_cpu_seconds": float(np.quantile(seconds, 0.95)),
                }
            )
    return rows


def bench_env() -> list[dict[str, Any]]:
    """Steps of `quell/Cluster-v0` per CPU-second, masked random actions, resets included, by size."""
    from ..env.gym.cluster_env import ClusterEnv
    from ..env.gym.generator import TraceGenerator

    trace = load_workload("synthetic", SEED)
    rows = []
    for hosts, vms_per_host in ENV_SIZES:
        generator = TraceGenerator(part(trace, "all"), hosts=(hosts, hosts), vms_per_host=(vms_per_host, vms_per_host))
        env = ClusterEnv(generator)
        rng = np.random.default_rng(SEED)
        env.reset(seed=SEED)
        steps, episodes, started = 0, 1, time.process_time()
        with progress(f"bench env: {hosts} hosts, {hosts * vms_per_host} VMs") as on_progress:
            while (spent := time.process_time() - started) < ENV_CPU_SECONDS:
                *_, truncated, _ = env.step(rng.choice(np.flatnonzero(env.action_masks())))
                steps += 1
                if truncated:
                    env.reset()
                    episodes += 1
                if steps % 100 == 0:
                    on_progress(round(spent), round(ENV_CPU_SECONDS))
        rows.append(
            {
                "hosts": hosts,
                "vms": hosts * vms_per_host,
                "steps": steps,
                "episodes": episodes,
                "steps_per_cpu_second": steps / spent,
            }
        )
    return rows


def _contended(trace_part: Any, spec: ClusterSpec, seed: int) -> Cluster:
    """A round with contention, drawn by the seed, everything still in its first place."""
    episode = build_episode(trace_part, spec, seed)
    minutes = range(0, DAY_MINUTES, episode.inventory.settings.round_minutes)
    clusters = [episode.cluster_at(minute, episode.cluster.host_of_M) for minute in minutes]
    contended = [cluster for cluster in clusters if unresolved_H(state_of(cluster)).any()]
    if not contended:
        raise QuellError(f"bench plan: the day of seed {seed} has no contention")
    return contended[int(np.random.default_rng(seed).integers(len(contended)))]


def _timed(planner: Planner, cluster: Cluster) -> tuple[Any, float]:
    started = time.process_time()
    plan = planner.plan(cluster)
    return plan, time.process_time() - started


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    """One row a size."""
    table = Table(title=f"bench {name}", title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else f"{v:,.3f}" for v in row.values()))
    return table
