"""The teacher: a move's worth is what it avoids of the true cost to come, less what the move itself costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from quell.agents.teacher import Teacher
from quell.env.gym.generator import ToyGenerator
from quell.env.gym.shortlist import shortlist
from quell.env.gym.view import look_at
from quell.env.model.cluster import read_only
from quell.env.model.plan import Plan, Status, moves_of
from quell.env.model.state import state_of
from quell.env.world.costs import CostTerms
from quell.env.world.events import Event, EventKind
from quell.env.world.migration import WorldSettings
from quell.env.world.simulator import Simulator
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.traces import part
from quell.env.world.workload import ClusterSpec, Episode, build_episode
from tests.agents.offers import offer
from tests.env.world.episodes import squeezed_episode

INSTANT = WorldSettings(base_seconds=0, seconds_per_gib=0, relocalization_share=0)  # moves without duration
PART = part(synthetic_trace(0), "train")


def toy() -> Episode:
    return ToyGenerator()(np.random.default_rng(0))


def teacher_at(episode: Episode, minute: int = 0, horizon_minutes: int = 60) -> Teacher:
    view = look_at(episode.cluster_at(minute, episode.cluster.host_of_M))
    return Teacher.at(episode, minute, view, INSTANT, horizon_minutes)


def cost_after(simulator: Simulator, moves: Sequence[tuple[int, int]], minutes: int) -> CostTerms:
    """What the next minutes cost after these moves."""
    twin = simulator.twin()
    made = moves_of(state_of(twin.cluster()), moves)
    if made:
        plan = Plan("", "test", Status.PLANNED, "", (), made, cost_gib=sum(move.cost_gib for move in made))
        assert twin.execute(plan) == ()
    return twin.advance(minutes)


class TestToy:
    """Host-1 is 1 core over its threshold all day; hosts have 10 cores, so 10 core-minutes are a host-minute."""

    @pytest.mark.parametrize(
        ("m", "horizon_minutes", "worth"),
        [
            (1, 60, (60 - 8) / 10),  # vm-2 ends an hour of overload for 8 GiB
            (1, 120, (120 - 8) / 10),
            (0, 60, (60 - 32) / 10),  # vm-1 does so for 32 GiB
            (0, 30, (30 - 32) / 10),  # in half an hour that does not pay
        ],
    )
    def test_worth_is_overload_avoided_less_the_gib(self, m: int, horizon_minutes: int, worth: float) -> None:
        listed = offer((m, 1))
        assert teacher_at(toy(), 0, horizon_minutes).worth_S(listed)[1] == pytest.approx(worth)

    def test_stop_and_empty_slots_are_worth_nothing(self) -> None:
        worth_S = teacher_at(toy()).worth_S(offer((1, 1)))
        assert worth_S.tolist() == [0.0, pytest.approx(5.2), 0.0, 0.0, 0.0]

    def test_a_move_that_brings_contention_costs(self) -> None:
        # vm-3 onto host-1: 1.5 cores more above its threshold, and 1 of them above its capacity.
        assert teacher_at(toy()).worth_S(offer((2, 0)))[1] == pytest.approx(-(60 * (1.5 + 1.0) + 8) / 10)

    def test_the_end_of_the_day_bounds_what_is_foreseen(self) -> None:
        assert teacher_at(toy(), minute=1425).worth_S(offer((1, 1)))[1] == pytest.approx((15 - 8) / 10)

    def test_after_the_plan_has_resolved_it_no_further_move_pays(self) -> None:
        teacher = teacher_at(toy()).after(1, 1)
        assert teacher.worth_S(offer((0, 1)))[1] < 0

    def test_the_time_a_copy_keeps_cores_busy_is_part_of_its_price(self) -> None:
        view = look_at(toy().cluster)
        slow = Teacher.at(toy(), 0, view, WorldSettings())
        assert slow.worth_S(offer((1, 1)))[1] < teacher_at(toy()).worth_S(offer((1, 1)))[1]


class TestSwap:
    def test_swap_to_come_counts_like_overload(self) -> None:
        """From minute 30 host-0 lacks 4 GiB: half an hour of it is avoided for the 20 GiB to copy."""
        episode = squeezed_episode(growth_gib=28.0)
        assert teacher_at(episode).worth_S(offer((0, 1)))[1] == pytest.approx((30 * 4 - 20) / 40)

    def test_it_is_what_the_simulator_meters(self) -> None:
        """Hosts share memory anew every two minutes, so that they lag behind a need that leaps."""
        episode = squeezed_episode(growth_gib=28.0)
        simulator = Simulator(episode, INSTANT)
        avoided = cost_after(simulator, [], 60) - cost_after(simulator, [(0, 1)], 60)
        worth = teacher_at(episode).worth_S(offer((0, 1)))[1] * 40
        assert avoided.swap_gib_minutes > 110
        assert worth == pytest.approx(avoided.total, abs=25)

    def test_who_is_on_is_what_the_view_says(self) -> None:
        """vm-2, which would overload host-1 with the others, has left before: its demand is not counted."""
        episode = replace(toy(), events=(Event(10, EventKind.DEPARTURE, 2),))
        simulator = Simulator(episode, INSTANT)
        simulator.advance(15)
        teacher = Teacher.at(episode, 15, look_at(simulator.cluster()), INSTANT)
        assert teacher.foresight.used_HJB[1].sum() == 0


class TestAgainstTheSimulator:
    @settings(max_examples=25)
    @given(
        seed=st.integers(0, 1000),
        minute=st.sampled_from([480, 720, 1080]),
        picks=st.lists(st.integers(0, 63), max_size=3),
    )
    def test_worth_is_what_the_simulator_meters(self, seed: int, minute: int, picks: list[int]) -> None:
        """Of the moves of a plan, each in the place the ones before have made of the cluster."""
        episode = build_episode(PART, ClusterSpec(hosts=4, vms_per_host=8, load=0.75), seed)
        simulator = Simulator(episode, INSTANT)
        simulator.advance(minute)
        view = look_at(simulator.cluster())
        teacher = Teacher.at(episode, minute, view, INSTANT, 60)
        worth = 0.0
        for pick in picks:
            listed = shortlist(view)
            event("nothing listed" if listed.is_empty else "a move")
            if listed.is_empty:
                break
            slot = 1 + pick % int(listed.mask_S[1:].sum())
            worth += float(teacher.worth_S(listed)[slot])
            move = listed.move(slot)
            assert move is not None
            view, teacher = view.after(*move), teacher.after(*move)
        avoided = cost_after(simulator, [], 60) - cost_after(simulator, view.moves, 60)
        assert worth * teacher.host_cores == pytest.approx(avoided.total, rel=1e-3, abs=0.1)

    def test_it_sees_what_the_student_does_not(self) -> None:
        """Two days alike so far: views are the same, worth is not."""
        episode = toy()
        calm_VN = episode.cpu_VN.copy()
        calm_VN[:, episode.history_minutes + 15 :] *= 0.5
        calm = replace(episode, cpu_VN=read_only(calm_VN, dtype=np.float32))
        views = [look_at(e.cluster_at(15, e.cluster.host_of_M)) for e in (episode, calm)]
        assert np.array_equal(views[0].round.demand_MJB, views[1].round.demand_MJB)
        listed = offer((1, 1))
        assert teacher_at(episode, 15).worth_S(listed)[1] > 0 > teacher_at(calm, 15).worth_S(listed)[1]
