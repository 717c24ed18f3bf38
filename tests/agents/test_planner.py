"""The learned planner: what it answers where a policy relieves all, part or nothing, and that every answer is valid."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.agents import planner as planner_module
from quell.agents.planner import PLAN_LIMIT, Proposal, choose_moves
from quell.baseline.ads import Ads
from quell.env.gym.features import SCHEMA
from quell.env.gym.shortlist import Shortlist
from quell.env.gym.view import look_at
from quell.env.model.clumps import largest_clump
from quell.env.model.cluster import Cluster, Host, HostState, Inventory, Vm, make_cluster
from quell.env.model.plan import Move, MoveKind, Plan, Status, moves_of, validate
from quell.env.model.snapshot import read_snapshot
from quell.env.model.state import state_of
from quell.env.world.rounds import run_episode
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.traces import part
from quell.env.world.workload import ClusterSpec, build_episode
from tests.agents.policies import make_learned
from tests.builders import build_cluster, together, vm

RELIEF = SCHEMA.candidate.index("net_relief")
HOT_CORES, CALM_CORES = [5.0, 4.5], [2.0]  # host-1 at 95 % of 10 cores, host-2 at 20 %


def make_hosts_cluster(
    *cores_of_hosts: list[float], memory_gib: float = 8.0, state: HostState = HostState.UP
) -> Cluster:
    """Hosts of 10 cores and 64 GiB; one VM for each demand; `state` is that of the last host."""
    hosts = [Host(f"host-{h + 1}", 10, 64, 4) for h in range(len(cores_of_hosts))]
    hosts[-1] = replace(hosts[-1], state=state)
    cores = [c for host in cores_of_hosts for c in host]
    vms = tuple(Vm(f"vm-{v + 1}", 8, 8.0) for v in range(len(cores)))
    home = [h for h, host in enumerate(cores_of_hosts) for _ in host]
    return make_cluster(Inventory(tuple(hosts), vms), home, cores, np.zeros(len(cores)))


def relieves(candidates: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The move that relieves most, as long as one relieves anything."""
    return np.where(mask, candidates[:, RELIEF], -1.0)


