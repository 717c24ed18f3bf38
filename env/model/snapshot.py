"""Snapshots and plans: the JSON documents `quell.cluster/1` and `quell.plan/1`, read into the model and written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from .cluster import (
    NOWHERE,
    Cluster,
    Gpu,
    GpuProfile,
    HighAvailability,
    Host,
    HostState,
    Inventory,
    PlacementRule,
    RuleKind,
    Session,
    Settings,
    Vm,
    make_cluster,
)
from .contention import Contention, ContentionKind
from .errors import DocumentError
from .plan import Move, MoveKind, Plan, Resize, Status
from .schema import (
    CLUSTER_FORMAT,
    PLAN_FORMAT,
    ClusterDocument,
    HostDocument,
    PlanDocument,
    PolicyDocument,
    VmDocument,
    parse,
    read_json,
    show,
)

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def read_snapshot(path: Path) -> Cluster:
    """Reads a snapshot file.

    Raises:
        DocumentError: the file cannot be read or is not as specified; file, key and value are named.
    """
    return parse_snapshot(read_json(path), str(path))


def parse_snapshot(raw: object, where: str = "snapshot") -> Cluster:
    """A cluster from a parsed JSON document; `where` names it in errors."""
    document = parse(ClusterDocument, CLUSTER_FORMAT, raw, where)
    try:
        return _to_cluster(document)
    except _KeyedError as error:
        raise DocumentError(f"{where}: {error}") from None


def read_plan(path: Path) -> Plan:
    """Reads a plan file; whether it fits a cluster is for `validate` to say.

    Raises:
        DocumentError: the file cannot be read or is not as specified.
    """
    document = parse(PlanDocument, PLAN_FORMAT, read_json(path), str(path))
    return Plan(
        cluster=document.cluster,
        planner=document.planner,
        status=Status(document.status),
        reason=document.reason,
        contentions=tuple(
            Contention(c.kind, c.host, c.utilization or 0.0, c.threshold or 0.0, c.swap_gib or 0.0)
            for c in document.contentions
        ),
        moves=tuple(Move(MoveKind(m.kind), m.id, m.source, m.target, m.cost_gib, m.reason) for m in document.moves),
        resizes=tuple(Resize(r.vm, r.host, r.memory_gib) for r in document.resizes),
        cost_gib=document.cost_gib,
        solve_seconds=document.solve_seconds,
        vm=document.vm or "",
        target=document.target or "",
        proven=document.proven,
    )


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as a `quell.plan/1` document; figures rounded as people read them."""
    is_placement = plan.status in (Status.PLACED, Status.REJECTED)
    return {
        "format": PLAN_FORMAT,
        "cluster": plan.cluster,
        "planner": plan.planner,
        "status": plan.status.value,
        "reason": plan.reason,
        **({"vm": plan.vm or None, "target": plan.target or None} if is_placement else {}),
        "contentions": [_contention_document(c) for c in plan.contentions],
        "moves": [
            {
                "kind": m.kind.value,
                "id": m.id,
                "source": m.source,
                "target": m.target,
                "cost_gib": round(m.cost_gib, 4),
                "reason": m.reason,
            }
            for m in plan.moves
        ],
        "cost_gib": round(plan.cost_gib, 4),
        **({} if plan.proven is None else {"proven": plan.proven}),
        "resizes": [{"vm": r.vm, "host": r.host, "memory_gib": round(r.memory_gib, 4)} for r in plan.resizes],
        "solve_seconds": round(plan.solve_seconds, 4),
    }


def snapshot_document(cluster: Cluster) -> dict[str, Any]:
    """The cluster as a `quell.cluster/1` document: every key that is not at its default."""
    inventory = cluster.inventory
    settings = inventory.settings
    document: dict[str, Any] = {
        "format": CLUSTER_FORMAT,
        "name": cluster.name,
        "time": cluster.time.isoformat().replace("+00:00", "Z"),
        "hosts": [_host_document(host) for host in inventory.hosts],
        "vms": [_vm_document(cluster, v) for v in range(inventory.vm_count)],
        "volume_groups": _volume_group_documents(cluster),
        "policies": [
            {"id": r.id, "kind": r.kind.value, "vms": list(r.vms)} | ({"hosts": list(r.hosts)} if r.hosts else {})
            for r in inventory.rules
        ],
    }
    changed = {k: v for k, v in vars(settings).items() if v != getattr(Settings(), k)}
    if changed:
        document["settings"] = changed
    ha = inventory.high_availability
    if ha != HighAvailability():
        mode = "guaranteed" if ha.is_guaranteed else "best-effort"
        document["high_availability"] = {"mode": mode, "host_failures": ha.host_failures}
    return document


class _KeyedError(ValueError):
    """A value that is well-formed but makes no sense in its document; the message starts with the key's path."""


