"""`none`, `spread` and `clairvoyant`: the yardsticks do what they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from quell.baseline.ads import Ads
from quell.baseline.clairvoyant import Clairvoyant
from quell.baseline.foresight import foresee
from quell.baseline.nothing import Nothing
from quell.baseline.spread import Spread, gains, imbalance
from quell.env.gym.generator import ToyGenerator
from quell.env.model.plan import Status
from quell.env.model.state import state_of
from quell.env.world.rounds import run_episode
from quell.env.world.split import part
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.workload import ClusterSpec, Episode, build_episode
from tests.env.model.clusters import small_cluster

HOSTS: dict[str, dict] = {"host-0": {}, "host-1": {}, "host-2": {}}


@pytest.fixture(scope="module")
def day() -> Episode:
    """A synthetic day with contention."""
    return build_episode(part(synthetic_trace(0), "all"), ClusterSpec(6, 12, 0.7), seed=1)


@pytest.fixture
def toy() -> Episode:
    """Two hosts, and a contention of 1 core that moving vm-2 (8 GiB) ends for good."""
    return ToyGenerator()(np.random.default_rng(0))


def test_spread_moves_for_skew_alone() -> None:
    """50 % / 5 % / 5 %: the balancer moves, `ads` does not: the documents' argument."""
    vms = {f"vm-{v}": {"host": "host-0", "cpu_demand_cores": 10} for v in range(5)}
    vms |= {f"idle-{h}": {"host": f"host-{h}", "cpu_demand_cores": 5} for h in (1, 2)}
    cluster = small_cluster(HOSTS, vms)
    plan = Spread().plan(cluster)
    assert plan.status is Status.PLANNED and len(plan.moves) >= 2
    assert Ads().plan(cluster).moves == ()


def test_gains_are_what_the_imbalance_really_falls_by() -> None:
    vms = {f"vm-{v}": {"host": f"host-{v % 2}", "cpu_demand_cores": 5 + v} for v in range(6)}
    state = state_of(small_cluster(HOSTS | {"host-1": {"cpu_cores": 60}}, vms))
    movables, targets = np.arange(6), np.full(6, 2)
    expected = [imbalance(state) - imbalance(state.moved(m, 2)) for m in range(6)]
    np.testing.assert_allclose(gains(state, movables, targets), expected, atol=1e-12)


def test_relief_is_what_the_cost_of_the_hour_really_falls_by(toy: Episode) -> None:
    foresight = foresee(toy, 0, toy.cluster.host_of_M, 60)
    assert foresight.host_cost_H() == pytest.approx([60.0, 0.0])
    relief = foresight.relief(np.array([0, 1, 2]), np.array([1, 1, 0]))
    moved = [
        foresight.host_cost_H().sum() - foresight.moved(m, h).host_cost_H().sum() for m, h in ((0, 1), (1, 1), (2, 0))
    ]
    assert relief == pytest.approx(moved)
    assert relief[1] == pytest.approx(60.0)


def test_relief_on_a_real_day(day: Episode) -> None:
    foresight = foresee(day, 600, day.cluster.host_of_M, 60)
    rng = np.random.default_rng(0)
    movables = rng.integers(len(day.cluster.host_of_M), size=20)
    targets = (day.cluster.host_of_M[movables] + 1) % day.inventory.host_count
    before = foresight.host_cost_H().sum()
    moved = [
        before - foresight.moved(int(m), int(h)).host_cost_H().sum() for m, h in zip(movables, targets, strict=True)
    ]
    np.testing.assert_allclose(foresight.relief(movables, targets), moved, atol=1e-6)


def test_clairvoyant_takes_the_one_obvious_move(toy: Episode) -> None:
    result = run_episode(toy, Clairvoyant(toy))
    assert [(r.move.id, r.move.target) for r in result.log] == [("vm-2", "host-2")]
    assert result.costs.total == pytest.approx(8.0, abs=2.0)


def test_at_the_last_minute_there_is_still_a_future(toy: Episode) -> None:
    assert foresee(toy, 1438, toy.cluster.host_of_M, 60).demand_MJB.shape[2] == 1


def test_who_costs_what(day: Episode) -> None:
    """The order on a contended day: clairvoyant below ads below none; the balancer moves several times as much."""
    cost = {p.name: run_episode(day, p).costs for p in (Nothing(), Spread(), Ads(), Clairvoyant(day))}
    assert cost["clairvoyant"].total < cost["ads"].total < cost["none"].total
    assert cost["spread"].migration_gib > 3 * cost["ads"].migration_gib
