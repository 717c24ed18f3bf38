"""Sizes and loads that people type, one value or a range, and what is drawn from them."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.env.model.errors import QuellError
from quell.env.world.workload import ClusterSpec
from quell.experiments.cluster_mix import ClusterMix


def test_one_value_is_one_cluster() -> None:
    mix = ClusterMix.of("8", "15", "0.65", "ha")
    assert mix.single == ClusterSpec(8, 15, 0.65, scenario="ha")
    assert ClusterMix.of("8-8", " 15 ", ".65", "ha") == mix
    assert mix.document() == {"hosts": 8, "vms_per_host": 15, "load": 0.65, "has_rules": True, "scenario": "ha"}


def test_ranges_are_drawn_from() -> None:
    mix = ClusterMix.of("8-16", "10 - 15", "0.60-0.75", "ha")
    assert mix.single is None
    assert mix.document()["load"] == [0.6, 0.75]
    drawn = list(islice(mix.draws(1), 300))
    assert {spec.hosts for spec in drawn} == set(range(8, 17))
    assert {spec.vms_per_host for spec in drawn} == set(range(10, 16))
    assert min(spec.load for spec in drawn) < 0.61 and max(spec.load for spec in drawn) > 0.74


@given(st.integers(0, 2**40), st.integers(2, 40), st.integers(0, 10), st.floats(0.05, 0.9), st.floats(0, 0.05))
def test_draws_lie_within_the_ranges_and_depend_on_the_seed_alone(
    seed: int, hosts: int, more: int, load: float, wider: float
) -> None:
    mix = ClusterMix((hosts, hosts + more), (4, 4), (load, load + wider))
    first, again = (list(islice(mix.draws(seed), 3)) for _ in range(2))
    assert first == again
    for spec in first:
        assert hosts <= spec.hosts <= hosts + more and spec.vms_per_host == 4
        assert load <= spec.load <= load + wider


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        (("", "15", "0.6"), "--hosts '': must be a whole number or a range FROM-TO, from 2 to 10,000"),
        (("8.5", "15", "0.6"), "--hosts '8.5': must be a whole number"),
        (("8-", "15", "0.6"), "--hosts '8-'"),
        (("-8", "15", "0.6"), "--hosts '-8'"),
        (("8-9-10", "15", "0.6"), "--hosts '8-9-10'"),
        (("16-8", "15", "0.6"), "--hosts '16-8': the range must rise, and 16 is more than 8"),
        (("1-8", "15", "0.6"), "--hosts '1-8': 1 is not from 2 to 10,000"),
        (("8", "0", "0.6"), "--vms-per-host '0': 0 is not from 1 to 1,000"),
        (("8", "15-9999", "0.6"), "--vms-per-host '15-9999': 9,999 is not"),
        (("8", "15", "65"), "--load '65': 65 is not from 0.05 to 0.95"),
        (("8", "15", "nan"), "--load 'nan': must be a number"),
        (("8", "15", "0.7-0.6"), "--load '0.7-0.6': the range must rise"),
        (("٣", "15", "0.6"), "--hosts '٣'"),
        (("9" * 400, "15", "0.6"), "--hosts"),
    ],
)
def test_what_is_no_range_is_told_in_one_sentence(sizes: tuple[str, str, str], told: str) -> None:
    with pytest.raises(QuellError) as refused:
        ClusterMix.of(*sizes, "ha")
    assert str(refused.value).startswith(told) and "\n" not in str(refused.value)
