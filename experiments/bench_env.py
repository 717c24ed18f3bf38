"""`quell bench env`: steps of the environment per CPU-second of one process, by cluster size."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..env.world.traces import part
from .simulation import load_workload
from .terminal import progress

ENV_SIZES = ((8, 15), (16, 13), (64, 24))  # hosts, VMs per host
ENV_CPU_SECONDS = 5.0  # per size
SEED = 1


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
