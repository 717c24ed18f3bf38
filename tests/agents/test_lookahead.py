"""Looking ahead: the scenarios of the hour to come, and what plans are worth in them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from quell.agents.lookahead import (
    Lookahead,
    LookaheadSettings,
    MixedOutlook,
    Remembered,
    draws,
    forecast_draws,
    last_hour_MJB,
    scenarios,
)
from quell.agents.planner import LearnedPlanner, Proposal
from quell.env.model.cluster import Array, Cluster, Host, Inventory, Vm, make_cluster
from quell.env.model.plan import Status, validate
from quell.env.model.state import state_of
from quell.env.world.migration import WorldSettings
from tests.agents.policies import StubPolicy, make_learned

LEVELS = np.array([0.1, 0.5, 0.9])


@dataclass(frozen=True)
class Foretold:
    """A forecaster that says what it is told: the median of each VM's CPU, the other quantiles 10 % around it.

    Attributes:
        cores: of each VM, in the hour to come.
        soon: the same in the shortest window; None: as in the hour.
    """

    cores: tuple[float, ...]
    soon: tuple[float, ...] | None = None

    @property
    def levels(self) -> Array:
        return LEVELS

    def quantiles(self, cluster: Cluster) -> Array:
        """Nothing for storage."""
        quantiles_MJWQ = np.zeros((cluster.inventory.movable_count, 2, 3, 3))
        quantiles_MJWQ[:, 0] = np.array(self.cores)[:, None, None] * np.array([0.9, 1.0, 1.1])
        if self.soon is not None:
            quantiles_MJWQ[:, 0, 0] = np.array(self.soon)[:, None] * np.array([0.9, 1.0, 1.1])
        return quantiles_MJWQ


def two_hosts(*cores: float, homes: tuple[int, ...]) -> Cluster:
    """Two hosts of 10 cores (threshold 8.5) and 64 GiB, VMs of 4 GiB with this demand in the last hour."""
    hosts = Host("host-1", 10, 64, 4), Host("host-2", 10, 64, 4)
    vms = tuple(Vm(f"vm-{v + 1}", 8, 4.0) for v in range(len(cores)))
    samples = np.repeat(np.array(cores)[:, None], 60, axis=1)
    return make_cluster(Inventory(hosts, vms), list(homes), samples, np.zeros_like(samples))


def ahead(cluster: Cluster, forecaster: Foretold | None, forecast_share: float = 0.5) -> Lookahead:
    settings = LookaheadSettings(forecast_share=forecast_share)
    return Lookahead.at(cluster, state_of(cluster), forecaster, settings, WorldSettings())


def test_weights_are_an_hour_in_all() -> None:
    cluster = two_hosts(5.0, 4.5, 2.0, homes=(0, 0, 1))
    for forecaster in (None, Foretold((5, 4.5, 2))):
        demand_MJB, minutes_B = scenarios(cluster, state_of(cluster), forecaster, LookaheadSettings())
        assert demand_MJB.shape == (3, 2, minutes_B.size) and minutes_B.sum() == pytest.approx(60)
        assert demand_MJB[0, 0] @ minutes_B / 60 == pytest.approx(5.0, rel=0.01)


def test_every_draw_takes_each_level_once() -> None:
    quantiles_MJQ = np.broadcast_to(np.array([1.0, 2.0, 3.0]), (4, 2, 3))
    drawn_MJB = draws(quantiles_MJQ, LEVELS, 10)
    ordered_MJB = np.sort(drawn_MJB, axis=2)
    assert (ordered_MJB == ordered_MJB[:1, :1]).all()
    assert ordered_MJB.min() == 1.0 and ordered_MJB.max() == 3.0  # outermost levels bound what is drawn
    assert (np.diff(drawn_MJB, axis=2) != 0).any() and (drawn_MJB[0] != drawn_MJB[1]).any()
    np.testing.assert_array_equal(drawn_MJB, draws(quantiles_MJQ, LEVELS, 10))


def test_a_part_of_the_draws_is_about_what_comes_soon() -> None:
    cluster = two_hosts(5.0, 4.5, 2.0, homes=(0, 0, 1))
    rises = Foretold((9.0, 4.5, 2.0), soon=(5.0, 4.5, 2.0))
    drawn_MJB = forecast_draws(cluster, rises, 24, soon_share=1 / 3)
    assert drawn_MJB.shape == (3, 2, 24)
    assert (drawn_MJB[0, 0, :8] < 6).all() and (drawn_MJB[0, 0, 8:] > 8).all()


def test_policies_see_half_of_the_last_hour_and_half_of_the_forecast() -> None:
    cluster = two_hosts(5.0, 4.5, 2.0, homes=(0, 0, 1))
    rises = Foretold((9.0, 4.5, 2.0))
    outlook_MJB = MixedOutlook(rises)(cluster)
    np.testing.assert_array_equal(outlook_MJB[:, :, :6], last_hour_MJB(cluster)[:, :, 1::2])
    assert outlook_MJB.shape[2] == 12 and (outlook_MJB[0, 0, 6:] > 8).all()


def test_a_forecast_is_made_once_for_each_cluster() -> None:
    asked: list[Cluster] = []

    class Counted(Foretold):
        def quantiles(self, cluster: Cluster) -> Array:
            asked.append(cluster)
            return super().quantiles(cluster)

    first, second = (two_hosts(cores, 4.5, 2.0, homes=(0, 0, 1)) for cores in (5.0, 6.0))
    forecaster = Remembered(Counted((5.0, 4.5, 2.0)))
    for cluster in (first, first, second, second):
        MixedOutlook(forecaster)(cluster)
    assert asked == [first, second]


def test_a_move_must_bring_its_charge_besides_its_price() -> None:
    cluster = two_hosts(5.0, 4.0, 2.0, homes=(0, 0, 1))  # half a core above 8.5 for an hour: 30 core-minutes
    state = state_of(cluster)

    def deeds(charge: float) -> list[tuple[int, int]]:
        return Lookahead.at(cluster, state, None, LookaheadSettings(charge=charge), WorldSettings()).deeds()

    assert len(deeds(0.0)) == 1 and deeds(30.0) == []


def test_what_will_not_last_is_left_alone() -> None:
    """9.5 cores now, 6 to come: the last hour alone would move a VM, the forecast alone none."""
    cluster = two_hosts(5.0, 4.5, 2.0, homes=(0, 0, 1))
    falls = Foretold((3.0, 3.0, 2.0))
    assert len(ahead(cluster, None).deeds()) == 1
    assert ahead(cluster, falls, forecast_share=1.0).deeds() == []


def test_what_is_to_come_is_met_before_it_comes() -> None:
    cluster = two_hosts(4.0, 3.5, 2.0, homes=(0, 0, 1))
    rises = Foretold((6.0, 3.5, 2.0))
    assert ahead(cluster, None).deeds() == []
    assert ahead(cluster, rises).deeds() == [(1, 1)]


def test_worth_is_relief_less_price() -> None:
    cluster = two_hosts(5.0, 4.5, 2.0, homes=(0, 0, 1))
    look = ahead(cluster, None)
    assert look.worth([]) == 0.0
    assert look.worth([(1, 1)]) == pytest.approx(60.0 - look.price_M[1])  # one core above 8.5 for an hour
    assert look.worth([(2, 0)]) < 0


def test_a_plan_so_far_is_kept_and_added_to() -> None:
    cluster = two_hosts(5.0, 4.5, 3.0, 1.0, homes=(0, 0, 0, 1))
    look = ahead(cluster, None)
    first = [(2, 1)]
    assert look.deeds(first)[:1] == first
    assert look.worth(look.deeds(first)) >= look.worth(first)
    assert len({m for m, _ in look.deeds(first)}) == len(look.deeds(first))


class TestInThePlanner:
    """The learned planner takes the proposal that is worth most."""

    def test_search_helps_a_policy_that_only_stops(self) -> None:
        cluster = two_hosts(5.0, 4.5, 2.0, homes=(0, 0, 1))
        stops = make_learned(lambda c, mask: (np.arange(len(mask)) == 0) * 1.0, proposals=tuple(Proposal))
        plan = stops.plan(cluster)
        assert plan.status is Status.PLANNED and len(plan.moves) == 1
        assert "core-minutes in the hour to come" in plan.reason
        assert validate(state_of(cluster), plan, must_resolve=True) == ()

    def test_without_the_forecast_only_the_last_hour_counts(self) -> None:
        """4 and 3.5 cores now, 6 and 3.5 to come: only the forecast sees a host above its threshold of 8.5."""
        cluster = two_hosts(4.0, 3.5, 2.0, homes=(0, 0, 1))
        stops = StubPolicy(lambda c, mask: (np.arange(len(mask)) == 0) * 1.0, Foretold((6.0, 3.5, 2.0)))
        told = LearnedPlanner(stops)
        assert told.plan(cluster).moves
        assert replace(told, has_forecast=False).plan(cluster).moves == ()

    def test_a_policy_that_never_stops_is_not_followed_where_that_costs(self) -> None:
        cluster = two_hosts(4.0, 4.3, 2.0, homes=(0, 0, 1))  # 83 %: near the threshold, and nothing to win
        goes_on = make_learned(lambda c, mask: np.where(mask, 1.0, -1.0) - 9.0 * (np.arange(len(mask)) == 0))
        assert goes_on.plan(cluster).moves
        judged = replace(goes_on, proposals=tuple(Proposal))
        assert judged.plan(cluster).moves == ()
