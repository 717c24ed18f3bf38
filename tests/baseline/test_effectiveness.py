"""What ads learns from its plans: useless moves grow dear, then are left alone; time or a success brings them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.baseline.ads import PRICES, Ads
from quell.baseline.effectiveness import EffectivenessRecord, EffectivenessSettings, Evidence
from quell.baseline.search import SearchLimits, search
from quell.env.model.cluster import Cluster
from quell.env.model.contention import ContentionKind, contentions
from quell.env.model.cost import migration_cost_M
from quell.env.model.effectiveness import MoveOutcome, PlanOutcome, Relief
from quell.env.model.plan import MoveKind, Plan, Status, moves_of, validate
from quell.env.model.planner import Learner, Planner
from quell.env.model.state import state_of
from quell.env.world.migration import WorldSettings
from quell.env.world.rounds import EpisodeResult, run_episode
from quell.env.world.workload import Episode
from tests.builders import build_cluster, clusters, session, vm
from tests.env.world.episodes import build_episode

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUICK = SearchLimits(nodes=500)


def verdict(name: str, effectiveness: float, ended: datetime = NOON) -> PlanOutcome:
    """One VM was to keep 5 cores of CPU away from host-0."""
    relief = Relief(ContentionKind.CPU, "host-0", 5.0, 5.0 * effectiveness)
    return PlanOutcome(1, ended, (relief,), (MoveOutcome(MoveKind.VM, name, "host-0", "host-1", (relief,)),))


def contended(time: datetime = NOON) -> Cluster:
    """host-0 is 5 cores over its threshold; a (16 GiB) is the cheapest to move, then b (20 GiB)."""
    cluster = build_cluster(2, [vm("a", 0, 45, 16), vm("b", 0, 45, 20), vm("calm", 1, 10, 4)])
    return replace(cluster, time=time)


def taught(*verdicts: PlanOutcome) -> Ads:
    """Ads that has been told these."""
    ads = Ads()
    for outcome in verdicts:
        ads.learn(outcome)
    return ads


def moved(plan: Plan) -> list[str]:
    """Who moves."""
    return [move.id for move in plan.moves]


class TestPrices:
    def test_nothing_learned_changes_nothing(self) -> None:
        state = state_of(contended())
        assert EffectivenessRecord().price_M(state, contentions(state), NOON) is None
        assert moved(Ads().plan(contended())) == ["a"]

    def test_a_success_leaves_prices_at_costs(self) -> None:
        state = state_of(contended())
        record = EffectivenessRecord()
        record.learn(verdict("a", 1.3))
        assert record.price_M(state, contentions(state), NOON) is None

    def test_a_useless_move_is_dearer_the_next_time(self) -> None:
        """One miss: 4/5 is expected of CPU moves, (4/5) / 2 of a; calm relieves nothing where it is."""
        state = state_of(contended())
        record = EffectivenessRecord()
        record.learn(verdict("a", 0.0))
        price_M = record.price_M(state, contentions(state), NOON)
        assert price_M is not None
        assert price_M == pytest.approx([16 / 0.4, 20 / 0.8, 4])

    def test_so_another_vm_moves_and_the_document_keeps_true_costs(self) -> None:
        plan = taught(verdict("a", 0.0)).plan(contended())
        assert (moved(plan), plan.cost_gib) == (["b"], 20)
        assert plan.reason.endswith(f"no plan is cheaper (proven), by {PRICES}")
        assert validate(state_of(contended()), plan) == ()

    def test_a_share_of_the_relief_is_a_share_of_the_evidence(self) -> None:
        half, record = verdict("a", 0.5), EffectivenessRecord()
        state = state_of(contended())
        record.learn(half)
        price_M = record.price_M(state, contentions(state), NOON)
        assert price_M is not None
        assert price_M[0] == pytest.approx(16 / ((0.5 + 4.5 / 5) / 2))

    @pytest.mark.parametrize(("raw", "like"), [(7.0, 1.0), (-3.0, 0.0)])
    def test_verdicts_are_clipped(self, raw: float, like: float) -> None:
        state = state_of(contended())
        raws, likes = EffectivenessRecord(), EffectivenessRecord()
        for record, effectiveness in ((raws, raw), (likes, like)):
            record.learn(verdict("a", 0.0))
            record.learn(verdict("a", effectiveness))
        np.testing.assert_allclose(
            raws.price_M(state, contentions(state), NOON),  # type: ignore[arg-type]
            likes.price_M(state, contentions(state), NOON),  # type: ignore[arg-type]
        )

    def test_a_session_and_a_vm_of_one_name_are_two(self) -> None:
        state = state_of(build_cluster(2, [vm("x", 0, 1, storage=4)], sessions=[session("x", 0, 4)]))
        relief = Relief(ContentionKind.STORAGE_CPU, "host-0", 1.2, 0.0)
        moves = (MoveOutcome(MoveKind.SESSION, "x", "host-0", "host-1", (relief,)),)
        record = EffectivenessRecord(EffectivenessSettings(kind_trust=1e9))
        record.learn(PlanOutcome(1, NOON, (relief,), moves))
        assert record.price_M(state, contentions(state), NOON) == pytest.approx([16, 2])


class TestFading:
    @pytest.mark.parametrize(("hours", "left"), [(0, 1.0), (6, 0.5), (12, 0.25), (-5, 1.0)])
    def test_evidence_halves_with_every_half_life(self, hours: float, left: float) -> None:
        faded = Evidence(NOON, 2.0, 1.0).faded(NOON + timedelta(hours=hours), half_life_hours=6)
        assert (faded.kept, faded.missed) == pytest.approx((2 * left, left))

    def test_after_a_day_the_cheaper_vm_moves_again(self) -> None:
        ads = taught(verdict("a", 0.0))
        assert moved(ads.plan(contended(NOON + timedelta(hours=1)))) == ["b"]
        assert moved(ads.plan(contended(NOON + timedelta(days=1)))) == ["a"]


class TestRefraining:
    useless = tuple(verdict(name, 0.04) for name in "ab" for _ in range(4))

    def test_where_every_move_has_proved_useless_it_refrains_with_figures(self) -> None:
        plan = taught(*self.useless).plan(contended())
        assert (plan.status, plan.moves) == (Status.REFUSED, ())
        assert plan.contentions == contentions(state_of(contended()))
        assert plan.reason.startswith("moves like these kept away 4% of what was predicted")
        assert "waits until " in plan.reason and "before trying again" in plan.reason

    def test_it_tries_again_at_the_time_it_tells(self) -> None:
        ads = taught(*self.useless)
        told = ads.plan(contended()).reason.split("waits until ")[1].split()[0]
        again = NOON.replace(hour=int(told[:2]), minute=int(told[3:]))
        assert again > NOON
        assert ads.plan(contended(again - timedelta(minutes=2))).status is Status.REFUSED
        assert ads.plan(contended(again)).status is Status.PLANNED

    def test_one_success_brings_it_back(self) -> None:
        assert moved(taught(*self.useless, verdict("a", 1.0)).plan(contended())) == ["a"]

    def test_one_move_that_is_worth_it_is_enough(self) -> None:
        """Both have to leave; only a has proved useless."""
        cluster = build_cluster(3, [vm("a", 0, 45), vm("b", 0, 45), vm("c", 0, 45), vm("d", 0, 20)])
        useless = [verdict(name, 0.0) for name in ("a", "c") for _ in range(5)]
        assert taught(*useless).plan(cluster).status is Status.PLANNED

    def test_a_host_in_maintenance_is_emptied_all_the_same(self) -> None:
        cluster = build_cluster(4, [vm("a", 0, 45), vm("b", 0, 45), vm("x", 3, 5)], maintenance=[3])
        assert Ads().plan(cluster).status is taught(*self.useless).plan(cluster).status is Status.PLANNED

    def test_ads_is_a_learner_and_starts_again_with_nothing(self) -> None:
        ads = taught(*self.useless)
        assert isinstance(ads, Learner)
        assert ads.unlearned().plan(contended()).status is Status.PLANNED
        assert ads.plan(contended()).status is Status.REFUSED


class TestSearchByPrices:
    @settings(max_examples=60)
    @given(cluster=clusters(), seed=st.integers(0, 2**32 - 1))
    def test_prices_never_make_a_plan_invalid(self, cluster: Cluster, seed: int) -> None:
        state = state_of(cluster)
        factor_M = np.random.default_rng(seed).uniform(1, 20, cluster.inventory.movable_count)
        found = search(state, QUICK, migration_cost_M(state) * factor_M)
        if found.moves is not None:
            moves = moves_of(state, found.moves)
            plan = Plan("", "", Status.PLANNED, "", moves=moves, cost_gib=sum(move.cost_gib for move in moves))
            assert [v for v in validate(state, plan) if "resize" not in v.detail] == []

    @settings(max_examples=30)
    @given(cluster=clusters())
    def test_costs_as_prices_give_the_plan_of_no_prices(self, cluster: Cluster) -> None:
        state = state_of(cluster)
        plain, priced = search(state, QUICK), search(state, QUICK, migration_cost_M(state))
        assert (plain.moves, plain.cost_gib, plain.reason) == (priced.moves, priced.cost_gib, priced.reason)

    @settings(max_examples=40)
    @given(cluster=clusters(), data=st.data())
    def test_whatever_ads_was_taught_its_plans_are_valid(self, cluster: Cluster, data: st.DataObject) -> None:
        state = state_of(cluster)
        ads = Ads(limits=QUICK)
        for item in cluster.inventory.vms[:6]:
            ads.learn(verdict(item.id, data.draw(st.floats(-1, 2)), cluster.time))
        assert validate(state, ads.plan(cluster)) == ()


def shuttle(honest_from_hour: int = 24) -> Episode:
    """A day on which a VM asks for 30 cores once an hour, and its host then has none to spare.

    vm-0 on host-0 and vm-1 on host-1 (too large to move) take turns by the hour in needing 20 of 40 cores, so that
    vm-2, wherever it went last, always meets one of them. Its demand lasts 11 minutes, ten before the round and one
    after it: it has gone by the time a move ends. In honest hours it lasts 50 minutes.
    """
    demand_VT = np.zeros((3, 1440))
    for hour in range(24):
        start = 60 * hour + 45
        demand_VT[hour % 2, start : start + 60] = 20
        demand_VT[2, start + 5 : start + (55 if hour >= honest_from_hour else 16)] = 30
    return build_episode(list(demand_VT), (0, 1, 0), memory_gib=(200, 200, 8))


def moves_by_hour(result: EpisodeResult) -> Sequence[int]:
    """How many moves each hour began."""
    return np.bincount([int(r.start_seconds // 3600) for r in result.log], minlength=24).tolist()


class WithoutRecord:
    """Ads that nobody tells what came of its plans."""

    name, observes_after_plan = "ads", True

    def plan(self, cluster: Cluster) -> Plan:
        return Ads().plan(cluster)


def played(planner: Planner, **episode: int) -> EpisodeResult:
    """The day."""
    return run_episode(shuttle(**episode), planner, WorldSettings(dirty_gbps_per_core=0.0))


def test_without_a_record_useless_moves_go_on_all_day() -> None:
    result = played(WithoutRecord())
    assert moves_by_hour(result)[1:] == [1] * 23
    assert [o.effectiveness for o in result.outcomes] == pytest.approx([0.0] * len(result.outcomes))


def test_repeated_useless_moves_die_out() -> None:
    """Three plans that keep nothing away, then a try every few hours, and nothing in between."""
    by_hour = moves_by_hour(played(Ads()))
    assert by_hour[1:5] == [1, 1, 1, 0]
    assert sum(by_hour[4:]) <= 6
    assert max(by_hour[h] + by_hour[h + 1] for h in range(4, 23)) <= 1


def test_once_demand_is_honest_the_planner_recovers() -> None:
    result = played(Ads(), honest_from_hour=12)
    by_hour = moves_by_hour(result)
    assert sum(by_hour[4:12]) <= 3
    assert by_hour[18:] == [1] * 6
    assert result.outcomes[-1].effectiveness == pytest.approx(1, abs=0.3)
