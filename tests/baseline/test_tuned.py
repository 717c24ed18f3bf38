"""The tuned rule: which host it relieves, by which move, and where that goes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quell.baseline.estimates import RecentQuantile
from quell.baseline.tuned import Tuned, TunedSettings
from quell.env.model.cluster import Cluster
from quell.env.model.plan import Plan, Status
from tests.builders import build_cluster, session, vm

PLAIN = TunedSettings(trigger=1.0, aim=1.0, ceiling=1.0, move_gib=0.0, least_relief=0.0)


def plan(cluster: Cluster, **changes: float) -> Plan:
    return Tuned(replace(PLAIN, **changes)).plan(cluster)  # type: ignore[arg-type]


def moves(made: Plan) -> list[tuple[str, str]]:
    return [(move.id, move.target) for move in made.moves]


class TestEstimate:
    @pytest.mark.parametrize(("quantile", "minutes", "expected"), [(0.5, 60, 2.5), (1.0, 60, 4.0), (0.5, 15, 4.0)])
    def test_it_is_a_quantile_of_the_last_blocks(self, quantile: float, minutes: int, expected: float) -> None:
        samples = [v for v in (1.0, 2.0, 3.0, 4.0) for _ in range(15)]
        cluster = build_cluster(1, vms=[vm("a", cpu=samples), vm("b", cpu=samples, is_on=False)])
        estimate_MJ = RecentQuantile(quantile, minutes)(cluster)
        assert estimate_MJ[0].tolist() == [expected, 0.5]
        assert estimate_MJ[1].tolist() == [0, 0]

    @pytest.mark.parametrize(("quantile", "minutes"), [(1.1, 60), (-0.1, 60), (0.5, 7), (0.5, 65), (0.5, 0)])
    def test_what_it_cannot_tell_is_refused(self, quantile: float, minutes: int) -> None:
        with pytest.raises(ValueError, match="must"):
            RecentQuantile(quantile, minutes)


class TestRule:
    """Hosts have 100 cores and a threshold of 85."""

    def test_nothing_is_hot(self) -> None:
        made = plan(build_cluster(2, vms=[vm("a", 0, cpu=80)]))
        assert (made.status, made.moves) == (Status.NO_CONTENTION, ())

    def test_the_cheapest_move_that_is_enough(self) -> None:
        vms = [vm("large", 0, 40, memory_gib=64), vm("small", 0, 30, memory_gib=8), vm("tiny", 0, 5, memory_gib=1)]
        made = plan(build_cluster(2, vms=[*vms, vm("rest", 0, 25, memory_gib=90)]))
        assert moves(made) == [("small", "host-1")]

    def test_what_is_said_of_one_move_and_of_two(self) -> None:
        one, two = ([vm(f"v{i}", 0, 30) for i in range(count)] for count in (3, 4))
        says = [plan(build_cluster(3, vms=vms)).reason for vms in (one, two)]
        assert says == [
            f"{what} the hosts that are hottest by estimate" for what in ("1 move relieves", "2 moves relieve")
        ]

    def test_the_aim_says_how_far_it_goes(self) -> None:
        vms = [vm("large", 0, 40, memory_gib=64), vm("small", 0, 10, memory_gib=8), vm("rest", 0, 40, memory_gib=90)]
        assert moves(plan(build_cluster(2, vms=vms), aim=1.0)) == [("small", "host-1")]
        assert moves(plan(build_cluster(2, vms=vms), aim=0.6)) == [("large", "host-1")]

    def test_it_relieves_what_it_can_where_nothing_is_enough(self) -> None:
        """ADS would refuse: host-1 takes no more than 15 cores, host-0 is 35 too high."""
        vms = [*(vm(f"a{i}", 0, 15, memory_gib=10 + i) for i in range(8)), vm("b", 1, 70)]
        made = plan(build_cluster(2, vms=vms))
        assert (made.status, moves(made)) == (Status.PLANNED, [("a0", "host-1")])

    @pytest.mark.parametrize(
        ("changes", "is_moving"), [({"trigger": 1.1}, False), ({"ceiling": 0.3}, False), ({}, True)]
    )
    def test_trigger_and_ceiling(self, changes: dict[str, float], is_moving: bool) -> None:
        vms = [vm("a", 0, 50), vm("b", 0, 40)]
        assert bool(plan(build_cluster(2, vms=vms), **changes).moves) is is_moving

    @pytest.mark.parametrize(("least_relief", "is_moving"), [(0.1, True), (0.4, False)])
    def test_relief_must_be_worth_its_gib(self, least_relief: float, is_moving: bool) -> None:
        """5 cores of relief for 16 GiB."""
        vms = [vm("a", 0, 50), vm("b", 0, 40)]
        assert bool(plan(build_cluster(2, vms=vms), least_relief=least_relief).moves) is is_moving

    def test_sessions_relieve_the_storage_controller(self) -> None:
        vms = [vm("a", 0, 10, storage=3.0), vm("b", 0, 10, storage=3.0)]
        made = plan(build_cluster(2, vms=vms, sessions=[session("s", 0, storage=1.5)]))
        assert moves(made) == [("s", "host-1")]

    def test_the_least_used_target_takes_it(self) -> None:
        vms = [vm("a", 0, 50), vm("b", 0, 40), vm("c", 1, 30), vm("d", 2, 10)]
        assert moves(plan(build_cluster(3, vms=vms)))[0][1] == "host-2"

    def test_it_acts_on_the_estimate_it_is_given(self) -> None:
        cluster = build_cluster(2, vms=[vm("a", 0, 10), vm("b", 0, 10)])
        made = Tuned(PLAIN, lambda cluster: np.array([[50.0, 0.0], [40.0, 0.0]]), name="told").plan(cluster)
        assert (made.planner, len(made.moves)) == ("told", 1)
