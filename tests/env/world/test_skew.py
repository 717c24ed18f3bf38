"""The example of the first ADS document: a balancer moves GiB for no gain, ads and doing nothing cost nothing."""

from __future__ import annotations

import numpy as np

from quell.baseline.catalogue import make_planner
from quell.env.model.contention import unresolved_H
from quell.env.model.state import state_of
from quell.env.world.rounds import run_episode
from quell.env.world.skew import skew_episode


def test_the_hosts_are_at_50_5_and_5_percent_all_day() -> None:
    episode = skew_episode(4)
    assert episode.seed == 4
    for minute in (0, 700, 1440):
        state = state_of(episode.cluster_at(minute, episode.cluster.host_of_M))
        np.testing.assert_allclose(state.utilization_HR[:, 0], [0.5, 0.05, 0.05])
        assert not unresolved_H(state).any()


def test_only_the_balancer_moves_and_it_gains_nothing() -> None:
    results = {
        name: run_episode(skew_episode(), make_planner(name, skew_episode())) for name in ("none", "spread", "ads")
    }
    assert results["none"].costs.total == results["ads"].costs.total == 0
    assert results["ads"].moves == 0
    assert results["spread"].moves >= 4
    assert results["spread"].costs.total == results["spread"].costs.migration_gib >= 64
