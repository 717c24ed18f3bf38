"""Planners by what people type: a name of the catalogue, or the path of an exported policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..baseline.catalogue import NAMES, make_planner
from ..baseline.mode import Mode
from ..env.model.planner import Planner
from ..env.world.workload import Episode

BUNDLE_SUFFIX = ".quell"

PlannerFactory = Callable[[Episode], Planner]
"""A fresh planner for an episode; only the clairvoyant one looks at it."""


def is_bundle(name: str) -> bool:
    """Whether a planner's name is the path of a bundle rather than a word of the catalogue."""
    return name.endswith(BUNDLE_SUFFIX) or "/" in name or Path(name).is_file()


def planner_for_snapshot(name: str) -> Planner:
    """A planner for a document: all contentions or none, as the contract of plans has it.

    Raises:
        QuellError: the name is unknown, or the bundle cannot be trusted.
    """
    if is_bundle(name):
        return _learned(Path(name), is_strict=True)
    return make_planner(name)


def planner_factory(name: str, mode: Mode = Mode.ENABLED) -> PlannerFactory:
    """Planners for simulated episodes; the bundle is read once, here.

    Args:
        name: of the catalogue, or the path of a bundle.
        mode: of `ads`.

    Raises:
        QuellError: the name is unknown, or the bundle cannot be trusted.
    """
    if is_bundle(name):
        learned = _learned(Path(name), is_strict=False)
        return lambda episode: learned
    if name not in NAMES:
        make_planner(name)  # says what is wrong with the name, before any work
    return lambda episode: make_planner(name, episode, mode)


def _learned(path: Path, *, is_strict: bool) -> Planner:
    """The planner of a bundle; imported here so that planning with rules does not wait for onnxruntime."""
    from ..agents.bundle import load_bundle
    from ..agents.planner import LearnedPlanner
    from ..env.gym.features import SCHEMA

    return LearnedPlanner(load_bundle(path, SCHEMA), is_strict=is_strict)
