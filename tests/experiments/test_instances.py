"""Fresh clusters: the same by seed, documents that can be read back, contended, and lawful at the start."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from quell.env.model.contention import contentions
from quell.env.model.errors import DocumentError, QuellError
from quell.env.model.gpu import profiles_on, vgpus_fit
from quell.env.model.snapshot import parse_snapshot, snapshot_document
from quell.env.model.state import state_of
from quell.experiments.cases import folder_cases, fresh_cases
from quell.experiments.instances import Size, draw_cluster

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two snapshots and what is known about one of them."""
    for seed in (1, 2):
        document = snapshot_document(draw_cluster(Size(3, 12), seed))
        (tmp_path / f"{seed}.json").write_text(json.dumps(document))
    (tmp_path / "optimum.json").write_text(json.dumps({"1": {"status": "planned", "cost_gib": 7.5}}))
    return tmp_path


def test_a_folder_with_what_is_known(folder: Path) -> None:
    first, second = folder_cases(folder)
    assert (first.is_refused, first.best_gib) == (False, 7.5)
    assert (second.is_refused, second.best_gib) == (None, None)


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ("[]", "object of names"),
        ('{"1": 3}', "1: must be"),
        ('{"1": {"status": "planned", "cost_gib": "x"}}', "1.cost"),
    ],
)
def test_an_optimum_that_cannot_be_read(folder: Path, known: str, told: str) -> None:
    (folder / "optimum.json").write_text(known)
    with pytest.raises(DocumentError, match=told):
        folder_cases(folder)


def test_a_folder_without_snapshots(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="holds no snapshot"):
        folder_cases(tmp_path)