def _to_cluster(document: ClusterDocument) -> Cluster:
    """The model from a well-formed document; what contradicts itself raises `_KeyedError`."""
    host_index = _index((f"hosts[{h}]", host.id) for h, host in enumerate(document.hosts))
    vm_index = _index(((f"vms[{v}]", vm.id) for v, vm in enumerate(document.vms)), [vm.host for vm in document.vms])
    sessions = [
        (f"volume_groups[{g}].sessions[{s}]", group.id, session)
        for g, group in enumerate(document.volume_groups)
        for s, session in enumerate(group.sessions)
    ]
    _index((f"volume_groups[{g}]", group.id) for g, group in enumerate(document.volume_groups))
    _index((path, session.id) for path, _, session in sessions)
    _index((f"policies[{i}]", policy.id) for i, policy in enumerate(document.policies))
    host_of = [_lookup(host_index, vm.host, f"vms[{v}].host", "host") for v, vm in enumerate(document.vms)]
    host_of += [_lookup(host_index, session.controller, f"{path}.controller", "host") for path, _, session in sessions]
    for v, vm in enumerate(document.vms):
        _check_memory(vm, v)
    inventory = Inventory(
        hosts=tuple(_host(h, i) for i, h in enumerate(document.hosts)),
        vms=tuple(_vm(vm) for vm in document.vms),
        sessions=tuple(Session(session.id, group) for _, group, session in sessions),
        rules=tuple(_rule(p, i, vm_index, host_index) for i, p in enumerate(document.policies)),
        settings=Settings(**document.settings.model_dump()),
        high_availability=HighAvailability(
            document.high_availability.mode == "guaranteed", document.high_availability.host_failures
        ),
    )
    storage = [vm.storage_cpu_demand_cores for vm in document.vms]
    storage += [session.storage_cpu_demand_cores for _, _, session in sessions]
    return make_cluster(
        inventory,
        host_of,
        _samples_array([vm.cpu_demand_cores for vm in document.vms]),
        _samples_array(storage),
        name=document.name,
        time=_time(document.time),
        memory_usage_V=[vm.memory_usage_gib or 0.0 for vm in document.vms],
        memory_swap_V=[vm.memory_swap_gib or 0.0 for vm in document.vms],
    )


def _index(paths_and_ids: Iterable[tuple[str, str]], homes: Sequence[str | None] = ()) -> dict[str, int]:
    """Id -> position; an id that stands twice is an error. `homes`: the host of each, to name two that differ."""
    index: dict[str, int] = {}
    paths: list[str] = []
    for path, name in paths_and_ids:
        if name in index:
            two = (homes[index[name]], homes[len(paths)]) if homes else (None, None)
            hint = f" (on {two[0]} there, on {two[1]} here)" if all(two) and two[0] != two[1] else ""
            raise _KeyedError(f"{path}.id: {show(name)} is the id of {paths[index[name]]} already{hint}")
        index[name] = len(paths)
        paths.append(path)
    return index


def _lookup(index: dict[str, int], name: str | None, path: str, what: str) -> int:
    """Position of an id; None is NOWHERE, an unknown id an error."""
    if name is None:
        return NOWHERE
    if name not in index:
        near = get_close_matches(name, index, n=1)
        hint = f" (did you mean {show(near[0])}?)" if near else ""
        raise _KeyedError(f"{path}: {show(name)} is no {what} of this cluster{hint}")
    return index[name]


def _time(text: str) -> datetime:
    """An RFC 3339 time; Python alone would take all of ISO 8601, week dates and days without a time too."""
    try:
        time = datetime.fromisoformat(text.upper()) if RFC_3339.fullmatch(text.upper()) else None
    except ValueError:
        time = None
    if time is None:
        raise _KeyedError(f"time: must be an RFC 3339 time such as 2026-01-01T12:00:00Z, not {show(text)}")
    if time.tzinfo is None:
        raise _KeyedError(f"time: {show(text)} has no UTC offset (such as Z or +01:00)")
    return time


def _samples_array(rows: list[float | list[float]]) -> np.ndarray:
    """Samples right-aligned (newest last) in one array, NaN in front of shorter lists; shape (N, T)."""
    lists = [row if isinstance(row, list) else [row] for row in rows]
    longest = max((len(row) for row in lists), default=1)
    array = np.full((len(lists), longest), np.nan)
    for i, row in enumerate(lists):
        array[i, longest - len(row) :] = row
    return array


def _check_memory(vm: VmDocument, v: int) -> None:
    """Overcommit keys stand where `overcommit` is true, all three of them, and nowhere else."""
    for key in ("memory_usage_gib", "memory_swap_gib", "memory_minimum_gib"):
        value = getattr(vm, key)
        if vm.overcommit and value is None:
            raise _KeyedError(f"vms[{v}].{key}: required key is missing (overcommit is true)")
        if not vm.overcommit and value is not None:
            raise _KeyedError(f"vms[{v}].{key}: {show(value)} is given, but overcommit is false")
    if vm.memory_minimum_gib is not None and vm.memory_minimum_gib > vm.memory_gib:
        limit = f"at most memory_gib ({vm.memory_gib:g})"
        raise _KeyedError(f"vms[{v}].memory_minimum_gib: must be {limit}, not {vm.memory_minimum_gib:g}")


