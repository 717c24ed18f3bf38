"""Planners by what people type: a name of the catalogue, `forecast`, `learned`, or the path of an exported policy.

`learned` is the policy that comes with Quell, `forecast` the tuned rule on its forecaster; `forecast:PATH`, on that of
another bundle.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..baseline.catalogue import NAMES, make_planner, unknown_planner
from ..baseline.mode import Mode
from ..env.model.errors import QuellError
from ..env.model.planner import Planner
from ..env.world.workload import Episode

BUNDLE_SUFFIX = ".quell"
FORECAST = "forecast"
LEARNED = "learned"
ALL_NAMES = (*NAMES[:-1], FORECAST, LEARNED, NAMES[-1])

PlannerFactory = Callable[[Episode], Planner]
"""A fresh planner for an episode; only the clairvoyant one looks at it."""


def is_bundle(name: str) -> bool:
    """Whether a planner's name is the path of a bundle rather than a word of the catalogue."""
    if is_forecast(name) or name == LEARNED:
        return False
    return name.endswith(BUNDLE_SUFFIX) or "/" in name or Path(name).is_file()


def is_forecast(name: str) -> bool:
    """Whether a planner's name asks for the tuned rule on a forecast."""
    return name == FORECAST or name.startswith(f"{FORECAST}:")


def planner_for_snapshot(name: str) -> Planner:
    """A planner for a document: all contentions or none, as the contract of plans has it.

    Raises:
        QuellError: the name is unknown, or the bundle cannot be trusted.
    """
    if is_bundle(name) or name == LEARNED:
        return _learned(name, is_strict=True)
    if is_forecast(name):
        return _forecast(name)
    if name not in ALL_NAMES:
        raise unknown_planner(name, ALL_NAMES)
    return make_planner(name)


def planner_factory(name: str, mode: Mode = Mode.ENABLED) -> PlannerFactory:
    """Planners for simulated episodes; the bundle is read once, here.

    Args:
        name: of the catalogue, `forecast`, `forecast:PATH`, `learned`, or the path of a bundle.
        mode: of `ads`.

    Raises:
        QuellError: the name is unknown, or the bundle cannot be trusted.
    """
    if is_bundle(name) or name == LEARNED:
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
    from ..agents.planner import LearnedPlanner
    from ..env.gym.features import SCHEMA

    path = _shipped(name) if name == LEARNED else Path(name)
    return LearnedPlanner(load_bundle(path, SCHEMA), is_strict=is_strict)


def _forecast(name: str) -> Planner:
    """The tuned rule on the forecaster of the bundle that the name asks for; imported here for the same reason."""
    from ..agents.bundle import load_bundle
    from ..agents.forecast_planner import forecast_planner_of

    _, colon, told = name.partition(":")
    if colon and not told:
        raise QuellError(f"planner {name!r} names no bundle; it must be {FORECAST}:PATH")
    return forecast_planner_of(load_bundle(Path(told) if told else _shipped(name)))


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
