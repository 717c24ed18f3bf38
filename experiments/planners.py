"""Planners by what people type: a name of the catalogue, `forecast`, `learned`, or the path of an exported policy.

`learned` is the policy that comes with Quell, `forecast` the tuned rule on its forecaster; `forecast:PATH`, on that of
another bundle. `learned@PART` and `PATH.quell@PART` are the learned planner with a part alone or without one, for
ablations: `agents.planner.VARIANTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..agents.manifest import BUNDLE_SUFFIX
from ..baseline.catalogue import NAMES, make_planner, unknown_planner
from ..baseline.mode import Mode
from ..baseline.warm_up import warm_up_planners
from ..env.model.errors import QuellError
from ..env.model.planner import Planner
from ..env.world.workload import Episode
from .whole_plans import WholePlans

FORECAST = "forecast"
LEARNED = "learned"
STILL = "none"
FALLBACK = "ads"
RELIEVING_PARTS = ("tuned", "spread")  # those that come with no bundle
ALL_NAMES = (*NAMES[:-1], FORECAST, LEARNED, NAMES[-1])

PlannerFactory = Callable[[Episode], Planner]
"""A fresh planner for an episode; only the clairvoyant one looks at it."""


def is_bundle(name: str) -> bool:
    """Whether a planner's name is the path of a bundle rather than a word of the catalogue."""
    name, _ = split_variant(name)
    if is_forecast(name) or name == LEARNED:
        return False
    return name.endswith(BUNDLE_SUFFIX) or "/" in name or Path(name).is_file()


def is_learned(name: str) -> bool:
    """Whether a planner's name asks for a policy: the one that comes with Quell, or a bundle's."""
    return is_bundle(name) or split_variant(name)[0] == LEARNED


def split_variant(name: str) -> tuple[str, str]:
    """`learned@search` as (`learned`, `search`); the second is empty where there is none."""
    told, _, variant = name.rpartition("@") if "@" in name and not Path(name).is_file() else (name, "", "")
    return told, variant


def is_forecast(name: str) -> bool:
    """Whether a planner's name asks for the tuned rule on a forecast."""
    return name == FORECAST or name.startswith(f"{FORECAST}:")


def bundle_path(name: str) -> Path | None:
    """The bundle that a planner's name asks for, be it for its policy or its forecaster; None where it asks for none.

    Raises:
        QuellError: it names none where it should, or none comes with this Quell.
    """
    if is_learned(name):
        told, _ = split_variant(name)
        return _shipped(told) if told == LEARNED else Path(told)
    if not is_forecast(name):
        return None
    _, colon, told = name.partition(":")
    if colon and not told:
        raise QuellError(f"planner {name!r} names no bundle; it must be {FORECAST}:PATH")
    return Path(told) if told else _shipped(name)


def planner_for_snapshot(name: str) -> Planner:
    """A planner for a document: all contentions or none, as the contract of plans has it.

    Rules that relieve what they can are held to it too: where they leave something, `ads` answers.

    Raises:
        QuellError: the name is unknown, or the bundle cannot be trusted.
    """
    if is_learned(name):
        return _learned(name, is_strict=True)
    if name not in ALL_NAMES and not is_forecast(name):
        raise unknown_planner(name, ALL_NAMES)
    planner = _forecast(name) if is_forecast(name) else make_planner(name)
    is_whole = name not in RELIEVING_PARTS and not is_forecast(name)
    return planner if is_whole else WholePlans(planner, make_planner(FALLBACK))


def takes_limit(name: str) -> bool:
    """Whether `planner_for_snapshot` gives a planner that searches, itself or where its own answer does not do."""
    return name != STILL


def warm_up_for(name: str) -> None:
    """Loads the kernels of a planner that does not do so itself before it looks at the clock."""
    if is_learned(name):
        warm_up_planners()


def planner_factory(name: str, mode: Mode = Mode.ENABLED) -> PlannerFactory:
    """Planners for simulated episodes; the bundle is read once, here.

    Args:
        name: of the catalogue, `forecast`, `forecast:PATH`, `learned`, or the path of a bundle.
        mode: of `ads`.

    Raises:
        QuellError: the name is unknown, or the bundle cannot be trusted.
    """
    if is_learned(name):
        learned = _learned(name, is_strict=False)
        return lambda episode: learned
    if is_forecast(name):
        forecast = _forecast(name)
        return lambda episode: forecast
    if name not in ALL_NAMES:
        raise unknown_planner(name, ALL_NAMES)  # before any work
    return lambda episode: make_planner(name, episode, mode)


def _learned(name: str, *, is_strict: bool) -> Planner:
    """The planner of a bundle; imported here so that planning with rules does not wait for onnxruntime."""
    from ..agents.bundle import load_bundle
    from ..agents.planner import VARIANTS, LearnedPlanner
    from ..env.gym.features import SCHEMA

    _, variant = split_variant(name)
    if variant and variant not in VARIANTS:
        raise QuellError(f"planner {name!r}: there is no part {variant!r}; there are {', '.join(VARIANTS)}")
    path = bundle_path(name)
    assert path is not None  # the name is a learned one
    parts = {"name": f"{LEARNED}@{variant}", **VARIANTS[variant]} if variant else {}
    return LearnedPlanner(load_bundle(path, SCHEMA), is_strict=is_strict, **parts)


def _forecast(name: str) -> Planner:
    """The tuned rule on the forecaster of the bundle that the name asks for; imported here for the same reason."""
    from ..agents.bundle import load_bundle
    from ..agents.forecast_planner import forecast_planner_of

    path = bundle_path(name)
    assert path is not None  # the name asks for a forecast
    return forecast_planner_of(load_bundle(path))


def _shipped(name: str) -> Path:
    """The bundle that comes with Quell.

    Raises:
        QuellError: it is not there.
    """
    from ..agents.bundle import shipped_bundle

    path = shipped_bundle()
    if not path.is_file():
        raise QuellError(f"planner {name!r}: no bundle comes with this Quell; train one with quell train and name it")
    return path