def _host(host: HostDocument, h: int) -> Host:
    _index((f"hosts[{h}].gpus[{g}]", gpu.id) for g, gpu in enumerate(host.gpus))
    gpus = tuple(Gpu(gpu.id, gpu.model, gpu.memory_gib) for gpu in host.gpus)
    return Host(host.id, host.cpu_cores, host.memory_gib, host.storage_cpu_cores, gpus, HostState(host.state))


def _vm(vm: VmDocument) -> Vm:
    profile = GpuProfile(vm.gpu.model, vm.gpu.memory_gib) if vm.gpu else None
    minimum_gib = vm.memory_minimum_gib or 0.0
    return Vm(vm.id, vm.vcpus, vm.memory_gib, vm.power == "on", vm.overcommit, minimum_gib, profile, vm.ha)


def _rule(policy: PolicyDocument, i: int, vm_index: dict[str, int], host_index: dict[str, int]) -> PlacementRule:
    kind = RuleKind(policy.kind)
    if kind is RuleKind.VM_HOST_AFFINITY and policy.hosts is None:
        raise _KeyedError(f"policies[{i}].hosts: required key is missing (kind is vm-host-affinity)")
    if kind is not RuleKind.VM_HOST_AFFINITY and policy.hosts is not None:
        raise _KeyedError(f"policies[{i}].hosts: has no meaning where kind is {kind}")
    for j, vm in enumerate(policy.vms):
        _lookup(vm_index, vm, f"policies[{i}].vms[{j}]", "VM")
        if vm in policy.vms[:j]:
            raise _KeyedError(f"policies[{i}].vms[{j}]: {show(vm)} stands twice")
    for j, host in enumerate(policy.hosts or []):
        _lookup(host_index, host, f"policies[{i}].hosts[{j}]", "host")
    return PlacementRule(policy.id, kind, tuple(policy.vms), tuple(policy.hosts or ()))


def _contention_document(c: Contention) -> dict[str, Any]:
    if c.kind is ContentionKind.MEMORY_SWAP:
        return {"kind": c.kind.value, "host": c.host, "swap_gib": round(c.swap_gib, 4)}
    figures = {"utilization": round(c.utilization, 6), "threshold": c.threshold}
    return {"kind": c.kind.value, "host": c.host} | figures


def _host_document(host: Host) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": host.id,
        "cpu_cores": host.cpu_cores,
        "memory_gib": host.memory_gib,
        "storage_cpu_cores": host.storage_cpu_cores,
    }
    if host.gpus:
        document["gpus"] = [dict(vars(gpu)) for gpu in host.gpus]
    if host.state is not HostState.UP:
        document["state"] = host.state.value
    return document


def _vm_document(cluster: Cluster, v: int) -> dict[str, Any]:
    vm, h = cluster.inventory.vms[v], int(cluster.host_of_M[v])
    document: dict[str, Any] = {
        "id": vm.id,
        "host": None if h == NOWHERE else cluster.inventory.hosts[h].id,
        "vcpus": vm.vcpus,
        "memory_gib": vm.memory_gib,
        "cpu_demand_cores": _samples_out(cluster.cpu_samples_VT[v]),
        "storage_cpu_demand_cores": _samples_out(cluster.storage_samples_MT[v]),
    }
    if not vm.is_on:
        document["power"] = "off"
    if vm.is_overcommit:
        document |= {"overcommit": True, "memory_minimum_gib": vm.memory_minimum_gib}
        document["memory_usage_gib"] = float(cluster.memory_usage_V[v])
        document["memory_swap_gib"] = float(cluster.memory_swap_V[v])
    if vm.gpu is not None:
        document["gpu"] = dict(vars(vm.gpu))
    if not vm.is_ha:
        document["ha"] = False
    return document


def _volume_group_documents(cluster: Cluster) -> list[dict[str, Any]]:
    inventory = cluster.inventory
    groups: dict[str, list[dict[str, Any]]] = {}
    for s, session in enumerate(inventory.sessions):
        m = inventory.vm_count + s
        groups.setdefault(session.volume_group, []).append(
            {
                "id": session.id,
                "controller": inventory.hosts[int(cluster.host_of_M[m])].id,
                "storage_cpu_demand_cores": _samples_out(cluster.storage_samples_MT[m]),
            }
        )
    return [{"id": group, "sessions": sessions} for group, sessions in groups.items()]


def _samples_out(samples_T: np.ndarray) -> float | list[float]:
    """A lone sample as a number, several as a list, without the missing ones."""
    present = [float(x) for x in samples_T[~np.isnan(samples_T)]]
    return present[0] if len(present) == 1 else present
