"""Who places the VMs that arrive while planners are compared."""

from __future__ import annotations

from quell.baseline.ads import Ads
from quell.baseline.mode import Mode
from quell.baseline.nothing import Nothing
from quell.baseline.spread import Spread
from quell.env.world.split import part
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.workload import ClusterSpec
from quell.experiments.evaluation import Suite, evaluate
from quell.experiments.sources import TraceDays

TRAIN = part(synthetic_trace(0, vms=200, days=6), "train")


def test_what_is_to_move_nothing_moves_nothing_for_arrivals_either() -> None:
    """On crowded days with arrivals room is made for them, but neither by `none` nor while `ads` is disabled."""
    suite = Suite(TraceDays(TRAIN, ClusterSpec(4, 12, 0.8, scenario="churn")), 3, 1)
    planners = {
        "none": lambda _: Nothing(),
        "disabled": lambda _: Ads(mode=Mode.DISABLED),
        "spread": lambda _: Spread(plan_limit=0),
    }
    results = evaluate(suite, planners)  # type: ignore[arg-type]
    moves = {name: sum(result.moves for result in episodes) for name, episodes in results.items()}
    assert (moves["none"], moves["disabled"]) == (0, 0)
    assert moves["spread"] > 0, "room was made for somebody on these days"
