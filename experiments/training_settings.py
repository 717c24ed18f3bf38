"""`quell train --set KEY=VALUE`: fields of `TrainConfig` as people type them, for ablations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, NamedTuple, get_type_hints

from ..agents.config import TrainConfig
from ..agents.manifest import MAX_SHORTLIST_SIZE
from ..env.model.errors import QuellError
from .cluster_mix import DECIMAL, LEAST_HOSTS, LEAST_LOAD, MOST_HOSTS, MOST_LOAD, MOST_VMS_PER_HOST, WHOLE

OWN_OPTIONS = MappingProxyType(
    {"seed": "--seed", "budget_seconds": "--budget-minutes", "device": "--device", "scenario": "--scenario"}
)
"""Fields that have an option of their own, and no second way to be set."""

Config = dict[str, Any]


class Range(NamedTuple):
    """What a field may be, both ends included."""

    low: float
    high: float


SHARE = Range(0.0, 1.0)
COUNT = Range(1, 1_000_000)
RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "slots": Range(1, MAX_SHORTLIST_SIZE),
        "width": Range(1, 160),  # of a wider network the bundle would be too long
        "hosts": Range(LEAST_HOSTS, MOST_HOSTS),
        "vms_per_host": Range(1, MOST_VMS_PER_HOST),
        "load": Range(LEAST_LOAD, MOST_LOAD),
        "forecast_share": SHARE,
        "forecast_steps": Range(0, 1_000_000),
        "collect_share": SHARE,
        "imitation_share": SHARE,
        "hindsight": SHARE,
        "rounds": Range(1, 100),
        "days": COUNT,
        "fit_steps": COUNT,
        "batch_size": COUNT,
        "learning_rate": Range(1e-8, 1.0),
        "workers": Range(0, 256),
        "validation_episodes": Range(1, 10_000),
        "validation_hosts": Range(LEAST_HOSTS, MOST_HOSTS),
        "validation_vms_per_host": Range(1, MOST_VMS_PER_HOST),
        "validation_load": Range(LEAST_LOAD, MOST_LOAD),
        "ppo_learning_rate": Range(1e-8, 1.0),
        "ppo_batch_size": Range(2, 1_000_000),
        "ppo_epochs": Range(1, 1000),
        "ppo_rollout": Range(32, 1_000_000),  # two steps of each of 16 clusters
        "ppo_gamma": SHARE,
        "ppo_kl": Range(1e-6, 1e6),
        "ppo_updates": Range(0, 1_000_000),
    }
)
"""Every field that can be set."""


class Kind(NamedTuple):
    """The type of a field: what its value is made of."""

    is_whole: bool
    is_range: bool
    may_be_none: bool

    @property
    def words(self) -> str:
        """For people."""
        number = "a whole number" if self.is_whole else "a number"
        return number + (" or a range FROM,TO" if self.is_range else "") + (" or none" if self.may_be_none else "")


def _kinds() -> dict[str, Kind]:
    """The kinds of all fields that can be set, from their annotations."""
    hints = get_type_hints(TrainConfig)
    names = [field.name for field in fields(TrainConfig) if field.name in RANGES]
    return {
        name: Kind(
            is_whole=hints[name] in (int, int | None, tuple[int, int]),
            is_range=hints[name] in (tuple[int, int], tuple[float, float]),
            may_be_none=hints[name] == int | None,
        )
        for name in names
    }


KINDS = _kinds()


def settings_of(asked: Sequence[str]) -> Config:
    """Fields of `TrainConfig` by name.

    Args:
        asked: texts `KEY=VALUE`; a range is `FROM,TO` (or `FROM-TO`, or one value), and a field that may be left open
            takes `none`.

    Raises:
        QuellError: a key is unknown or set twice, or a value is of the wrong type or out of range.
    """
    found: Config = {}
    for text in asked:
        key, sign, value = (part.strip() for part in text.partition("="))
        if not sign:
            raise QuellError(f"--set {text!r}: must be KEY=VALUE")
        _check_key(key, text)
        if key in found:
            raise QuellError(f"--set {text!r}: {key} is set twice")
        found[key] = _value(key, value)
    return found


def _check_key(key: str, text: str) -> None:
    """Refuses what cannot be set here, with the nearest names."""
    if key in OWN_OPTIONS:
        raise QuellError(f"--set {text!r}: {key} has an option of its own, {OWN_OPTIONS[key]}")
    if key in RANGES:
        return
    near = get_close_matches(key, RANGES, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(RANGES)}"
    raise QuellError(f"--set {text!r}: {key!r} is no setting of a training; {hint}")


def _value(key: str, text: str) -> Any:
    """The value of a field, of its type and within its range."""
    kind = KINDS[key]
    if kind.may_be_none and text.lower() == "none":
        return None
    number = WHOLE if kind.is_whole else rf"{DECIMAL}(?:[eE]-?[0-9]{{1,3}})?"
    match = re.fullmatch(rf"({number})\s*(?:[,-]\s*({number}))?" if kind.is_range else rf"({number})", text)
    allowed = RANGES[key]
    if match is None:
        raise QuellError(f"--set '{key}={text}': {key} must be {kind.words}, from {allowed.low:g} to {allowed.high:,g}")
    ends = [int(end) if kind.is_whole else float(end) for end in match.groups() if end is not None]
    for end in ends:
        if not allowed.low <= end <= allowed.high:
            raise QuellError(f"--set '{key}={text}': {end:,g} is not from {allowed.low:g} to {allowed.high:,g}")
    if ends != sorted(ends):
        raise QuellError(f"--set '{key}={text}': the range must rise, and {ends[0]:g} is more than {ends[1]:g}")
    return (ends[0], ends[-1]) if kind.is_range else ends[0]
