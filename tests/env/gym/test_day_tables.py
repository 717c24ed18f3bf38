"""The tables of a day: the looks at it, worked out at once, are what each would have shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quell.env.gym.day_tables import tables_of
from quell.env.gym.generator import ToyGenerator
from quell.env.gym.look_arrays import BLOCKS, look_arrays, new_round
from quell.env.gym.outlook_kernels import outlook_into
from quell.env.model.cluster import CPU, STORAGE
from quell.env.model.state import state_of
from quell.env.world.arrays import day_of
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.traces import part
from quell.env.world.workload import ClusterSpec, build_episode

ROUND = 15


@pytest.mark.parametrize("q", [0, 1, 50, 96])
def test_a_look_finds_its_demand_in_the_tables(q: int) -> None:
    episode = ToyGenerator()(np.random.default_rng(0))
    day, fixed = day_of(episode), look_arrays(episode.inventory)
    tables = tables_of(day, ROUND)
    now, _, _ = new_round(fixed)
    end = day.history_minutes + q * ROUND
    need_V = np.zeros(episode.inventory.vm_count)
    outlook_into(fixed, now, episode.cpu_VN, episode.storage_MN, end - 120, end, need_V)
    np.testing.assert_array_equal(tables.trend_QMJ[q], now.demand_MJB[:, :, 0])
    first = end // 5 - BLOCKS
    np.testing.assert_array_equal(np.moveaxis(tables.block_TMJ[first : first + BLOCKS], 0, 2), now.demand_MJB[:, :, 1:])


@pytest.mark.parametrize("hours", [1 / 6, 3, 30])
def test_the_estimate_of_a_long_window_is_that_of_the_rules(hours: float) -> None:
    """However long the trend window: what telemetry shows, a day at most, decides."""
    episode = build_episode(part(synthetic_trace(0), "train"), ClusterSpec(hosts=2, vms_per_host=4), 1)
    settings = replace(episode.inventory.settings, trend_window_seconds=hours * 3600)
    inventory = replace(episode.inventory, settings=settings)
    episode = replace(episode, cluster=replace(episode.cluster, inventory=inventory))
    tables = tables_of(day_of(episode), ROUND)
    for minute in (0, 600):
        state = state_of(episode.cluster_at(minute, episode.cluster.host_of_M))
        estimate_MJ, table_MJ = state.demand_MR[:, [CPU, STORAGE]], tables.trend_QMJ[minute // ROUND]
        assert table_MJ[inventory.is_on_M] == pytest.approx(estimate_MJ[inventory.is_on_M])


def test_a_day_ends_in_the_middle_of_a_round() -> None:
    day = day_of(ToyGenerator()(np.random.default_rng(0)))
    assert len(tables_of(day, 7).trend_QMJ) > -(-1440 // 7)
    np.testing.assert_array_equal(tables_of(day, 7).trend_QMJ[206], tables_of(day, 1440).trend_QMJ[1])
