"""A snapshot and a plan with every key of the contract, for the tests that read and write them."""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]


class _Gone:
    """Its repr stands in test names, which must be the same in every process."""

    def __repr__(self) -> str:
        return "gone"


GONE = _Gone()  # as a value: the key is taken out

SMALLEST: Json = {
    "format": "quell.cluster/1",
    "name": "smallest",
    "time": "2026-01-01T12:00:00Z",
    "hosts": [{"id": "host-0", "cpu_cores": 40, "memory_gib": 256, "storage_cpu_cores": 8}],
}

GPU = {"id": "gpu-0", "model": "A40", "memory_gib": 48.0}

# Every key of the contract, none at its default.
EVERYTHING: Json = {
    "format": "quell.cluster/1",
    "name": "web",
    "time": "2026-01-01T12:00:00+01:00",
    "hosts": [
        {"id": "host-0", "cpu_cores": 40.0, "memory_gib": 256.0, "storage_cpu_cores": 8.0, "gpus": [GPU]},
        {"id": "host-1", "cpu_cores": 40.0, "memory_gib": 256.0, "storage_cpu_cores": 8.0, "state": "maintenance"},
        {"id": "host-2", "cpu_cores": 64.0, "memory_gib": 512.5, "storage_cpu_cores": 6.0, "state": "down"},
    ],
    "vms": [
        {
            "id": "vm-0",
            "host": "host-0",
            "vcpus": 8.0,
            "memory_gib": 16.0,
            "cpu_demand_cores": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0],
            "storage_cpu_demand_cores": 0.5,
            "gpu": {"model": "A40", "memory_gib": 12.0},
        },
        {
            "id": "vm-1",
            "host": "host-1",
            "vcpus": 4.0,
            "memory_gib": 32.0,
            "cpu_demand_cores": 2.5,
            "storage_cpu_demand_cores": [0.25, 0.5],
            "overcommit": True,
            "memory_usage_gib": 8.0,
            "memory_swap_gib": 1.5,
            "memory_minimum_gib": 4.0,
        },
        {
            "id": "vm-2",
            "host": None,
            "vcpus": 2.0,
            "memory_gib": 4.0,
            "cpu_demand_cores": 0.0,
            "storage_cpu_demand_cores": 0.0,
            "power": "off",
            "ha": False,
        },
    ],
    "volume_groups": [
        {
            "id": "backup",
            "sessions": [
                {"id": "backup-0", "controller": "host-0", "storage_cpu_demand_cores": 0.5},
                {"id": "backup-1", "controller": "host-2", "storage_cpu_demand_cores": [0.5, 0.75, 1.0]},
            ],
        },
        {"id": "archive", "sessions": [{"id": "a", "controller": "host-0", "storage_cpu_demand_cores": 0.0}]},
    ],
    "policies": [
        {"id": "licence", "kind": "vm-host-affinity", "vms": ["vm-0"], "hosts": ["host-0", "host-1"]},
        {"id": "apart", "kind": "vm-vm-anti-affinity", "vms": ["vm-0", "vm-1"]},
        {"id": "together", "kind": "vm-vm-affinity", "vms": ["vm-2", "vm-1"]},
    ],
    "settings": {
        "cpu_threshold": 0.8,
        "storage_cpu_threshold": 1.0,
        "trend_window_seconds": 300.0,
        "contention_period_seconds": 600.0,
        "memory_period_seconds": 60.0,
        "observation_seconds": 0.0,
        "session_move_cost_gib": 0.0,
        "solve_limit_seconds": 0.5,
    },
    "high_availability": {"mode": "guaranteed", "host_failures": 2},
}

PLAN: Json = {
    "format": "quell.plan/1",
    "cluster": "web",
    "planner": "ads",
    "status": "planned",
    "reason": "two contentions resolved",
    "contentions": [
        {"kind": "cpu", "host": "host-0", "utilization": 0.9, "threshold": 0.85},
        {"kind": "memory-swap", "host": "host-1", "swap_gib": 1.5},
    ],
    "moves": [
        {"kind": "vm", "id": "vm-0", "source": "host-0", "target": "host-1", "cost_gib": 28.0, "reason": "hot"},
        {"kind": "session", "id": "a", "source": "host-0", "target": "host-1", "cost_gib": 1.0, "reason": ""},
    ],
    "cost_gib": 29.0,
    "resizes": [{"vm": "vm-1", "host": "host-1", "memory_gib": 9.5}],
    "solve_seconds": 0.25,
}


def changed(document: Json, path: str, value: object) -> Json:
    """A copy of a document with the value at a path ("vms.3.host") replaced, added or (GONE) taken out."""
    document = copy.deepcopy(document)
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    node: Any = document
    for key in parents:
        node = node[key]
    if value is GONE:
        del node[last]
    elif isinstance(node, list) and last == len(node):
        node.append(value)
    else:
        node[last] = value
    return document
