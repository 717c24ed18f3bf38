"""The adviser: a move's worth is what the lookahead says of it, and that of a pair stands at its first move."""

from __future__ import annotations

import numpy as np
import pytest

from quell.agents.adviser import Adviser
from quell.agents.days import Behaviour, Labels, play_day
from quell.agents.lookahead import Lookahead, LookaheadSettings
from quell.agents.teacher import Teacher
from quell.baseline.foresight import foresight_of
from quell.baseline.worth_search import choose_deeds
from quell.env.gym.generator import ToyGenerator
from quell.env.gym.shortlist import shortlist
from quell.env.gym.view import look_at
from quell.env.model.cluster import Cluster, Host, Inventory, Vm
from quell.env.model.state import state_from_demand
from quell.env.world.migration import WorldSettings
from quell.env.world.workload import Episode
from tests.agents.offers import offer

INSTANT = WorldSettings(base_seconds=0, seconds_per_gib=0, relocalization_share=0)  # moves without duration
FREE = LookaheadSettings(price_factor=1.0, charge=0.0)
TO_COME = np.array([11.0, 9.0, 7.0, 6.5])  # cores; host-0 has 20 of them and host-1 13.5, the threshold is 17


def toy() -> Episode:
    """Host-1 is 1 core over its threshold; vm-2 (8 GiB) ends that on host-2."""
    return ToyGenerator()(np.random.default_rng(0))


def cluster_at(episode: Episode, minute: int) -> Cluster:
    return episode.cluster_at(minute, episode.cluster.host_of_M)


def at_a_swap() -> Adviser:
    """Where no single move helps: vm-1 for vm-3 leaves 17.5 and 16 cores, any move alone makes a new contention."""
    hosts = Host("host-0", 20, 64, 4), Host("host-1", 20, 64, 4)
    inventory = Inventory(hosts, tuple(Vm(f"vm-{v}", 20, 4) for v in range(4)))
    demand_MR = np.array([[8.0, 4, 0.1], [6, 4, 0.1], [4, 4, 0.1], [6, 4, 0.1]])
    state = state_from_demand(inventory, demand_MR, np.array([0, 0, 1, 1]))
    demand_MJB = np.stack([TO_COME, np.full(4, 0.1)], axis=1)[:, :, None]
    foresight = foresight_of(state, demand_MJB, np.array([60.0]))
    return Adviser(Lookahead(state, foresight, np.full(4, 4.0), FREE), 20.0)


class TestWorth:
    def test_it_is_what_the_lookahead_wins_less_price_and_charge(self) -> None:
        cluster = cluster_at(toy(), 60)
        for settings in (FREE, LookaheadSettings(price_factor=2.0, charge=5.0)):
            adviser = Adviser.at(cluster, look_at(cluster), None, INSTANT, settings)
            price = settings.price_factor * 8 + settings.charge
            assert adviser.worth_S(offer((1, 1)))[1] == pytest.approx((60 - price) / 10)
            assert adviser.worth_S(offer((1, 1)))[1] == pytest.approx(adviser.ahead.worth([(1, 1)]) / 10)

    def test_stop_and_empty_slots_are_worth_nothing(self) -> None:
        cluster = cluster_at(toy(), 60)
        adviser = Adviser.at(cluster, look_at(cluster), None, INSTANT, FREE)
        assert adviser.worth_S(offer()).tolist() == [0.0] * 5
        assert np.flatnonzero(adviser.worth_S(offer((1, 1)))).tolist() == [1]

    def test_after_the_plan_has_resolved_it_no_further_move_pays(self) -> None:
        cluster = cluster_at(toy(), 60)
        adviser = Adviser.at(cluster, look_at(cluster), None, INSTANT, FREE).after(1, 1)
        assert adviser.worth_S(offer((0, 1)))[1] < 0

    def test_the_first_move_of_a_swap_is_worth_the_whole_of_it(self) -> None:
        adviser = at_a_swap()
        deed = choose_deeds(adviser.ahead.state, adviser.ahead.foresight, adviser.ahead.price_M)
        assert [(c.m, c.target) for c in deed] == [(1, 1), (3, 0)]
        first, other = adviser.worth_S(offer((1, 1), (0, 1)))[1:3]
        assert first == pytest.approx(deed[0].worth / 20) and first > 0 > other
        second = adviser.after(1, 1).worth_S(offer((3, 0)))[1]
        assert second > first  # the first move alone has made things worse

    def test_it_looks_for_no_second_move_of_what_has_moved(self) -> None:
        adviser = at_a_swap().after(1, 1).after(3, 0)
        assert adviser.settled == {1, 3}
        assert adviser.worth_S(offer((0, 1), (2, 0))).max() <= 0


class TestLabels:
    @pytest.mark.parametrize("hindsight", [0.0, 0.25, 1.0])
    def test_they_lie_between_adviser_and_teacher(self, hindsight: float) -> None:
        episode, minute = toy(), 300
        cluster = cluster_at(episode, minute)
        view = look_at(cluster)
        behaviour = Behaviour(slots=4, world=INSTANT, hindsight=hindsight)
        labels, listed = Labels.at(episode, minute, cluster, view, behaviour), shortlist(view, 4)
        charge = behaviour.charge
        told = Teacher.at(episode, minute, view, INSTANT, charge=charge).worth_S(listed)
        advised = Adviser.at(cluster, view, None, INSTANT, LookaheadSettings(charge=charge)).worth_S(listed)
        assert labels.worth_S(listed) == pytest.approx(hindsight * told + (1 - hindsight) * advised)
        assert (labels.teacher is None, labels.adviser is None) == (hindsight == 0, hindsight == 1)

    def test_only_hindsight_sees_the_day_end(self) -> None:
        """On the toy every round of an idle day looks the same, but a move in the last one has little time to pay."""
        worth = {}
        for hindsight in (0.0, 1.0):
            behaviour = Behaviour(slots=4, idle_share=1.0, hindsight=hindsight)
            worth[hindsight] = play_day(toy(), behaviour, None, np.random.default_rng(0)).worth.max(axis=1)
        assert worth[0.0].size == 96 and np.ptp(worth[0.0][8:]) < 1e-5
        assert worth[1.0][-1] < worth[1.0][8]
