"""Tuning the rules: a random search over their settings, on days of the validation part.

Every setting is played on a few days; the better quarter goes on to more of them, and the best is told with what it
costs on days that it was not chosen by. The same arguments try the same settings on the same days.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..baseline.nothing import Nothing
from ..baseline.placement import place_with_room
from ..baseline.tuned import TunedSettings
from ..env.model.planner import Planner
from ..env.world.rounds import run_episode
from ..env.world.split import TracePart
from ..env.world.workload import ClusterSpec, Episode, build_episode

PlannerOf = Callable[[TunedSettings], Planner]

CHOICES: dict[str, tuple[float, ...]] = {
    "quantile": (0.5, 0.6, 0.7, 0.8, 0.9),
    "window_minutes": (15, 30, 60),
    "trigger": (0.95, 1.0, 1.05, 1.1),
    "aim": (0.85, 0.9, 0.95, 1.0),
    "ceiling": (0.85, 0.9, 0.95, 1.0, 1.05),
    "move_gib": (0.0, 1.0, 4.0, 8.0),
    "least_relief": (0.0, 0.03, 0.1, 0.2),
}
HOSTS, VMS_PER_HOST, LOAD = (8, 16), (12, 15), (0.60, 0.75)  # least and most, drawn for each day
TUNING_SEED = 9_100_000  # of the days; the check days follow
QUICK_DAYS = 4  # that all settings are played on
KEPT_SHARE = 1 / 4


@dataclass(frozen=True)
class Tried:
    """A setting and its mean cost per day, core-minutes."""

    settings: TunedSettings
    quick_cost: float
    cost: float | None = None


def tuning_days(part: TracePart, count: int, *, first_seed: int = TUNING_SEED) -> list[Episode]:
    """Days of clusters with rules and HA, of the sizes and loads that planners are compared on."""
    episodes = []
    for seed in range(first_seed, first_seed + count):
        rng = np.random.default_rng(seed)
        hosts, vms = (int(rng.integers(low, high + 1)) for low, high in (HOSTS, VMS_PER_HOST))
        spec = ClusterSpec(hosts, vms, float(rng.uniform(*LOAD)), scenario="ha")
        episodes.append(build_episode(part, spec, seed))
    return episodes


def drawn_settings(count: int, seed: int) -> list[TunedSettings]:
    """The defaults, then settings drawn from `CHOICES`."""
    rng = np.random.default_rng(seed)
    drawn = [TunedSettings()]
    while len(drawn) < count:
        values: dict[str, Any] = {name: rng.choice(choices).item() for name, choices in CHOICES.items()}
        values["window_minutes"] = int(values["window_minutes"])
        drawn.append(replace(TunedSettings(), **values))
    return drawn


def mean_cost(planner: Planner, episodes: Sequence[Episode]) -> float:
    """Mean cost of a day, core-minutes."""
    return float(np.mean([run_episode(e, planner, placer=place_with_room).costs.total for e in episodes]))


def tune(
    part: TracePart,
    planner_of: PlannerOf,
    *,
    settings: int = 40,
    days: int = 8,
    seed: int = 0,
    on_tried: Callable[[Tried], None] | None = None,
) -> dict[str, Any]:
    """Searches settings.

    Args:
        part: whose VMs and days are played; the validation part, where the result is to be compared on the test part.
        planner_of: the planner of a setting.
        settings: how many are tried, the defaults among them.
        days: that the better ones are played on; as many others check the best.
        seed: of the settings.
        on_tried: told of each setting as soon as it has been played.

    Returns:
        A document for JSON: the best settings, costs, and everything that was tried.
    """
    episodes = tuning_days(part, days)
    quick = min(QUICK_DAYS, days)
    tried = []
    for values in drawn_settings(settings, seed):
        tried.append(Tried(values, mean_cost(planner_of(values), episodes[:quick])))
        if on_tried is not None:
            on_tried(tried[-1])
    tried.sort(key=lambda one: one.quick_cost)
    kept = max(1, round(KEPT_SHARE * len(tried)))
    for i, one in enumerate(tried[:kept]):
        rest = mean_cost(planner_of(one.settings), episodes[quick:]) if days > quick else one.quick_cost
        tried[i] = replace(one, cost=(quick * one.quick_cost + (days - quick) * rest) / days)
        if on_tried is not None:
            on_tried(tried[i])
    best = min(tried[:kept], key=lambda one: one.cost or np.inf)
    check = tuning_days(part, days, first_seed=TUNING_SEED + days)
    return {
        "best": asdict(best.settings),
        "cost_core_minutes": best.cost,
        "nothing_core_minutes": mean_cost(Nothing(), episodes),
        "check_core_minutes": mean_cost(planner_of(best.settings), check),
        "check_nothing_core_minutes": mean_cost(Nothing(), check),
        "tried": [asdict(one) for one in tried],
    }


def tuning_text(document: dict[str, Any]) -> str:
    """The document as JSON."""
    return json.dumps(document, indent=2)
