"""proxlb-solver on our clusters (PyPI `proxlb`): its model as JSON to a process of its own, its steps back as moves.

It runs under any Python that has it, so that its requirements never meet ours. The most favourable translation we
found: demand below the threshold is its hard limit of CPU, the controllers are a storage pool, sessions are guests
without memory, and its most conservative level moves nothing but what limits force. What it cannot be told: vGPUs, the
HA reservation, rules that bind while a plan is carried out.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from ..env.model.cluster import CPU, MEMORY, NOWHERE, STORAGE
from ..env.model.errors import QuellError
from ..env.model.state import State

NAME = "proxlb-solver"
BYTES_PER_GIB = 1024**3
BYTES_PER_MIB = 1024**2
CPU_UNITS = 100  # of a core: its CPU figures are whole numbers
POOL_MIB = 100  # of its storage pool for one controller core: so little that it does not count as a cost
START_SECONDS = 15.0  # for Python and its imports, beyond the time it is given to solve
PROGRAM = """
import json, sys, time
from proxlb_solver.models import Cluster
from proxlb_solver.solver import solve_reachable
document = json.load(sys.stdin)
started = time.perf_counter()
solution, plan = solve_reachable(Cluster.model_validate(document["cluster"]), total_time_limit_s=document["seconds"])
moves = [[m.vm, m.target] for step in plan.steps for m in step.migrations]
seconds = time.perf_counter() - started
print(json.dumps({"feasible": solution.feasible, "moves": moves, "seconds": seconds}))
"""


@cache
def find_proxlb(python: str | None = None) -> str | None:
    """A Python that can import it: the one asked for, else this one; None where it cannot.

    Raises:
        QuellError: what was asked for does not exist, or is no program.
    """
    program = python or sys.executable
    if shutil.which(program) is None:
        fault = "is no program that can be run" if Path(program).exists() else "does not exist"
        raise QuellError(f"--proxlb-python: {program} {fault}")
    try:
        done = subprocess.run([program, "-c", "import proxlb_solver.solver"], capture_output=True, check=False)
    except OSError as error:
        raise QuellError(f"--proxlb-python: {program} cannot be run: {error.strerror or error}") from None
    return program if done.returncode == 0 else None


def how_to_install(python: str | None) -> str:
    """What helps where a Python cannot import it, in brackets."""
    if python is not None:
        return f"in {python} ({python} -m pip install proxlb==2.1.0)"
    return "(pip install proxlb==2.1.0 in an environment of its own, then --proxlb-python)"


def proxlb_moves(state: State, seconds: float, python: str) -> tuple[list[tuple[int, int]] | None, float]:
    """(movable, target host) in order, None where it finds no placement; and the seconds that solving took.

    Raises:
        QuellError: it cannot be run, or its answer cannot be read.
    """
    question = json.dumps({"cluster": cluster_document(state), "seconds": seconds})
    try:
        done = subprocess.run(
            [python, "-c", PROGRAM],
            input=question,
            capture_output=True,
            text=True,
            timeout=seconds + START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, seconds + START_SECONDS
    except OSError as error:
        raise QuellError(f"{python} cannot be run: {error.strerror or error}") from None
    if done.returncode != 0:
        raise QuellError(f"{NAME} failed: {(done.stderr.strip() or 'it says nothing').splitlines()[-1]}")
    return parse_answer(done.stdout, state)


def cluster_document(state: State) -> dict[str, Any]:
    """The cluster as its pydantic models have it."""
    inventory = state.inventory
    nodes = []
    for h, host in enumerate(inventory.hosts):
        limit_R = inventory.limit_HR[h]
        nodes.append(
            {
                "name": f"h{h}",
                "cpu_total": int(limit_R[CPU] * CPU_UNITS),
                "memory_total": int(host.memory_gib * BYTES_PER_GIB),
                "storage_free": {"controller": int(limit_R[STORAGE] * POOL_MIB) * BYTES_PER_MIB},
                "maintenance": not bool(inventory.is_up_H[h]),
            }
        )
    placed = [m for m in range(inventory.movable_count) if inventory.is_on_M[m] and state.host_of_M[m] != NOWHERE]
    balancing = {"method": "cpu", "mode": "used", "balanciness": 1, "cpu_overcommit": 1.0}
    return {
        "name": "cluster",
        "description": "",
        "balancing": balancing,
        "nodes": nodes,
        "vms": [_guest(state, m) for m in placed],
        "constraints": _constraints(state, placed),
        "expect": {},
    }


def _guest(state: State, m: int) -> dict[str, Any]:
    """A VM, or a session as a guest without memory; demands rounded up, so that limits hold."""
    demand_R = state.demand_MR[m]
    return {
        "name": f"m{m}",
        "node": f"h{state.host_of_M[m]}",
        "cpu": math.ceil(demand_R[CPU] * CPU_UNITS),
        "memory": int(demand_R[MEMORY] * BYTES_PER_GIB),
        "cpu_usage": float(demand_R[CPU] * CPU_UNITS),
        "disks": {"controller": math.ceil(demand_R[STORAGE] * POOL_MIB) * BYTES_PER_MIB},
    }


def _constraints(state: State, placed: list[int]) -> dict[str, Any]:
    """Its rules: apart, together (those who share a host now), and pins."""
    inventory, H = state.inventory, state.inventory.host_count
    apart = [
        {"name": f"apart-{a}", "vms": [f"m{m}" for m in placed if inventory.is_anti_MA[m, a]]}
        for a in range(inventory.is_anti_MA.shape[1])
    ]
    together: list[dict[str, Any]] = []
    for _, members in inventory.affinity_members:
        for h in range(H):
            there = [f"m{m}" for m in members if state.host_of_M[m] == h]
            if len(there) > 1:
                together.append({"name": f"together-{len(together)}", "vms": there})
    pins = [
        {"vm": f"m{m}", "nodes": [f"h{h}" for h in range(H) if inventory.is_allowed_MH[m, h]]}
        for m in placed
        if not inventory.is_allowed_MH[m].all()
    ]
    return {"anti_affinity": apart, "affinity": together, "pin": pins}


def parse_answer(text: str, state: State) -> tuple[list[tuple[int, int]] | None, float]:
    """The moves in the answer of `PROGRAM`, None where there is no placement; and its seconds.

    Raises:
        QuellError: it is no such answer, or names what the cluster does not have.
    """
    try:
        answer = json.loads(text)
        moves = [(int(m.removeprefix("m")), int(h.removeprefix("h"))) for m, h in answer["moves"]]
        is_feasible, seconds = bool(answer["feasible"]), float(answer["seconds"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise QuellError(f"{NAME} answers with {text[:80]!r}, which is no plan") from None
    for m, h in moves:
        if not (0 <= m < state.inventory.movable_count and 0 <= h < state.inventory.host_count):
            raise QuellError(f"{NAME} moves m{m} to h{h}, which the cluster does not have")
    return (moves if is_feasible else None), seconds
