"""Fresh clusters: the same by seed, documents that can be read back, contended, and lawful at the start."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from quell.env.model.contention import contentions
from quell.env.model.errors import DocumentError, QuellError
from quell.env.model.gpu import profiles_on, vgpus_fit
from quell.env.model.snapshot import parse_snapshot, snapshot_document
from quell.env.model.state import state_of
from quell.experiments.cases import folder_cases, fresh_cases
from quell.experiments.instances import Size, draw_cluster, shares_of
from quell.experiments.optimum import Known

SEEDS = range(12)
SIZE = Size(8, 80)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fresh_cluster_is_a_valid_document(seed: int) -> None:
    document = snapshot_document(draw_cluster(SIZE, seed))
    assert snapshot_document(parse_snapshot(json.loads(json.dumps(document)))) == document


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fresh_cluster_starts_within_the_placement_rules(seed: int) -> None:
    """R3, R4 and R6 hold, so that what is wrong with it is contention or a host in maintenance."""
    state = state_of(draw_cluster(SIZE, seed))
    inventory = state.inventory
    assert contentions(state)
    assert inventory.is_allowed_MH[np.arange(inventory.movable_count), state.host_of_M].all()
    assert state.members_HA.max(initial=0) <= 1
    for h in range(inventory.host_count):
        assert vgpus_fit(inventory.gpu_stock_H[h], profiles_on(state, h))


def test_the_same_seed_gives_the_same_clusters_and_another_others() -> None:
    first, again = (fresh_cases(SIZE, 3, seed=5) for _ in range(2))
    documents = [snapshot_document(case.cluster) for case in first]
    assert documents == [snapshot_document(case.cluster) for case in again]
    assert len({json.dumps(d["vms"]) for d in documents}) == 3
    assert snapshot_document(draw_cluster(SIZE, 6)) == documents[1]


def test_between_them_they_have_everything_that_rules_speak_of() -> None:
    inventories = [draw_cluster(SIZE, seed).inventory for seed in range(40)]
    assert {rule.kind for inventory in inventories for rule in inventory.rules} == {
        "vm-host-affinity",
        "vm-vm-anti-affinity",
        "vm-vm-affinity",
    }
    assert any(inventory.gpu_movables.size for inventory in inventories)
    assert any(inventory.is_maintenance_H.any() for inventory in inventories)
    assert any(inventory.is_overcommit_V.any() for inventory in inventories)
    assert any(inventory.sessions for inventory in inventories)
    assert any(inventory.high_availability.is_guaranteed for inventory in inventories)


@pytest.mark.parametrize("text", ["24", "x300", "24x", "24x300x2", "1x10", "8x4", "-8x80"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(QuellError, match="--sizes"):
        Size.of(text)


KNOWN = {"1": {"status": "planned", "cost_gib": 7.5}, "2": {"status": "refused", "cost_gib": None}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two snapshots and what is known about them."""
    for seed in (1, 2):
        document = snapshot_document(draw_cluster(Size(3, 12), seed))
        (tmp_path / f"{seed}.json").write_text(json.dumps(document))
    (tmp_path / "optimum.json").write_text(json.dumps(KNOWN))
    return tmp_path


def test_a_folder_with_what_is_known(folder: Path) -> None:
    first, second = folder_cases(folder)
    assert (first.name, first.seed, first.known) == ("1", None, Known(False, 7.5))
    assert second.known == Known(True, None)


def test_a_folder_of_which_nothing_is_known(folder: Path) -> None:
    (folder / "optimum.json").unlink()
    assert [case.known for case in folder_cases(folder)] == [Known(), Known()]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (3, "1: must be an object with a status, is 3"),
        ({}, "1.status: missing"),
        ({"status": "plan"}, r"1.status: must be one of planned, refused, no-contention, is \"plan\"; did you mean"),
        ({"status": 7}, "1.status: must be one of planned, refused, no-contention, is 7"),
        ({"status": "planned", "cost_gib": "x"}, r"1.cost_gib: must be a number of GiB, is \"x\""),
        ({"status": "planned", "cost_gib": True}, "1.cost_gib: must be a number of GiB, is true"),
        ({"status": "planned", "cost_gib": -1}, "1.cost_gib: must be finite and at least 0 GiB, is -1"),
        ({"status": "planned", "cost_gib": math.inf}, "1.cost_gib: must be finite and at least 0 GiB, is Infinity"),
        ({"status": "planned", "cost_gib": math.nan}, "1.cost_gib: must be finite and at least 0 GiB, is NaN"),
        ({"status": "refused", "cost_gib": 5}, "1.cost_gib: must be 0 or absent where the status is refused, is 5"),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(folder: Path, entry: object, told: str) -> None:
    (folder / "optimum.json").write_text(json.dumps(KNOWN | {"1": entry}))
    with pytest.raises(DocumentError, match=rf"optimum.json: {told}"):
        folder_cases(folder)


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ([], r"must be an object of file names, is \[\]"),
        (KNOWN | {"33": KNOWN["1"]}, r'"33": an object is about 33.json, which is not there'),
        ({"1": KNOWN["1"]}, r'"2": there is no entry for 2.json'),
    ],
)
def test_an_optimum_for_other_snapshots(folder: Path, known: object, told: str) -> None:
    (folder / "optimum.json").write_text(json.dumps(known))
    with pytest.raises(DocumentError, match=rf"optimum.json: {told}"):
        folder_cases(folder)


def test_a_folder_without_snapshots(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="holds no snapshot"):
        folder_cases(tmp_path)
    with pytest.raises(DocumentError, match="absent does not exist"):
        folder_cases(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(DocumentError, match="file is a file, not a folder"):
        folder_cases(tmp_path / "file")


def test_very_full_clusters() -> None:
    """Memory in use as asked, on every host that does not swap."""
    cluster = draw_cluster(Size(4, 20), 2, shares_of("85-97"))
    used_H = np.bincount(cluster.host_of_M[:20], weights=cluster.memory_need_V, minlength=4)
    shares_H = used_H / [host.memory_gib for host in cluster.inventory.hosts]
    assert (shares_H > 0.84).all()


@pytest.mark.parametrize("text", ["", "50", "90-50", "0-50", "50-101", "a-b"])
def test_memory_that_no_host_has(text: str) -> None:
    with pytest.raises(QuellError, match="--memory"):
        shares_of(text)