def stops(candidates: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Never a move."""
    return (np.arange(len(mask)) == 0).astype(float)


def never_stops(candidates: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Any move rather than none."""
    return np.where(mask, candidates[:, RELIEF], -1.0) - 10.0 * (np.arange(len(mask)) == 0)


class TestChoosing:
    def test_the_best_move_is_taken_until_stop_is_best(self) -> None:
        view, choices = choose_moves(look_at(make_hosts_cluster(HOT_CORES, CALM_CORES)), lambda c, _, m: relieves(c, m))
        assert len(view.moves) == len(choices) == 1
        assert view.state.utilization_HR[:, 0].max() <= 0.85
        assert choices[0].margin > 0

    def test_a_plan_ends_at_its_limit(self) -> None:
        cluster = make_hosts_cluster([0.9] * 11, [0.1] * 3)
        for limit in (1, 2):
            view, _ = choose_moves(look_at(cluster), lambda c, _, m: never_stops(c, m), limit=limit)
            assert len(view.moves) == limit

    def test_a_masked_slot_is_never_taken_however_high_its_score(self) -> None:
        def loves_masked(candidates: np.ndarray, context: np.ndarray, mask: np.ndarray) -> np.ndarray:
            return np.where(mask, 1.0 * (np.arange(len(mask)) == 0), 9.0)

        view, _ = choose_moves(look_at(make_hosts_cluster(HOT_CORES, CALM_CORES)), loves_masked)
        assert view.moves == ()


class TestInSimulation:
    """Not strict: part of a contention may be relieved, and there may be moves before there is one."""

    def test_a_plan_names_its_moves_with_figures(self) -> None:
        plan = make_learned(relieves).plan(make_hosts_cluster(HOT_CORES, CALM_CORES))
        assert (plan.planner, plan.status, len(plan.moves)) == ("learned", Status.PLANNED, 1)
        assert plan.cost_gib == plan.moves[0].cost_gib == 8.0
        assert [c.host for c in plan.contentions] == ["host-1"]
        for part_of_reason in ("host-1 CPU 95.0% to ", "host-2 CPU 20.0% to ", "above stop"):
            assert part_of_reason in plan.moves[0].reason
        assert plan.reason == "the policy takes 1 move, 8.0 GiB"

    def test_the_search_alone_speaks_of_itself(self) -> None:
        searching = make_learned(stops, proposals=(Proposal.SEARCH,))
        assert searching.plan(make_hosts_cluster(HOT_CORES, CALM_CORES)).reason.startswith("the search takes 1 move")

    def test_what_r5_ties_together_is_one_choice_and_several_moves(self) -> None:
        """a and b of 30 and 10 cores leave a host at 100 %; each of their moves is scored with the choice."""
        vms = [vm("a", 0, 30, 32), vm("b", 0, 10, 8), vm("c", 0, 60, 8), vm("d", 1, 40)]
        cluster = build_cluster(2, vms, rules=[together("a", "b")])
        for proposals in ((Proposal.POLICY,), (Proposal.SEARCH,), tuple(Proposal)):
            plan = make_learned(relieves, proposals=proposals).plan(cluster)
            assert [(move.id, move.target) for move in plan.moves] == [("a", "host-1"), ("b", "host-1")]
            scored = [move.reason.endswith("above stop") for move in plan.moves]
            assert scored == [proposals != (Proposal.SEARCH,)] * 2
        assert plan.solve_seconds > 0

    @pytest.mark.parametrize(
        ("cores", "status"), [(HOT_CORES, Status.REFUSED), (CALM_CORES, Status.NO_CONTENTION)], ids=["hot", "calm"]
    )
    def test_a_policy_that_stops_at_once_says_whether_there_was_a_contention(
        self, cores: list[float], status: Status
    ) -> None:
        plan = make_learned(stops).plan(make_hosts_cluster(cores, CALM_CORES))
        assert (plan.status, plan.moves) == (status, ())

    def test_part_of_a_contention_may_be_relieved(self) -> None:
        # 4 of the 19 cores of host-1 fit on host-2: it stays contended, but less.
        cluster = make_hosts_cluster([4.0, 5.0, 5.0, 5.0], [4.4])
        plan = make_learned(relieves).plan(cluster)
        assert plan.status is Status.PLANNED and len(plan.moves) == 1
        assert "1 host stays contended" in plan.reason
        assert validate(state_of(cluster), plan, must_resolve=False) == ()
        assert validate(state_of(cluster), plan, must_resolve=True) != ()

    def test_a_host_near_its_threshold_may_be_relieved_before_it_is_contended(self) -> None:
        cluster = make_hosts_cluster([4.0, 4.3], CALM_CORES)  # 83 %: no contention yet
        plan = make_learned(never_stops).plan(cluster)
        assert plan.status is Status.PLANNED and plan.contentions == () and plan.moves
        assert validate(state_of(cluster), plan, must_resolve=False) == ()


class TestDocuments:
    """Strict: every contention is resolved, or the rules answer."""

    def test_without_contention_nothing_moves(self) -> None:
        plan = make_learned(never_stops, is_strict=True).plan(make_hosts_cluster([4.0, 4.3], CALM_CORES))
        assert (plan.status, plan.moves) == (Status.NO_CONTENTION, ())

    def test_a_policy_that_resolves_everything_is_followed(self) -> None:
        cluster = make_hosts_cluster(HOT_CORES, CALM_CORES)
        plan = make_learned(relieves, is_strict=True).plan(cluster)
        assert "the policy takes" in plan.reason
        assert validate(state_of(cluster), plan, must_resolve=True) == ()

    def test_partial_relief_is_replaced_by_the_answer_of_the_rules(self) -> None:
        cluster = make_hosts_cluster(HOT_CORES, CALM_CORES)
        plan = make_learned(stops, is_strict=True).plan(cluster)
        assert (plan.planner, plan.status, len(plan.moves)) == ("learned", Status.PLANNED, 1)
        assert plan.reason.startswith("the policy would relieve only part and leave 1 contended host, so ads answers: ")
        assert validate(state_of(cluster), plan, must_resolve=True) == ()

    def test_where_the_rules_refuse_so_does_it(self) -> None:
        plan = make_learned(relieves, is_strict=True).plan(make_hosts_cluster([4.0, 5.0, 5.0, 5.0], [4.4]))
        assert (plan.status, plan.moves) == (Status.REFUSED, ())
        assert "so ads answers: " in plan.reason

    def test_a_host_in_maintenance_is_emptied_or_the_rules_answer(self) -> None:
        cluster = make_hosts_cluster([1.0], [1.0], [1.0, 1.0], state=HostState.MAINTENANCE)
        for rule in (stops, never_stops):
            plan = make_learned(rule, is_strict=True).plan(cluster)
            assert plan.status is Status.PLANNED
            assert validate(state_of(cluster), plan, must_resolve=True) == ()

    def test_the_three_host_example_needs_room_to_be_made_and_gets_a_valid_answer(self, shared_dir: Path) -> None:
        path = shared_dir / "spec" / "examples" / "three-nodes.json"
        assert json.loads(path.read_text())["format"] == "quell.cluster/1"
        cluster = read_snapshot(path)
        plan = make_learned(relieves, is_strict=True).plan(cluster)
        assert plan.status is Status.PLANNED
        assert validate(state_of(cluster), plan, must_resolve=True) == ()


@dataclass(frozen=True)
class RuleBreaker:
    """A fallback that moves vm-1 to where it is already."""

    name: str = "breaker"
    observes_after_plan: bool = False

    def plan(self, cluster: Cluster) -> Plan:
        move = Move(MoveKind.VM, "vm-1", "host-1", "host-1", 8.0)
        return Plan(cluster.name, self.name, Status.PLANNED, "wrong", (), (move,), cost_gib=8.0)


class TestInvalidPlans:
    """A shortlist that offers what the rules forbid: the policy's plan must not get out."""

    @pytest.fixture(autouse=True)
    def offer_forbidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def forbidden(view: Any, slots: int) -> Shortlist:
            mask_S = np.zeros(slots + 1, dtype=np.bool_)
            mask_S[:2] = not view.moves
            mask_S[0] = True
            movable_K, target_K, kind_K = np.zeros((3, slots), dtype=np.int64)
            target_K[0] = 1  # vm-1 to host-2, which is down
            kind_K[0] = 1
            return Shortlist(movable_K, target_K, kind_K, mask_S)

        monkeypatch.setattr(planner_module, "shortlist", forbidden)

    def make_cluster(self) -> Cluster:
        return make_hosts_cluster(HOT_CORES, [], state=HostState.DOWN)

    def test_the_rules_answer_instead_and_the_reason_names_the_rule(self) -> None:
        plan = make_learned(never_stops, fallback=Ads()).plan(self.make_cluster())
        assert plan.moves == ()
        assert "breaks a rule" in plan.reason and "R2 host state" in plan.reason and "so ads answers" in plan.reason

    def test_where_the_rules_are_wrong_as_well_nothing_moves(self) -> None:
        plan = make_learned(never_stops, fallback=RuleBreaker()).plan(self.make_cluster())
        assert (plan.status, plan.moves, plan.planner) == (Status.REFUSED, (), "learned")
        assert "breaker" in plan.reason and plan.reason.endswith("no move")


class TestEveryPlanIsValid:
    @settings(max_examples=10)
    @given(seed=st.integers(0, 10_000), is_strict=st.booleans(), load=st.sampled_from([0.6, 0.75]))
    def test_whatever_the_scores(self, seed: int, is_strict: bool, load: float) -> None:
        rng = np.random.default_rng(seed)
        # Small for strict plans: the rules, which then mostly answer, search long in large clusters.
        hosts, vms_per_host = (3, 5) if is_strict else (4, 10)
        learned = make_learned(lambda c, m: rng.standard_normal(len(m)), is_strict=is_strict)
        episode = build_episode(PART, ClusterSpec(hosts, vms_per_host, load), seed)
        for minute in (480, 960):
            cluster = episode.cluster_at(minute, episode.cluster.host_of_M)
            plan = learned.plan(cluster)
            assert validate(state_of(cluster), plan, must_resolve=is_strict) == ()
            assert len(plan.moves) < PLAN_LIMIT + largest_clump(cluster.inventory) or is_strict

    def test_a_day_in_the_simulator_breaks_no_rule(self) -> None:
        episode = build_episode(PART, ClusterSpec(hosts=4, vms_per_host=10, load=0.7), 3)
        result = run_episode(episode, make_learned(never_stops))
        assert result.moves > 0 and result.violations == 0


class TestReplay:
    def test_moves_of_a_plan_start_where_those_before_have_left_the_vm(self) -> None:
        cluster = make_hosts_cluster([0.9] * 11, [0.1] * 3)
        plan = make_learned(never_stops).plan(cluster)
        assert len(plan.moves) > 1
        state = state_of(cluster)
        dense = [(state.inventory.vm_index[m.id], state.inventory.host_index[m.target]) for m in plan.moves]
        assert [replace(m, reason="") for m in plan.moves] == list(moves_of(state, dense))


PART = part(synthetic_trace(0), "train")
