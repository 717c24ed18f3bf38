"""Accidents: failures leave most hosts up, maintenance comes one host after another."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.model.cluster import Host
from quell.env.world.accidents import can_be_emptied, draw_accidents
from quell.env.world.events import Event, EventKind


def drawn(seed: int, hosts: int, failures: int = 0, maintenances: int = 0, gpus: tuple[int, ...] = ()) -> list[Event]:
    """Accidents on hosts, some of them with GPUs."""
    is_spare_H = np.array([h not in gpus for h in range(hosts)])
    return draw_accidents(np.random.default_rng(seed), is_spare_H, failures, maintenances)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("hosts", [2, 4, 12])
def test_only_a_quarter_of_the_hosts_or_one_is_down_at_a_time(seed: int, hosts: int) -> None:
    failures = drawn(seed, hosts, failures=6)
    assert failures
    for event in failures:
        assert event.kind is EventKind.FAILURE
        assert 30 <= event.duration_minutes <= 240
        assert 30 <= event.minute < 1440
    for minute in range(0, 1700, 10):
        down = [e.subject for e in failures if e.minute <= minute < e.minute + e.duration_minutes]
        assert len(down) <= max(1, hosts // 4)
        assert len(set(down)) == len(down)


@pytest.mark.parametrize("seed", range(20))
def test_no_host_fails_while_another_is_serviced_where_hosts_are_few(seed: int) -> None:
    events = drawn(seed, 6, failures=2, maintenances=2)
    for failure in (e for e in events if e.kind is EventKind.FAILURE):
        for other in (e for e in events if e.kind is EventKind.MAINTENANCE):
            is_before = failure.minute + failure.duration_minutes < other.minute
            assert is_before or failure.minute > other.minute + other.duration_minutes


def test_the_failures_asked_for_are_there_where_hosts_are_many() -> None:
    assert all(len(drawn(seed, 12, failures=3)) == 3 for seed in range(20))


@pytest.mark.parametrize("seed", range(10))
def test_maintenance_is_asked_for_one_host_after_another(seed: int) -> None:
    events = drawn(seed, 6, maintenances=4)
    assert [e.kind for e in events] == [EventKind.MAINTENANCE] * 4
    assert len({e.subject for e in events}) == 4
    for event, following in zip(events, events[1:], strict=False):
        assert 30 <= event.duration_minutes <= 120
        assert event.minute + event.duration_minutes + 30 <= following.minute


def test_hosts_that_may_be_impossible_to_empty_are_spared() -> None:
    for seed in range(10):
        assert {e.subject for e in drawn(seed, 4, maintenances=3, gpus=(0, 1))} <= {2, 3}
        assert drawn(seed, 2, maintenances=1, gpus=(0, 1))  # unless there are no others


@pytest.mark.parametrize(
    ("cores", "load", "can"),
    [([32] * 8, 0.65, True), ([32] * 4, 0.65, False), ([32] * 4, 0.6, True), ([64, 32, 32], 0.5, False)],
)
def test_hosts_are_emptied_only_where_the_others_can_take_their_vms(cores: list[int], load: float, can: bool) -> None:
    hosts = tuple(Host(f"host-{h}", count, 256, 4) for h, count in enumerate(cores))
    assert can_be_emptied(hosts, load) == can


def test_a_single_host_is_left_alone() -> None:
    assert drawn(0, 1, failures=2, maintenances=2) == []
