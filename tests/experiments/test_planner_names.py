"""Planners by what people type: the learned one, without one of its parts, and what is wrong with a name."""

from __future__ import annotations

import pytest

from quell.agents import export
from quell.agents.bundle import shipped_bundle
from quell.agents.lookahead import LookaheadSettings
from quell.agents.planner import VARIANTS, LearnedPlanner, Proposal
from quell.env.model.errors import QuellError
from quell.experiments import planners
from quell.experiments.planners import is_bundle, is_learned, planner_for_snapshot, split_variant
from quell.experiments.simulation import shown_names
from tests.builders import build_cluster, vm


@pytest.mark.parametrize(
    ("name", "parts", "is_policy", "is_path"),
    [
        ("learned", ("learned", ""), True, False),
        ("learned@search", ("learned", "search"), True, False),
        ("policies/a.quell", ("policies/a.quell", ""), True, True),
        ("a.quell@policy", ("a.quell", "policy"), True, True),
        ("ads", ("ads", ""), False, False),
        ("forecast", ("forecast", ""), False, False),
    ],
)
def test_names_are_taken_apart(name: str, parts: tuple[str, str], is_policy: bool, is_path: bool) -> None:
    assert split_variant(name) == parts
    assert (is_learned(name), is_bundle(name)) == (is_policy, is_path)


def test_the_policy_that_comes_with_quell_is_there() -> None:
    assert shipped_bundle().stat().st_size < 1_000_000
    planner = planner_for_snapshot("learned")
    assert isinstance(planner, LearnedPlanner) and planner.is_strict
    assert planner.policy.forecaster is not None
    assert planner.proposals == tuple(Proposal) and planner.lookahead == LookaheadSettings()


def test_every_part_can_be_left_out() -> None:
    without = {name: planner_for_snapshot(f"learned@{name}") for name in VARIANTS}
    settings = {(p.proposals, p.lookahead, p.has_forecast) for p in without.values() if isinstance(p, LearnedPlanner)}
    assert len(settings) == len(VARIANTS) == 8
    assert (tuple(Proposal), LookaheadSettings(), True) not in settings
    assert [planner.name for planner in without.values()] == [f"learned@{name}" for name in VARIANTS]


@pytest.mark.parametrize("name", ["learned@search", f"{shipped_bundle()}@search"])
def test_a_plan_says_which_part_made_it(name: str) -> None:
    """It said "planned by learned", though no policy had been asked."""
    cluster = build_cluster(2, [vm("a", 0, cpu=60), vm("b", 0, cpu=30)])
    assert planner_for_snapshot(name).plan(cluster).planner == "learned@search"


def test_a_bundle_is_known_by_the_suffix_that_it_is_written_with() -> None:
    assert planners.BUNDLE_SUFFIX == export.BUNDLE_SUFFIX


def test_an_unknown_part_is_named() -> None:
    with pytest.raises(QuellError, match="there is no part 'sarch'; there are policy, search, "):
        planner_for_snapshot("learned@sarch")


def test_tables_tell_parts_apart() -> None:
    assert shown_names(["learned", "learned@search"]) == {"learned": "learned", "learned@search": "learned@search"}
    assert shown_names(["x/a.quell", "x/a.quell@policy"]) == {
        "x/a.quell": "learned",
        "x/a.quell@policy": "learned@policy",
    }
    assert set(shown_names(["a.quell", "b.quell@policy"]).values()) == {"a", "b@policy"}
