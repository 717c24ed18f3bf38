"""The tables of a day: the looks at it, worked out at once, are what each would have shown."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.gym.day_tables import tables_of
from quell.env.gym.generator import ToyGenerator
from quell.env.gym.look_arrays import BLOCKS, look_arrays, new_round
from quell.env.gym.outlook_kernels import outlook_into
from quell.env.world.arrays import day_of

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


def test_a_day_ends_in_the_middle_of_a_round() -> None:
    day = day_of(ToyGenerator()(np.random.default_rng(0)))
    assert len(tables_of(day, 7).trend_QMJ) > -(-1440 // 7)
    np.testing.assert_array_equal(tables_of(day, 7).trend_QMJ[206], tables_of(day, 1440).trend_QMJ[1])
