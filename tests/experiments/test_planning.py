"""`quell plan` for every planner that people can name: what it hands out, `quell check` accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quell.env.model.cluster import Cluster
from quell.env.model.snapshot import plan_document, read_snapshot, snapshot_document
from quell.experiments import planning
from quell.experiments.instances import Size, draw_cluster
from quell.experiments.planners import ALL_NAMES, FORECAST, LEARNED, RELIEVING_PARTS
from quell.experiments.planning import check_plan, plan_snapshot
from tests.agents.forecasters import quick_content

INSTANCES = 6
NAMED = [name for name in ALL_NAMES if name not in (LEARNED, FORECAST, "clairvoyant")]  # which knows days only


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Contended clusters; on most of them `tuned` and `spread` relieve only a part."""
    files = [tmp_path_factory.mktemp("snapshots") / f"{seed}.json" for seed in range(INSTANCES)]
    for seed, file in enumerate(files):
        file.write_text(json.dumps(snapshot_document(draw_cluster(Size(6, 60), seed))))
    return files


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy with a forecaster."""
    file = tmp_path_factory.mktemp("bundles") / "quick.quell"
    file.write_bytes(quick_content())
    return file


def statuses(name: str, snapshots: list[Path], folder: Path) -> list[str]:
    """What a planner answers; every plan is checked as its document."""
    found = []
    for snapshot in snapshots:
        plan, file = plan_snapshot(snapshot, name, limit_seconds=None if name == "none" else 0.5), folder / "plan.json"
        file.write_text(json.dumps(plan_document(plan)))
        assert check_plan(snapshot, file) == (), f"{name}, {snapshot.name}"
        assert plan.planner == name.partition(":")[0] or plan.planner == LEARNED
        found.append(plan.status.value)
    return found


@pytest.mark.parametrize("name", NAMED)
def test_plans_of_named_planners_are_valid(name: str, snapshots: list[Path], tmp_path: Path) -> None:
    """Of `quell plan --planner tuned`, every third plan relieved a part only and was refused by `quell check`."""
    assert ("planned" in statuses(name, snapshots, tmp_path)) is (name != "none")


@pytest.mark.parametrize("name", ["{}", "forecast:{}"])
def test_plans_of_bundles_are_valid(name: str, snapshots: list[Path], bundle: Path, tmp_path: Path) -> None:
    assert "planned" in statuses(name.format(bundle), snapshots, tmp_path)


@pytest.mark.parametrize("name", RELIEVING_PARTS)
def test_where_rules_relieve_a_part_ads_answers(name: str, snapshots: list[Path]) -> None:
    reasons = [plan_snapshot(snapshot, name, 0.5).reason for snapshot in snapshots]
    assert any(" would relieve only part and leave " in reason and "so ads answers: " in reason for reason in reasons)


@pytest.mark.parametrize(("name", "is_loading"), [("ads", False), ("tuned", False), ("{}", True)])
def test_kernels_are_loaded_before_a_plan_is_timed(
    name: str, is_loading: bool, snapshots: list[Path], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first plan of `learned` told 1.4 s, of which nearly all was loading."""
    loaded: list[str] = []
    monkeypatch.setattr("quell.experiments.planners.warm_up_planners", lambda: loaded.append("kernels"))

    def read(path: Path) -> Cluster:
        loaded.append("snapshot")
        return read_snapshot(path)

    monkeypatch.setattr(planning, "read_snapshot", read)
    plan_snapshot(snapshots[0], name.format(bundle))
    assert loaded == ["snapshot", "kernels"][: 1 + is_loading]
