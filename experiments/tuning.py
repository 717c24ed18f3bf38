"""`quell tune`: a random search over the settings of the rules `tuned` and `forecast`, on days of the validation part.

Every setting is played on a few days; the better quarter goes on to more of them, and the best is told with what it
costs on days that it was not chosen by. The same arguments try the same settings on the same days.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..baseline.nothing import Nothing
from ..baseline.placement import place_with_room
from ..baseline.tuned import Tuned, TunedSettings
from ..baseline.warm_up import warm_up_planners
from ..env.model.errors import QuellError
from ..env.model.planner import Planner
from ..env.world.rounds import run_episode
from ..env.world.split import TracePart
from ..env.world.traces import part
from ..env.world.workload import ClusterSpec, Episode, build_episode
from .planners import bundle_path, is_forecast
from .simulation import load_workload
from .terminal import console, progress

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


def tuning_days(pool: TracePart, count: int, *, first_seed: int = TUNING_SEED) -> list[Episode]:
    """Days of clusters with rules and HA, of the sizes and loads that planners are compared on."""
    episodes = []
    for seed in range(first_seed, first_seed + count):
        rng = np.random.default_rng(seed)
        hosts, vms = (int(rng.integers(low, high + 1)) for low, high in (HOSTS, VMS_PER_HOST))
        spec = ClusterSpec(hosts, vms, float(rng.uniform(*LOAD)), scenario="ha")
        episodes.append(build_episode(pool, spec, seed))
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
    pool: TracePart,
    planner_of: PlannerOf,
    *,
    settings: int = 40,
    days: int = 8,
    seed: int = 0,
    on_tried: Callable[[Tried], None] | None = None,
) -> dict[str, Any]:
    """Searches settings.

    Args:
        pool: VMs and days to play; the validation part, where the result is to be compared on the test part.
        planner_of: the planner of a setting.
        settings: how many are tried, the defaults among them.
        days: that the better ones are played on; as many others check the best.
        seed: of the settings.
        on_tried: told of each setting as soon as it has been played.

    Returns:
        A document for JSON: the best settings, costs, and everything that was tried.
    """
    episodes = tuning_days(pool, days)
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
    check = tuning_days(pool, days, first_seed=TUNING_SEED + days)
    return {
        "best": asdict(best.settings),
        "cost_core_minutes": best.cost,
        "nothing_core_minutes": mean_cost(Nothing(), episodes),
        "check_core_minutes": mean_cost(planner_of(best.settings), check),
        "check_nothing_core_minutes": mean_cost(Nothing(), check),
        "tried": [asdict(one) for one in tried],
    }


@dataclass(frozen=True)
class TuneAsked:
    """What `quell tune` was asked: whose settings, on which days, and how many of both."""

    planner: str
    workload: str
    part_name: str
    settings: int
    days: int
    seed: int


def tune_planner(asked: TuneAsked, *, is_text: bool) -> dict[str, Any]:
    """Searches settings of a planner, and prints the best as text; returns the document.

    Raises:
        QuellError: the planner is no rule with settings, or the workload or the bundle cannot be read.
    """
    planner_of = _rule_of(asked.planner)
    days = part(load_workload(asked.workload), asked.part_name)
    warm_up_planners()
    total = asked.settings + max(1, round(KEPT_SHARE * asked.settings))
    done: list[Tried] = []
    with progress("tune", total) as on_progress:

        def told(tried: Tried) -> None:
            done.append(tried)
            on_progress(len(done), total)

        found = tune(days, planner_of, settings=asked.settings, days=asked.days, seed=asked.seed, on_tried=told)
    document = asdict(asked) | found
    if is_text:
        console.print(tuning_text(document), soft_wrap=True, markup=False)
    return document


def _rule_of(name: str) -> PlannerOf:
    """The rule of a name, for any settings; imported here so that `quell --help` does not wait for onnxruntime."""
    if name == Tuned.name:
        return Tuned
    path = bundle_path(name) if is_forecast(name) else None
    if path is None:
        raise QuellError(f"--planner {name}: only the rules tuned, forecast and forecast:BUNDLE have settings to tune")
    from ..agents.bundle import load_bundle
    from ..agents.forecast_planner import forecast_planner_of

    bundle = load_bundle(path)
    forecast_planner_of(bundle)  # refuses one without a forecaster before any work
    return lambda settings: forecast_planner_of(bundle, settings)


def tuning_text(document: dict[str, Any]) -> str:
    """The best settings, and what they cost on the days that chose them and on others, core-minutes."""
    settings = ", ".join(f"{name} {value:g}" for name, value in document["best"].items())
    days, cost = document["days"], "{:,.0f} core-minutes a day ({:,.0f} where nothing is done)"
    return "\n".join(
        (
            f"best of {document['settings']} settings of {document['planner']}: {settings}",
            f"on the {days} days that chose them: "
            + cost.format(document["cost_core_minutes"], document["nothing_core_minutes"]),
            f"on {days} other days of the same part: "
            + cost.format(document["check_core_minutes"], document["check_nothing_core_minutes"]),
        )
    )
