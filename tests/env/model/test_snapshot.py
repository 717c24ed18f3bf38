"""The two documents mean what the contract says, and come back as they were."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from quell.env.model.cluster import NOWHERE, Cluster, HighAvailability, HostState, Settings
from quell.env.model.contention import Contention, ContentionKind
from quell.env.model.memory import Resize
from quell.env.model.plan import Move, MoveKind, Plan, Status
from quell.env.model.snapshot import parse_snapshot, plan_document, read_plan, read_snapshot, snapshot_document
from tests.env.model.clusters import random_clusters
from tests.env.model.documents import EVERYTHING, PLAN, SMALLEST

# What a document means


def test_the_smallest_document_has_the_defaults_of_the_contract() -> None:
    cluster = parse_snapshot(SMALLEST)
    inventory = cluster.inventory
    assert (inventory.vm_count, inventory.movable_count, inventory.rules) == (0, 0, ())
    assert inventory.hosts[0].state is HostState.UP
    assert inventory.hosts[0].gpus == ()
    assert inventory.high_availability == HighAvailability(is_guaranteed=False)
    assert inventory.settings == Settings(0.85, 0.85, 600.0, 900.0, 120.0, 900.0, 1.0, 5.0)


def test_a_vm_has_the_defaults_of_the_contract() -> None:
    vm = {"id": "vm", "host": None, "vcpus": 1, "memory_gib": 2, "cpu_demand_cores": 0, "storage_cpu_demand_cores": 0}
    cluster = parse_snapshot(SMALLEST | {"vms": [vm]})
    vm_read = cluster.inventory.vms[0]
    assert (vm_read.is_on, vm_read.is_overcommit, vm_read.gpu, vm_read.is_ha) == (True, False, None, True)
    assert cluster.host_of_M.tolist() == [NOWHERE]


def test_every_key_arrives_where_it_belongs() -> None:
    cluster = parse_snapshot(EVERYTHING)
    inventory = cluster.inventory
    assert cluster.name == "web"
    assert cluster.time.isoformat() == "2026-01-01T12:00:00+01:00"
    assert [host.state.value for host in inventory.hosts] == ["up", "maintenance", "down"]
    assert cluster.host_of_M.tolist() == [0, 1, NOWHERE, 0, 2, 0]
    assert [(session.id, session.volume_group) for session in inventory.sessions] == [
        ("backup-0", "backup"),
        ("backup-1", "backup"),
        ("a", "archive"),
    ]
    assert cluster.memory_need_V.tolist() == [16.0, 9.5, 4.0]
    assert inventory.high_availability == HighAvailability(is_guaranteed=True, host_failures=2)
    assert inventory.settings.trend_window_seconds == 300.0


def test_shorter_sample_lists_end_with_the_newest_sample_too() -> None:
    samples_MT = parse_snapshot(EVERYTHING).storage_samples_MT
    np.testing.assert_array_equal(samples_MT[1], [math.nan, 0.25, 0.5])
    np.testing.assert_array_equal(samples_MT[4], [0.5, 0.75, 1.0])


# There and back


def test_a_document_comes_back_as_it_was() -> None:
    assert snapshot_document(parse_snapshot(EVERYTHING)) == EVERYTHING


def test_best_effort_with_two_failures_comes_back_as_it_was() -> None:
    setting = {"mode": "best-effort", "host_failures": 2}
    document = snapshot_document(parse_snapshot(SMALLEST | {"high_availability": setting}))
    assert document["high_availability"] == setting


@given(random_clusters())
def test_random_clusters_survive_the_way_through_a_file(cluster: Cluster) -> None:
    text = json.dumps(snapshot_document(cluster), allow_nan=False)
    again = parse_snapshot(json.loads(text))
    assert json.dumps(snapshot_document(again), allow_nan=False) == text
    assert again.inventory.hosts == cluster.inventory.hosts
    assert again.inventory.vms == cluster.inventory.vms
    assert again.inventory.sessions == cluster.inventory.sessions
    assert again.inventory.rules == cluster.inventory.rules
    assert again.inventory.settings == cluster.inventory.settings
    assert again.inventory.high_availability == cluster.inventory.high_availability
    np.testing.assert_array_equal(again.host_of_M, cluster.host_of_M)
    np.testing.assert_array_equal(again.memory_need_V, cluster.memory_need_V)


def test_changing_a_written_document_does_not_change_the_cluster() -> None:
    cluster = parse_snapshot(EVERYTHING)
    document = snapshot_document(cluster)
    document["hosts"][0]["gpus"][0]["memory_gib"] = 0
    document["vms"][0]["gpu"]["memory_gib"] = 0
    assert snapshot_document(cluster) == EVERYTHING


def test_a_file_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "web.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(EVERYTHING).encode())
    assert snapshot_document(read_snapshot(path)) == EVERYTHING


@pytest.mark.parametrize("time", ["2026-01-01T12:00:00Z", "2026-01-01T12:00:00.250000-05:30"])
def test_times_come_back_as_they_were(time: str) -> None:
    assert snapshot_document(parse_snapshot(SMALLEST | {"time": time}))["time"] == time


@pytest.mark.parametrize("time", ["2026-01-01t12:00:00z", "2026-01-01 12:00:00Z", "2026-01-01T12:00:00-00:00"])
def test_all_spellings_of_rfc_3339_are_read(time: str) -> None:
    assert snapshot_document(parse_snapshot(SMALLEST | {"time": time}))["time"] == "2026-01-01T12:00:00Z"


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN))
    assert plan_document(read_plan(path)) == PLAN


def test_a_written_plan_is_read_back_as_it_was(tmp_path: Path) -> None:
    plan = Plan(
        cluster="web",
        planner="ads",
        status=Status.PLANNED,
        reason="resolved",
        contentions=(
            Contention(ContentionKind.STORAGE_CPU, "host-0", 0.9, 0.85),
            Contention(ContentionKind.MEMORY_SWAP, "host-1", swap_gib=0.5),
            Contention(ContentionKind.MAINTENANCE, "host-2", 0.25, 0.0),
        ),
        moves=(Move(MoveKind.SESSION, "s", "host-0", "host-1", 1.0, "hot"),),
        resizes=(Resize("vm-1", "host-1", 9.5),),
        cost_gib=1.0,
        solve_seconds=0.125,
    )
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan_document(plan)))
    assert read_plan(path) == plan


@pytest.mark.parametrize(("status", "target"), [(Status.PLACED, "host-1"), (Status.REJECTED, "")])
def test_a_written_placement_is_read_back_as_it_was(status: Status, target: str, tmp_path: Path) -> None:
    plan = Plan("web", "ads", status, "there", vm="vm-2", target=target)
    document = plan_document(plan)
    assert (document["vm"], document["target"]) == ("vm-2", target or None)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    assert read_plan(path) == plan


def test_vm_and_target_are_keys_of_placements_only() -> None:
    document = plan_document(Plan("web", "ads", Status.REFUSED, "no room"))
    assert not {"vm", "target"} & set(document)


@pytest.mark.parametrize("proven", [True, False, None])
def test_whether_a_plan_is_proven_is_written_where_it_is_known(proven: bool | None, tmp_path: Path) -> None:
    plan = Plan("web", "exact", Status.REFUSED, "no room", proven=proven)
    document = plan_document(plan)
    assert document.get("proven", "not there") == ("not there" if proven is None else proven)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    assert read_plan(path) == plan


def test_an_example_of_the_contract_is_read(shared_dir: Path) -> None:
    for path in sorted((shared_dir / "spec" / "examples").glob("*.json")):
        assert_round_trip(path)


def test_every_instance_is_read(shared_dir: Path) -> None:
    paths = [p for p in sorted((shared_dir / "spec" / "instances").glob("*.json")) if p.name != "optimum.json"]
    assert paths
    for path in paths:
        assert_round_trip(path)


def assert_round_trip(path: Path) -> None:
    """A document read and written has every value of the file; keys at their defaults may go."""
    before, after = json.loads(path.read_text()), snapshot_document(read_snapshot(path))
    assert {key: before[key] for key in ("name", "time")} == {key: after[key] for key in ("name", "time")}
    for kind in ("hosts", "vms", "volume_groups", "policies"):
        entries = before.get(kind, [])
        assert len(entries) == len(after[kind])
        defaults = {"gpus": [], "state": "up", "power": "on", "overcommit": False, "gpu": None, "ha": True}
        for entry, written in zip(entries, after[kind], strict=True):
            assert {k: v for k, v in entry.items() if k not in defaults or v != defaults[k]} == written
    assert before.get("settings", {}) == after.get("settings", {})
    assert before.get("high_availability") == after.get("high_availability")
