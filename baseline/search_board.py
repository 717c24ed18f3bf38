"""The board the search plays on: a state and its rules as a few flat arrays for numba kernels.

Besides hosts and movables (see `env/model/cluster.py`) it has *units*: movables that VM-VM affinity (R5) keeps on one
host and that so move together; mostly a lone VM or session. Shapes: U units, C vGPU profiles in use, G GPUs of all
hosts, A anti-affinity rules, S failures that the HA reservation must survive, of F hosts each.

Few records instead of many arrays, because a kernel pays for every array it is handed, when it is compiled and called.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..env.model.cluster import CPU, MEMORY, NOWHERE, RESOURCES, TOLERANCE, Array, BoolArray, HostState, IntArray
from ..env.model.contention import swap_gib_H, unresolved_H
from ..env.model.cost import migration_cost_M
from ..env.model.gpu_kernels import profile_of_M, profiles_of, slots_of
from ..env.model.rules import is_ha_binding
from ..env.model.state import State

FREE, STAYS, WAITS, MOVED = 0, 1, 2, 3
"""What is decided about a unit: nothing; at home for good; has left and has no host yet; stands elsewhere."""

NONE = np.int64(NOWHERE)
"""NOWHERE for kernels, and "no unit": numba would compile every function anew for the literal -1."""

HOST = np.dtype(
    [
        ("limit", "f8", RESOURCES),  # what may be used (R1, R8), tolerance included
        ("used", "f8", RESOURCES),
        ("score_weight", "f8", RESOURCES),  # node score = sum of used * weight + vGPU memory * its weight
        ("vgpu_weight", "f8"),
        ("vgpu_gib", "f8"),  # vGPU memory in use
        ("least_gib", "f8"),  # proven cost of relieving the host while nothing has left it
        ("bound_gib", "f8"),  # lower bound of that cost now; see `is_stale`
        ("is_stale", "?"),  # the bound has to be computed anew
        ("is_up", "?"),
        ("needs_memory", "?"),  # swaps and is above 1: must end at or below 1
        ("is_contended", "?"),
        ("arrivals", "i8"),
        ("departures", "i8"),
        ("vgpu_arrivals", "i8"),
        ("clashes", "i8"),  # anti-affinity rules that a newcomer breaks
        ("first_unit", "i8"),  # its units in `by_efficiency_RU`
        ("end_unit", "i8"),
        ("first_gpu", "i8"),
        ("end_gpu", "i8"),
    ],
    align=True,
)
UNIT = np.dtype(
    [
        ("demand", "f8", RESOURCES),
        ("cost_gib", "f8"),
        ("noise", "f8"),  # factor on its rank among branches, 1 for none
        ("home", "i8"),
        ("mode", "i8"),
        ("first_member", "i8"),  # its movables in `member`
        ("end_member", "i8"),
        ("has_vgpu", "?"),
        ("must_leave", "?"),  # something of it runs on a host in maintenance
    ],
    align=True,
)
MOVABLE = np.dtype(
    [
        ("demand", "f8", RESOURCES),
        ("cost_gib", "f8"),
        ("vgpu_gib", "f8"),
        ("host", "i8"),
        ("unit", "i8"),
        ("profile", "i8"),  # vGPU profile, -1 without
        ("first_rule", "i8"),  # its anti-affinity rules in `anti_rule`
        ("end_rule", "i8"),
    ],
    align=True,
)


class Board(NamedTuple):
    """Everything the kernels need; the first six change while they work."""

    hosts: np.ndarray
    units: np.ndarray
    movables: np.ndarray
    members_HA: IntArray
    arrived_HA: IntArray  # newcomers of each anti-affinity rule
    profiles_HC: IntArray  # vGPUs in use
    member: IntArray
    by_efficiency_RU: IntArray  # units of each host, cheapest per core or GiB first
    anti_rule: IntArray
    can_MH: BoolArray  # R2 and R3
    can_UH: BoolArray  # the same for units, and the host could hold the unit if it were empty
    slots_GC: IntArray  # how many vGPUs of a profile a GPU holds
    failed_SF: IntArray  # empty where R7 does not bind
    restart_order: IntArray  # `ha` VMs, most constrained first
    restart_MH: BoolArray  # where each may restart

    def copy(self) -> Board:
        """A board that can be changed without changing this one."""
        return self._replace(
            hosts=self.hosts.copy(),
            units=self.units.copy(),
            movables=self.movables.copy(),
            members_HA=self.members_HA.copy(),
            arrived_HA=self.arrived_HA.copy(),
            profiles_HC=self.profiles_HC.copy(),
        )


def board_of(state: State, price_M: Array | None = None) -> Board:
    """The board for a state, nothing decided; movables cost their price where prices are given."""
    inventory = state.inventory
    can_MH = inventory.is_allowed_MH & inventory.is_up_H[None, :]
    can_MH &= (inventory.is_on_M & (state.host_of_M != NOWHERE))[:, None]
    anti = [np.flatnonzero(row) for row in inventory.is_anti_MA]
    groups = _affine_groups(state)
    movables = _movables(state, anti, groups)
    if price_M is not None:
        movables["cost_gib"] = price_M
    units = _units(state, groups, movables)
    can_UH = _unit_hosts(state, groups, can_MH, units["demand"])
    units["mode"] = np.where(can_UH.any(axis=1), FREE, STAYS)
    hosts, by_efficiency_RU = _hosts(state, units)
    profiles_HC = np.zeros((inventory.host_count, len(profiles_of(inventory))), dtype=np.int64)
    placed = movables[(movables["profile"] >= 0) & (movables["host"] >= 0)]
    np.add.at(profiles_HC, (placed["host"], placed["profile"]), 1)
    np.add.at(hosts["vgpu_gib"], placed["host"], placed["vgpu_gib"])
    return Board(
        hosts=hosts,
        units=units,
        movables=movables,
        members_HA=np.array(state.members_HA, dtype=np.int64),
        arrived_HA=np.zeros_like(state.members_HA, dtype=np.int64),
        profiles_HC=profiles_HC,
        member=_flat(groups),
        by_efficiency_RU=by_efficiency_RU,
        anti_rule=_flat(anti),
        can_MH=can_MH,
        can_UH=can_UH,
        slots_GC=slots_of(inventory),
        failed_SF=_failures(state),
        restart_order=_restart_order(state),
        restart_MH=inventory.is_allowed_MH & inventory.is_up_H[None, :],
    )


def _affine_groups(state: State) -> list[IntArray]:
    """Movables grouped by the VM-VM affinity rules whose VMs share a host; every movable is in one group."""
    group_of = list(range(state.inventory.movable_count))

    def root(m: int) -> int:
        while group_of[m] != m:
            m = group_of[m]
        return m

    for _, members in state.inventory.affinity_members:
        for h in np.unique(state.host_of_M[members]):
            together = members[state.host_of_M[members] == h]
            for m in together[1:] if h != NOWHERE else ():
                group_of[root(int(m))] = root(int(together[0]))
    roots = np.array([root(m) for m in range(len(group_of))], dtype=np.int64)
    order = np.argsort(roots, kind="stable")
    return [part for part in np.split(order, np.flatnonzero(np.diff(roots[order])) + 1) if part.size]


def _movables(state: State, anti: list[IntArray], groups: list[IntArray]) -> np.ndarray:
    """Records of the movables."""
    inventory = state.inventory
    movables = np.zeros(inventory.movable_count, dtype=MOVABLE)
    movables["demand"], movables["cost_gib"] = state.demand_MR, migration_cost_M(state)
    movables["host"], movables["profile"] = state.host_of_M, profile_of_M(inventory)
    movables["vgpu_gib"] = np.where(movables["profile"] >= 0, inventory.gpu_memory_M, 0.0)
    movables["first_rule"], movables["end_rule"] = _rows(anti)
    for u, group in enumerate(groups):
        movables["unit"][group] = u
    return movables


def _units(state: State, groups: list[IntArray], movables: np.ndarray) -> np.ndarray:
    """Records of the units; whether one can move at all is left to the caller."""
    units = np.zeros(len(groups), dtype=UNIT)
    order = _flat(groups)
    if order.size:
        starts = _rows(groups)[0]
        units["demand"] = np.add.reduceat(movables["demand"][order], starts, axis=0)
        units["cost_gib"] = np.add.reduceat(movables["cost_gib"][order], starts)
        units["has_vgpu"] = np.logical_or.reduceat(movables["profile"][order] >= 0, starts)
        units["home"] = state.host_of_M[order[starts]]
        is_on_U = np.logical_or.reduceat(state.inventory.is_on_M[order], starts)
        units["must_leave"] = is_on_U & (units["home"] >= 0) & state.inventory.is_maintenance_H[units["home"]]
    units["noise"] = 1.0
    units["first_member"], units["end_member"] = _rows(groups)
    return units


def _unit_hosts(state: State, groups: list[IntArray], can_MH: BoolArray, demand_UR: Array) -> BoolArray:
    """Hosts that could hold each unit if they were empty; none where the unit can never move; shape (U, H)."""
    inventory = state.inventory
    can_UH = can_MH[[group[0] for group in groups]]
    for r in range(RESOURCES):
        can_UH &= demand_UR[:, r, None] <= inventory.limit_HR[None, :, r]
    for u, group in enumerate(groups):
        if state.host_of_M[group[0]] != NOWHERE:
            can_UH[u, state.host_of_M[group[0]]] = False
        if group.size > 1:
            can_UH[u] &= can_MH[group].all(axis=0)
            can_UH[u] &= (inventory.is_anti_MA[group].sum(axis=0) <= 1).all()  # R4: the second could not follow
    return can_UH


def _hosts(state: State, units: np.ndarray) -> tuple[np.ndarray, IntArray]:
    """Records of the hosts, and their units by cost per demand of each resource."""
    inventory = state.inventory
    hosts = np.zeros(inventory.host_count, dtype=HOST)
    hosts["limit"], hosts["used"], hosts["is_up"] = inventory.limit_HR, state.used_HR, inventory.is_up_H
    hosts["is_stale"], hosts["is_contended"] = True, unresolved_H(state)
    is_above_H = state.utilization_HR[:, MEMORY] > 1 + TOLERANCE
    hosts["needs_memory"] = (swap_gib_H(state) > TOLERANCE) & is_above_H & inventory.is_up_H
    has_gpu_H = inventory.gpu_memory_H > 0
    for r in (CPU, MEMORY):
        hosts["score_weight"][:, r] = 1 / (inventory.capacity_HR[:, r] * (2 + has_gpu_H))
    hosts["vgpu_weight"] = np.where(has_gpu_H, 1 / (3 * np.where(has_gpu_H, inventory.gpu_memory_H, 1.0)), 0.0)
    stocks = [np.arange(len(stock)) for stock in inventory.gpu_stock_H]
    hosts["first_gpu"], hosts["end_gpu"] = _rows(stocks)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_UR = np.where(units["demand"] > 0, units["cost_gib"][:, None] / units["demand"], np.inf)
    nowhere = int((units["home"] == NOWHERE).sum())  # they sort first and are cut off
    order = [np.lexsort((ratio_UR[:, r], units["home"]))[nowhere:] for r in range(RESOURCES)]
    counts = np.bincount(units["home"][units["home"] != NOWHERE], minlength=inventory.host_count)
    hosts["end_unit"] = np.cumsum(counts)
    hosts["first_unit"] = hosts["end_unit"] - counts
    return hosts, np.array(order, dtype=np.int64)


def _failures(state: State) -> IntArray:
    """The failures to survive, as `availability.failure_scenarios`; none where R7 does not bind; shape (S, F)."""
    inventory = state.inventory
    alive = [h for h, host in enumerate(inventory.hosts) if host.state is not HostState.DOWN]
    count = min(inventory.high_availability.host_failures, len(alive))
    failures = list(combinations(alive, count)) if is_ha_binding(state) else []
    return np.array(failures, dtype=np.int64).reshape(len(failures), count)


def _restart_order(state: State) -> IntArray:
    """`ha` VMs, most constrained first, as `availability.victims`."""
    inventory = state.inventory
    is_ha_V = np.array([vm.is_ha for vm in inventory.vms], dtype=np.bool_) & inventory.is_on_M[: inventory.vm_count]
    ha = np.flatnonzero(is_ha_V)
    choices = inventory.is_allowed_MH[ha].sum(axis=1)
    return ha[np.lexsort((-state.demand_MR[ha, MEMORY], -inventory.gpu_memory_M[ha], choices))].astype(np.int64)


def _rows(rows: list[IntArray]) -> tuple[IntArray, IntArray]:
    """Where each row starts and ends in the flat array of all rows."""
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    return ends - np.array([len(row) for row in rows], dtype=np.int64), ends


def _flat(rows: list[IntArray]) -> IntArray:
    """All rows behind one another."""
    return np.concatenate([np.empty(0, dtype=np.int64), *rows]).astype(np.int64)
