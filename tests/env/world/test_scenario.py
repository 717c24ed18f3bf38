"""Scenarios: named or drawn, always within their ranges, and one ingredient never disturbs another."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from quell.env.model.errors import QuellError
from quell.env.world.scenario import (
    MIXED_SHARE,
    SCENARIO_NAMES,
    SCENARIOS,
    Scenario,
    Stream,
    check_scenario_name,
    draw_mixed,
    scenario_of,
    stream,
)

EXTRAS = [field.name for field in fields(Scenario) if field.name != "ha_failures"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"ha_failures": 3}, "scenario, ha_failures: 3 is not a whole number from 0 to 2"),
        ({"ha_failures": True}, "ha_failures: True is not"),
        ({"failures": -1}, "scenario, failures: -1 is not a whole number from 0 to 6"),
        ({"maintenances": 1.5}, "maintenances: 1.5 is not"),
        ({"churn_share": 1.1}, "scenario, churn_share: 1.1 is not a share from 0 to 1"),
        ({"overcommit_share": float("nan")}, "overcommit_share: nan is not"),
        ({"gpu_host_share": True}, "gpu_host_share: True is not"),
    ],
)
def test_values_out_of_range_are_refused(values: dict, sentence: str) -> None:
    with pytest.raises(QuellError, match=sentence):
        Scenario(**values)


def test_a_misspelt_name_suggests_the_nearest() -> None:
    with pytest.raises(QuellError, match="scenario 'overcomit' is unknown; did you mean 'overcommit'?"):
        check_scenario_name("overcomit")
    with pytest.raises(QuellError, match="scenario 'x' is unknown; there are plain, ha, overcommit, gpu, churn, "):
        scenario_of("x", 0)


def test_every_name_stands_for_something_else() -> None:
    assert SCENARIO_NAMES == ("plain", "ha", "overcommit", "gpu", "churn", "failures", "maintenance", "mixed")
    assert len(set(SCENARIOS.values())) == len(SCENARIOS)
    assert scenario_of("plain", 3) == Scenario()
    assert scenario_of("ha", 3) == Scenario(ha_failures=1)
    own = replace(Scenario(), failures=4)
    assert scenario_of(own, 3) is own


def test_mixed_is_drawn_by_the_seed() -> None:
    assert scenario_of("mixed", 5) == scenario_of("mixed", 5)
    assert len({scenario_of("mixed", seed) for seed in range(30)}) > 15


def test_in_mixed_every_ingredient_is_there_in_a_quarter_and_many_episodes_have_none_or_one() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_mixed(rng) for _ in range(2000)]
    for name in EXTRAS:
        there = np.mean([getattr(scenario, name) > 0 for scenario in drawn])
        assert there == pytest.approx(MIXED_SHARE, abs=0.04)
    counts = [sum(getattr(scenario, name) > 0 for name in EXTRAS) for scenario in drawn]
    assert np.mean(np.array(counts) <= 1) > 0.4
    assert max(counts) >= 4
    assert [np.mean([s.ha_failures == k for s in drawn]) for k in range(3)] == pytest.approx([0.5, 0.4, 0.1], abs=0.04)


def test_streams_are_independent_of_each_other_and_of_the_seed_itself() -> None:
    firsts = [stream(7, which).random() for which in Stream] + [np.random.default_rng(7).random()]
    assert len(set(firsts)) == len(firsts)
    assert stream(7, Stream.CHURN).random() == stream(7, Stream.CHURN).random()
