"""Overcommit: needs between minimum and configured, of the wanted mean, persistent, and following what is active."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.world.overcommit import configured_fill, draw_overcommit, memory_needs, remembered_activity

DAY = 288
EVERYWHERE = np.ones((4, DAY), dtype=np.bool_)


def activity(seed: int = 0, cpu: float = 0.2, vms: int = 4) -> np.ndarray:
    """Remembered activity of VMs with constant CPU."""
    return remembered_activity(np.random.default_rng(seed), None, np.full((vms, 2 * DAY), cpu))


def test_hosts_are_overbooked_where_many_vms_are_overcommitted() -> None:
    assert [round(configured_fill(share), 2) for share in (0.65, 0.7, 0.8)] == [1.12, 1.17, 1.29]
    assert configured_fill(0.0) < 0.75


def test_the_share_of_vms_is_the_one_asked_for() -> None:
    assert draw_overcommit(np.random.default_rng(0), 50, 0.7).sum() == 35


def test_needs_lie_between_minimum_and_configured_and_have_the_wanted_mean() -> None:
    configured_V = np.array([4.0, 8.0, 16.0, 32.0])
    need_VS = memory_needs(activity(), configured_V, 0.2 * configured_V, EVERYWHERE, 27.0)
    assert (need_VS >= 0.2 * configured_V[:, None] - 1e-9).all()
    assert (need_VS <= configured_V[:, None] + 1e-9).all()
    assert need_VS[:, DAY:].mean(axis=1).sum() == pytest.approx(27.0, rel=0.02)


def test_a_vm_counts_only_while_it_is_there() -> None:
    configured_V, is_there_VS = np.full(4, 10.0), EVERYWHERE.copy()
    is_there_VS[2:, : DAY // 2] = False
    need_VS = memory_needs(activity(), configured_V, np.full(4, 2.0), is_there_VS, 15.0)
    assert (need_VS[:, DAY:] * is_there_VS).mean(axis=1).sum() == pytest.approx(15.0, rel=0.02)


def test_needs_persist_but_do_not_stand_still() -> None:
    need_VS = memory_needs(activity(vms=4), np.full(4, 10.0), np.full(4, 2.0), EVERYWHERE, 18.0)
    for need_S in need_VS[:, DAY:]:
        assert np.corrcoef(need_S[:-3], need_S[3:])[0, 1] > 0.8  # a quarter of an hour apart
        assert need_S.std() > 0.2


def test_what_was_touched_is_needed_for_a_while() -> None:
    used_VS = np.full((1, 2 * DAY), 0.02)
    used_VS[0, 300] = 0.5
    level_S = remembered_activity(np.random.default_rng(0), used_VS, used_VS)[0]
    assert level_S[299] < level_S[300] == np.log(0.5)
    assert level_S[300] > level_S[312] > level_S[324] > level_S[299]  # for hours
    assert level_S[-1] == np.log(0.02)  # but not for ever


def test_busy_vms_need_more_memory() -> None:
    quiet, busy = (activity(seed=1, cpu=cpu) for cpu in (0.05, 0.5))
    assert (busy > quiet).all()


def test_the_memory_of_the_trace_counts_where_it_has_it() -> None:
    cpu_VS, used_VS = np.full((2, 2 * DAY), 0.2), np.array([[0.01], [0.3]]) * np.ones(2 * DAY)
    first, second = remembered_activity(np.random.default_rng(0), used_VS, cpu_VS)
    assert np.allclose(first, np.log(0.01))
    assert np.allclose(second, np.log(0.3))
