"""Compiles the search's kernels, or loads them where they are compiled already.

Numba compiles a kernel at its first call and keeps the result on disk. That takes half a minute in all and must not
come out of the seconds that a search is allowed, so whoever searches against a clock warms up first; `make` does it
once.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..env.model.cluster import Host, Inventory, Vm
from ..env.model.state import state_from_demand
from .refusal import blocking_fact
from .solver import Solver

FEW_NODES = 50


@cache
def warm_up() -> None:
    """Runs every engine on three hosts of which one is contended; once a process."""
    hosts = tuple(Host(f"host-{h}", 40, 256, 8) for h in range(3))
    inventory = Inventory(hosts, tuple(Vm(f"vm-{v}", 20, 16) for v in range(6)))
    demand_MR = np.array([[18.0, 16, 1], [18, 16, 1], [14, 16, 1], [12, 16, 1], [14, 16, 1], [6, 16, 1]])
    state = state_from_demand(inventory, demand_MR, np.array([0, 0, 1, 1, 2, 2]))
    solver = Solver(state)
    blocking_fact(state, solver.start)
    solver.prepare()
    solver.branch_on_suspects(np.inf, FEW_NODES)
    solver.shuffle(1)
    solver.branch(np.inf, FEW_NODES, may_detour=True)
    solver.try_greedy(FEW_NODES)
    solver.repair(FEW_NODES)
    solver.polish()


if __name__ == "__main__":
    warm_up()
