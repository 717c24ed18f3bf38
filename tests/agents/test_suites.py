"""Figures that travel with a bundle: recording them changes nothing else, and what cannot be recorded is refused."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quell.agents.bundle import load_bundle, parse_bundle, shipped_bundle, with_manifest
from quell.agents.suites import suites_of, with_suite
from quell.env.model.errors import BundleError

HERE = Path("policy.quell")
FIGURES = {"planner": "learned", "planners": {"learned": {"cost_core_minutes": 12.5}}}


def members(content: bytes) -> dict[str, bytes]:
    """The members of a bundle, the manifest apart."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}


@pytest.fixture(scope="module")
def content() -> bytes:
    """The shipped bundle: one with a forecaster."""
    return shipped_bundle().read_bytes()


def test_the_same_manifest_gives_the_same_bytes(content: bytes) -> None:
    assert with_manifest(content, parse_bundle(content, HERE).manifest, HERE) == content


def test_recording_changes_neither_networks_nor_sums_nor_the_rest_of_the_manifest(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "recorded.quell"
    path.write_bytes(with_suite(content, HERE, "other-days", FIGURES))
    before, after = parse_bundle(content, HERE).manifest, load_bundle(path).manifest
    assert suites_of(after, HERE)["other-days"] == FIGURES
    kept = {key: value for key, value in after.metrics.items() if key != "suites"}
    assert kept == {key: value for key, value in before.metrics.items() if key != "suites"}
    assert {**vars(after), "metrics": 0} == {**vars(before), "metrics": 0}
    assert members(path.read_bytes()) == members(content)


def test_a_recorded_bundle_scores_as_before(content: bytes) -> None:
    old = parse_bundle(content, HERE)
    new = parse_bundle(with_suite(content, HERE, "days", FIGURES), HERE)
    schema, rng = old.manifest.feature_schema, np.random.default_rng(0)
    asked = rng.random((5, len(schema.candidate))), rng.random(len(schema.context)), np.ones(5)
    np.testing.assert_array_equal(old.score(*asked).logits, new.score(*asked).logits)


def test_suites_stand_side_by_side_and_a_name_is_taken_once(content: bytes) -> None:
    once = with_suite(content, HERE, "one", {"a": 1})
    both = with_suite(once, HERE, "two", {"b": 2})
    assert set(suites_of(parse_bundle(both, HERE).manifest, HERE)) >= {"one", "two"}
    with pytest.raises(BundleError, match="a suite 'one' are recorded already; --replace"):
        with_suite(both, HERE, "one", {"a": 3})
    again = with_suite(both, HERE, "one", {"a": 3}, may_replace=True)
    assert suites_of(parse_bundle(again, HERE).manifest, HERE)["one"] == {"a": 3}


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 61, "\x1b[31m"])
def test_a_name_that_cannot_be_one(content: bytes, name: str) -> None:
    with pytest.raises(BundleError, match="no suite can be called") as refused:
        with_suite(content, HERE, name, {})
    assert "\n" not in str(refused.value) and "\x1b" not in str(refused.value)


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"a": float("nan")}, "metrics.suites is no JSON value"),
        ({"a": "x" * 2**20}, "at most 1048576 are written"),
    ],
)
def test_figures_that_cannot_be_kept(content: bytes, figures: dict[str, Any], told: str) -> None:
    with pytest.raises(BundleError, match=told):
        with_suite(content, HERE, "days", figures)


def test_a_damaged_bundle_gets_no_figures(content: bytes) -> None:
    with pytest.raises(BundleError, match="is no whole zip file"):
        with_suite(content[:-100], HERE, "days", {})
