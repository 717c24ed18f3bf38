"""Where episodes come from: within the ranges, and the same for the same draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quell.env.gym.generator import ToyGenerator, TraceGenerator, synthetic_training_part
from quell.env.model.errors import QuellError
from quell.env.model.state import state_of


def test_sizes_and_loads_lie_in_the_ranges() -> None:
    generator = TraceGenerator(hosts=(4, 6), vms_per_host=(10, 12), load=(0.5, 0.6))
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(8):
        episode = generator(rng)
        H, V = episode.inventory.host_count, episode.inventory.vm_count
        assert 4 <= H <= 6
        assert 10 <= V / H <= 12
        cores = episode.inventory.capacity_HR[:, 0].sum()
        day_VN = episode.cpu_VN[:, episode.history_minutes :]
        assert 0.49 <= day_VN.sum(axis=0).mean() / cores <= 0.61
        sizes.add((H, V))
    assert len(sizes) > 3


def test_the_same_draw_gives_the_same_episode() -> None:
    generator = TraceGenerator(hosts=(4, 6))
    first, second = generator(np.random.default_rng(5)), generator(np.random.default_rng(5))
    assert first.cpu_VN.tobytes() == second.cpu_VN.tobytes()
    np.testing.assert_array_equal(first.cluster.host_of_M, second.cluster.host_of_M)


def test_the_scenario_is_passed_on_and_plain_by_default() -> None:
    plain = TraceGenerator(hosts=(4, 4), vms_per_host=(10, 10))
    assert plain(np.random.default_rng(1)).events == ()
    generator = replace(plain, scenario="mixed")
    episodes = [generator(np.random.default_rng(seed)) for seed in range(12)]
    assert 0 < sum(bool(episode.events) for episode in episodes) < 12


def test_the_default_trace_is_made_once() -> None:
    assert TraceGenerator().part is synthetic_training_part()


def test_a_load_out_of_reach_is_an_error() -> None:
    with pytest.raises(QuellError, match="none of 20 draws gave a cluster; the last one: cluster, load"):
        TraceGenerator(hosts=(4, 4), vms_per_host=(1, 1), load=(0.95, 1.0))(np.random.default_rng(0))


def test_toy_is_what_its_docstring_says() -> None:
    episode = ToyGenerator()(np.random.default_rng(0))
    state = state_of(episode.cluster_at(0, episode.cluster.host_of_M))
    np.testing.assert_allclose(state.used_HR[:, 0], [9.5, 1.5])
    np.testing.assert_allclose(state.used_HR[:, 1], [40, 8])
    assert episode.day_minutes == 1440
    assert (episode.cpu_VN == episode.cpu_VN[:, :1]).all()
