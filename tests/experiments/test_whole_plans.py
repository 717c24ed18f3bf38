"""Plans as documents: what relieves only a part is not handed out as a plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from quell.baseline.ads import Ads
from quell.baseline.nothing import Nothing
from quell.baseline.spread import Spread
from quell.baseline.tuned import Tuned
from quell.env.model.cluster import Cluster
from quell.env.model.plan import Plan, Status, moves_of, validate
from quell.env.model.planner import Planner
from quell.env.model.snapshot import read_snapshot
from quell.env.model.state import state_of
from quell.experiments.instances import Size, draw_cluster
from quell.experiments.whole_plans import WholePlans
from tests.builders import build_cluster, vm

EXAMPLE = Path(__file__).parents[2] / "examples" / "three-hosts.json"


@dataclass(frozen=True)
class Fixed:
    """Answers with these moves, whatever they do."""

    moves: tuple[tuple[int, int], ...]
    name: str = "fixed"
    observes_after_plan: bool = False

    def plan(self, cluster: Cluster) -> Plan:
        made = moves_of(state_of(cluster), self.moves)
        return Plan(cluster.name, self.name, Status.PLANNED, "", moves=made, cost_gib=sum(m.cost_gib for m in made))


def two_hot_hosts() -> Cluster:
    """Either hot host is relieved by one move to the third, which has room for both."""
    return build_cluster(3, [vm("a", 0, cpu=60), vm("b", 0, cpu=30), vm("c", 1, cpu=60), vm("d", 1, cpu=30)])


def test_a_plan_that_is_valid_is_left_alone() -> None:
    plan = WholePlans(Fixed(((1, 2), (3, 2))), Nothing()).plan(two_hot_hosts())
    assert (plan.planner, plan.status, len(plan.moves), plan.reason) == ("fixed", Status.PLANNED, 2, "")


def test_for_half_a_relief_others_answer_and_the_reason_says_so() -> None:
    cluster = two_hot_hosts()
    plan = WholePlans(Fixed(((1, 2),)), Ads()).plan(cluster)
    assert validate(state_of(cluster), plan) == ()
    assert (plan.planner, plan.status, len(plan.moves)) == ("fixed", Status.PLANNED, 2)
    assert plan.reason.startswith("fixed would relieve only part and leave 1 contended host, so ads answers: 2 moves (")


def test_a_broken_rule_is_named() -> None:
    plan = WholePlans(Fixed(((1, 1),)), Ads()).plan(two_hot_hosts())
    assert plan.reason.startswith("the plan of fixed breaks a rule (") and "R8" in plan.reason
    assert plan.status is Status.PLANNED


def test_where_the_others_have_no_valid_plan_either_nothing_moves() -> None:
    half = Fixed(((1, 2),))
    plan = WholePlans(half, replace(half, name="other")).plan(two_hot_hosts())
    assert (plan.status, plan.moves, plan.cost_gib) == (Status.REFUSED, (), 0.0)
    assert plan.reason.endswith("and the plan of other is not valid either: no move")


@pytest.mark.parametrize("rules", [Tuned(), Spread()], ids=["tuned", "spread"])
def test_where_the_rules_find_no_move_and_others_do_these_answer(rules: Planner) -> None:
    """`quell plan examples/three-hosts.json --planner tuned` refused, though two moves resolve it."""
    cluster = read_snapshot(EXAMPLE)
    assert rules.plan(cluster).status is Status.REFUSED
    plan = WholePlans(rules, Ads()).plan(cluster)
    assert (plan.planner, plan.status, len(plan.moves)) == (rules.name, Status.PLANNED, 2)
    assert plan.reason.startswith(f"{rules.name} finds no move (") and validate(state_of(cluster), plan) == ()
    assert ") and leaves 1 contended host, so ads answers: 2 moves (" in plan.reason


def test_a_refusal_of_everybody_stays_one() -> None:
    crowded = build_cluster(2, [vm("a", 0, cpu=60), vm("b", 0, cpu=30), vm("c", 1, cpu=80)])
    plan = WholePlans(Tuned(), Ads()).plan(crowded)
    assert (plan.planner, plan.status, plan.moves) == ("tuned", Status.REFUSED, ())
    assert plan.contentions and "leaves 1 contended host, so ads answers: " in plan.reason


def test_where_nothing_is_contended_nobody_else_is_asked() -> None:
    calm = build_cluster(2, [vm("a", 0, cpu=30)])
    plan = WholePlans(Tuned(), Fixed(((0, 1),))).plan(calm)
    assert (plan.planner, plan.status, plan.moves) == ("tuned", Status.NO_CONTENTION, ())


@pytest.mark.parametrize("rules", [Tuned(), Spread()], ids=["tuned", "spread"])
def test_rules_that_relieve_what_they_can_hand_out_valid_plans_only(rules: Planner) -> None:
    """Of `quell plan --planner tuned`, 16 of 44 plans were refused by `quell check`."""
    answered_by_others = 0
    for seed in range(12):
        cluster = draw_cluster(Size(8, 96), seed)
        plan = WholePlans(rules, Ads()).plan(cluster)
        assert validate(state_of(cluster), plan) == () and plan.planner == rules.name
        answered_by_others += "so ads answers" in plan.reason
    assert 0 < answered_by_others < 12
