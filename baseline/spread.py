"""The load balancer that ADS argues against: it evens out utilization, whether or not anything is short.

Modelled on the published idea of distributed resource schedulers: every round, as long as a move lowers the standard
deviation of host utilization by a minimum gain, take the one that lowers it most, until a fixed number of moves is
reached. What must leave its host leaves first, whatever it does to the balance: all of a host in maintenance, and VMs
of a host whose memory is overfull, until it is not. VMs that R5 ties to one another on their host move as one where
that can be told (`clumps.py`), else they stay.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..env.model.clumps import Clumped
from ..env.model.cluster import CPU, MEMORY, STORAGE, Array, BoolArray, Cluster
from ..env.model.contention import contentions, must_leave_M
from ..env.model.memory import resizes
from ..env.model.plan import Plan, Status, moves_of
from ..env.model.rules import is_ha_binding
from ..env.model.state import State, state_of

BALANCED = (CPU, STORAGE)  # resources whose spread over the hosts is evened out
MINIMUM_GAIN = 0.005  # of the summed standard deviations of utilization, per move; assumed
PLAN_LIMIT = 10  # moves a round; assumed


@dataclass(frozen=True)
class Spread:
    """Evens out the utilization of hosts.

    Attributes:
        minimum_gain: by how much a move must lower the imbalance.
        plan_limit: moves after which a plan is full.
    """

    minimum_gain: float = MINIMUM_GAIN
    plan_limit: int = PLAN_LIMIT
    name: str = "spread"
    observes_after_plan: bool = False

    def plan(self, cluster: Cluster) -> Plan:
        """The moves that even the cluster out most."""
        started = time.perf_counter()
        before = state_of(cluster)
        found = contentions(before)
        moves: list[tuple[int, int]] = []
        reasons: list[str] = []
        board, is_ha_enforced = Clumped.of(before), is_ha_binding(before)
        while len(moves) < self.plan_limit:
            leaving = self._best(board, must_leave_M(board.state), is_ha_enforced, -np.inf)
            best = leaving or self._best(board, np.ones_like(board.is_free_M), is_ha_enforced, self.minimum_gain)
            if best is None:
                break
            m, target, gain = best
            added = board.clumps.moves(m, target)
            moves += added
            reasons += [_reason(board.state, m) if leaving else f"lowers the imbalance by {gain:.4f}"] * len(added)
            board = board.moved(m, target)
        seconds = time.perf_counter() - started
        if not moves:
            status = Status.REFUSED if found else Status.NO_CONTENTION
            return Plan(cluster.name, self.name, status, "no move evens the cluster out", found, solve_seconds=seconds)
        made = moves_of(before, moves, reasons)
        reason = f"imbalance {imbalance(before):.3f} before, {imbalance(board.before):.3f} after"
        total_gib = sum(move.cost_gib for move in made)
        return Plan(
            cluster=cluster.name,
            planner=self.name,
            status=Status.PLANNED,
            reason=reason,
            contentions=found,
            moves=made,
            resizes=resizes(before, board.before),
            cost_gib=total_gib,
            solve_seconds=seconds,
        )

    def _best(
        self, board: Clumped, is_source_M: BoolArray, is_ha_enforced: bool, least_gain: float
    ) -> tuple[int, int, float] | None:
        """The allowed move of some movables that lowers the imbalance most, or None where none does by enough."""
        free_N = np.flatnonzero(board.is_free_M & is_source_M)
        rows, targets = np.nonzero(board.allowed_moves_NH(free_N))
        if rows.size == 0:
            return None
        movables = free_N[rows]
        gain_N = gains(board.state, movables, targets)
        for n in np.argsort(-gain_N, kind="stable"):
            if gain_N[n] < least_gain:
                return None
            m, target = int(movables[n]), int(targets[n])
            if not is_ha_enforced or not board.check_moves(m, target, is_ha_enforced=True):
                return m, target, float(gain_N[n])
        return None


def _reason(state: State, m: int) -> str:
    """Why a movable must leave its host."""
    h = int(state.host_of_M[m])
    host = state.inventory.hosts[h].id
    if state.inventory.is_maintenance_H[h]:
        return f"empties {host}, which is in maintenance"
    return f"relieves the memory of {host}, of which {state.utilization_HR[h, MEMORY]:.1%} is needed"


def imbalance(state: State) -> float:
    """Sum of the standard deviations of the hosts' CPU and storage utilization, over hosts that are up."""
    utilization_HR = state.utilization_HR[state.inventory.is_up_H]
    return float(utilization_HR[:, BALANCED].std(axis=0).sum())


def gains(state: State, movables: np.ndarray, targets: np.ndarray) -> Array:
    """By how much each single move lowers the imbalance; shape (N,).

    The variance after a move follows from the sums of utilization and of its squares, so no host is looked at twice.
    """
    inventory = state.inventory
    is_up_H = inventory.is_up_H
    hosts = int(is_up_H.sum())
    sources = state.host_of_M[movables]
    gain_N = np.zeros(len(movables))
    for resource in BALANCED:
        utilization_H = state.utilization_HR[:, resource]
        total, squares = utilization_H[is_up_H].sum(), (utilization_H[is_up_H] ** 2).sum()
        given_N = state.demand_MR[movables, resource] / inventory.capacity_HR[sources, resource]
        taken_N = state.demand_MR[movables, resource] / inventory.capacity_HR[targets, resource]
        is_source_up_N = is_up_H[sources]
        after_source_N = utilization_H[sources] - given_N
        after_target_N = utilization_H[targets] + taken_N
        sum_N = total - np.where(is_source_up_N, given_N, 0.0) + taken_N
        squares_N = squares + np.where(is_source_up_N, after_source_N**2 - utilization_H[sources] ** 2, 0.0)
        squares_N += after_target_N**2 - utilization_H[targets] ** 2
        deviation_N = np.sqrt(np.maximum(squares_N / hosts - (sum_N / hosts) ** 2, 0.0))
        gain_N += np.sqrt(max(squares / hosts - (total / hosts) ** 2, 0.0)) - deviation_N
    return gain_N
