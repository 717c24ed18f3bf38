"""Pieces of an inventory as plain arrays that kernels may take: ragged rows behind one another, failures, vGPUs."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model.clumps import alike
from ..model.cluster import BoolArray, HostState, IntArray, Inventory
from ..model.gpu_kernels import profile_of_M, profiles_of, slots_of


def rule_arrays(inventory: Inventory) -> dict[str, Any]:
    """R4 and R5, as `LookArrays` names them."""
    first_anti_M, anti_rule = _grouped(inventory.is_anti_MA)
    first_affinity, affinity_member = _joined([members for _, members in inventory.affinity_members])
    return {
        "rule_count": len(inventory.anti_affinity_rules),
        "first_anti_M": first_anti_M,
        "anti_rule": anti_rule,
        "first_affinity": first_affinity,
        "affinity_member": affinity_member,
        "tied": np.unique(affinity_member),
        "alike_M": own(alike(inventory)),
    }


def gpu_arrays(inventory: Inventory) -> dict[str, Any]:
    """R6, as `LookArrays` names it."""
    return {
        "profile_M": profile_of_M(inventory),
        "vgpu_gib_M": own(inventory.gpu_memory_M),
        "gpu_gib_H": own(inventory.gpu_memory_H),
        "first_gpu_H": np.cumsum([0, *(len(stock) for stock in inventory.gpu_stock_H)], dtype=np.int64),
        "slots_GC": slots_of(inventory),
        "profile_gib_C": np.array([gib for _, gib in profiles_of(inventory)], dtype=np.float64),
    }


def reservation_arrays(inventory: Inventory) -> dict[str, Any]:
    """R7, as `LookArrays` names it."""
    is_guaranteed = inventory.high_availability.is_guaranteed
    no_S = np.zeros(len(inventory.sessions), dtype=np.bool_)
    is_restarted_M = np.concatenate([inventory.is_ha_V, no_S]) & inventory.is_on_M
    failed_FN = _failures(inventory)
    return {
        "is_guaranteed": is_guaranteed,
        "is_restarted_M": is_restarted_M,
        "must_pack_gpus": bool(is_guaranteed and is_restarted_M[inventory.gpu_movables].any()),
        "failed_FN": failed_FN,
        "failed_FH": (failed_FN[:, :, None] == np.arange(inventory.host_count)).any(axis=1),
    }


def _failures(inventory: Inventory) -> IntArray:
    """The failures to survive, as `availability.failure_scenarios`; none where nothing is guaranteed; shape (F, N)."""
    reserve = inventory.high_availability
    alive = [h for h, host in enumerate(inventory.hosts) if host.state is not HostState.DOWN]
    count = min(reserve.host_failures, len(alive))
    failures = list(combinations(alive, count)) if reserve.is_guaranteed else []
    return np.array(failures, dtype=np.int64).reshape(len(failures), count)


def _joined(rows: list[IntArray]) -> tuple[IntArray, IntArray]:
    """Where each row begins in all rows behind one another (and where the last one ends); and these."""
    first = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
    return first, np.concatenate([np.empty(0, dtype=np.int64), *rows]).astype(np.int64)


def _grouped(is_member_NA: BoolArray) -> tuple[IntArray, IntArray]:
    """`_joined` of the columns that are True in each row."""
    rows, columns = np.nonzero(is_member_NA)
    return np.searchsorted(rows, np.arange(len(is_member_NA) + 1)).astype(np.int64), columns.astype(np.int64)


def own(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A writable copy in C order: numba tells read-only arrays from others."""
    return np.array(values, order="C")
