"""Rewards: terms that add up, and a scale that knows no size."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.gym.generator import ToyGenerator
from quell.env.gym.reward import REWARD_TERMS, Twin, reward_scale, reward_terms
from quell.env.model.cluster import Host, Inventory
from quell.env.world.costs import CostTerms


def test_terms_are_named_and_add_up() -> None:
    twin, own = CostTerms(10, 4, 2, 0), CostTerms(4, 5, 0, 3)
    terms = reward_terms(twin, own, scale=2.0)
    assert terms == {"overload": 3.0, "unserved": -0.5, "swap": 1.0, "migration": -1.5}
    assert tuple(terms) == REWARD_TERMS
    assert sum(terms.values()) == pytest.approx((twin.total - own.total) / 2)


@pytest.mark.parametrize(("hosts", "expected"), [(1, 7.2), (10, 72.0)])
def test_scale_is_a_share_of_what_the_cluster_offers(hosts: int, expected: float) -> None:
    inventory = Inventory(tuple(Host(f"h{h}", 48, 256, 6) for h in range(hosts)))
    assert reward_scale(inventory, round_minutes=15) == pytest.approx(expected)


def test_idle_twin_pays_for_every_minute() -> None:
    twin = Twin(ToyGenerator()(np.random.default_rng(0)), None, None)
    assert twin.advance(15) == CostTerms(overload_core_minutes=15.0)
    twin.advance(15)
    assert twin.costs == CostTerms(overload_core_minutes=30.0)
