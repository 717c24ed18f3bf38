"""What every planner owes: on any cluster its plan keeps the rules, and says what it is."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings

from quell.agents.forecast_planner import forecast_planner
from quell.baseline.ads import Ads
from quell.baseline.catalogue import NAMES, make_planner
from quell.baseline.exact import Exact
from quell.baseline.exact_limits import ExactLimits
from quell.baseline.nothing import Nothing
from quell.baseline.search import SearchLimits
from quell.baseline.spread import Spread
from quell.baseline.tuned import Tuned
from quell.env.model.cluster import Cluster
from quell.env.model.contention import contentions
from quell.env.model.errors import QuellError
from quell.env.model.plan import Status, validate
from quell.env.model.planner import Planner
from quell.env.model.state import state_of
from quell.env.world.rounds import run_episode
from quell.env.world.split import part
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.workload import ClusterSpec, build_episode
from tests.agents.forecasters import served
from tests.env.model.clusters import random_clusters

QUICK = SearchLimits(nodes=500)
EXACT = Exact(limits=ExactLimits(work=0.05, search=QUICK))
PLANNERS = {planner.name: planner for planner in (Nothing(), Spread(), Ads(limits=QUICK), Tuned(), EXACT)}
ALL_NAMES = [*PLANNERS, "forecast"]
RESOLVING = {"ads", "exact"}  # planners that promise all or nothing


@functools.cache
def planner_of(name: str) -> Planner:
    """A planner; the forecaster, which takes seconds to train and export, is made only where it is asked for."""
    return forecast_planner(served()) if name == "forecast" else PLANNERS[name]


@pytest.mark.parametrize("name", ALL_NAMES)
@settings(max_examples=80)
@given(cluster=random_clusters())
def test_every_plan_is_valid(name: str, cluster: Cluster) -> None:
    state, planner = state_of(cluster), planner_of(name)
    plan = planner.plan(cluster)
    assert validate(state, plan, must_resolve=planner.name in RESOLVING, cluster_name=cluster.name) == ()
    assert (plan.cluster, plan.planner) == (cluster.name, planner.name)
    assert plan.contentions == contentions(state)
    assert bool(plan.moves or plan.resizes) <= (plan.status is Status.PLANNED)
    assert plan.reason
    assert plan.proven is None or plan.status in (Status.PLANNED, Status.REFUSED)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_NAMES)
@settings(max_examples=2000)
@given(cluster=random_clusters(max_hosts=6, max_vms=16))
def test_every_plan_is_valid_on_many_clusters(name: str, cluster: Cluster) -> None:
    plan = planner_of(name).plan(cluster)
    assert validate(state_of(cluster), plan, must_resolve=name in RESOLVING) == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_day_breaks_no_rule_and_is_the_same_again(name: str) -> None:
    """The same seed gives the same day, whoever plans; the same planner then does the same."""
    episode = build_episode(part(synthetic_trace(0), "all"), ClusterSpec(3, 8, 0.7), seed=3)
    first, second = (run_episode(episode, make_planner(name, episode)) for _ in range(2))
    assert first.violations == 0
    assert first.costs == second.costs
    assert [r.move for r in first.log] == [r.move for r in second.log]


@pytest.mark.parametrize(
    ("name", "told"), [("adz", "did you mean 'ads'"), ("best", "there are none, spread"), ("clairvoyant", "future")]
)
def test_unknown_planners_are_told_apart(name: str, told: str) -> None:
    with pytest.raises(QuellError, match=told):
        make_planner(name)
