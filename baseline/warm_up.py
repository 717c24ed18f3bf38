"""Compiles the search's kernels, or loads them where they are compiled already.

Numba compiles a kernel at its first call and keeps the result on disk. That takes most of a minute in all and must not
come out of the seconds that a search is allowed, so whoever searches against a clock warms up first; `make` does it
once.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np

from ..env.gym.warm_up import warm_up_look
from ..env.model.cluster import CPU, STORAGE, HighAvailability, Host, Inventory, Vm
from ..env.model.state import State, state_from_demand
from .exact_order import Orders
from .foresight import foresight_of
from .reachable import FEW_PLACEMENTS, reach
from .refusal import blocking_fact
from .reservation_kernels import keeps_reservation
from .search_board import board_of
from .solver import Solver
from .worth_search import choose_deeds

FEW_NODES = 50


@cache
def warm_up() -> None:
    """Runs every engine of the search on a small cluster; once a process."""
    state = _contended_state()
    solver = Solver(state)
    blocking_fact(state, solver.start)
    solver.prepare()
    solver.branch_on_suspects(np.inf, FEW_NODES)
    solver.shuffle(1)
    solver.branch(np.inf, FEW_NODES, may_detour=True)
    solver.try_greedy(FEW_NODES)
    solver.repair(FEW_NODES, FEW_NODES)
    solver.polish()
    reach(state, solver.start, FEW_PLACEMENTS)


def warm_up_planners() -> None:
    """Compiles the kernels of `exact` and `explain`, of looks and of the search by worth as well."""
    warm_up()
    state = _contended_state()
    choose_deeds(state, foresight_of(state, state.demand_MR[:, [CPU, STORAGE], None], np.full(1, 60.0)), np.ones(6))
    Orders(Solver(state).start).warm_up()
    keeps_reservation(board_of(state), np.array([[0, 2]], dtype=np.int64))
    warm_up_look()  # last: `warm_up_everything` has compiled it by then


def warm_up_everything() -> None:
    """Compiles those of the environments too: in a process of its own, as compiling takes one core for minutes.

    Raises:
        CalledProcessError: that process has failed.
    """
    command = [sys.executable, "-m", "quell.env.gym.fleet_warm_up"]
    with subprocess.Popen(command) as environments:
        warm_up_planners()
    if environments.returncode:
        raise subprocess.CalledProcessError(environments.returncode, command)


def _contended_state() -> State:
    """Three hosts of which one is contended, with a reservation."""
    hosts = tuple(Host(f"host-{h}", 40, 256, 8) for h in range(3))
    vms = tuple(Vm(f"vm-{v}", 20, 16) for v in range(6))
    inventory = Inventory(hosts, vms, high_availability=HighAvailability(is_guaranteed=True))
    demand_MR = np.array([[18.0, 16, 1], [18, 16, 1], [14, 16, 1], [12, 16, 1], [14, 16, 1], [6, 16, 1]])
    return state_from_demand(inventory, demand_MR, np.array([0, 0, 1, 1, 2, 2]))


if __name__ == "__main__":
    warm_up_everything()
