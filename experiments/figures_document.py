"""A document of `quell evaluate --output`, read back: only what is recorded in a bundle, and every figure checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from ..env.model.errors import DocumentError
from .legible import legible_words
from .pairing import METRICS

MAX_BYTES = 64 * 1024**2
SUITE_KEYS = ("workload", "part", "hosts", "vms_per_host", "load", "has_rules", "scenario", "episodes", "seed")
PAIR_FIGURES = ("difference_percent", "probability_of_improvement", "regret_closed")


def read_figures(path: Path) -> dict[str, Any]:
    """A document of `quell evaluate`; its parts are objects, what is in them is not looked at yet.

    Raises:
        DocumentError: the file cannot be read, or is no such document.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DocumentError(f"{path}: is longer than figures of quell evaluate can be")
        document = json.loads(path.read_bytes())
    except OSError as fault:
        raise DocumentError(f"{path} cannot be read: {fault.strerror}") from fault
    except (ValueError, RecursionError) as fault:
        raise DocumentError(f"{path} is no valid JSON: {fault}") from fault
    for key in ("suite", "planners", "pairs", "bundles"):
        if not isinstance(document, dict) or not isinstance(document.get(key), dict):
            raise DocumentError(f"{path}: is no document of quell evaluate --output: it has no object {key!r}")
    return dict(document)


class FiguresReader:
    """Takes figures out of a document; what is missing or no figure is told by its key.

    Args:
        document: as `read_figures` gives it.
        path: of the document, for errors.
    """

    def __init__(self, document: Mapping[str, Any], path: Path) -> None:
        self._document = document
        self._path = path

    def suite(self) -> dict[str, Any]:
        """What was played; of the workload's path the last part only, as the rest is of one machine alone."""
        suite = self._document["suite"]
        for key in SUITE_KEYS:
            if key not in suite:
                raise self._fault(f"suite.{key}", "is missing")
        kind, colon, place = str(suite["workload"]).partition(":")
        return {key: suite[key] for key in SUITE_KEYS} | {"workload": f"{kind}{colon}{PurePath(place).name}"}

    def trace_days(self) -> dict[str, int]:
        """How many days of the trace the episodes are of; nothing where the document does not tell."""
        days = self._document.get("episode_days")
        if days is None:
            return {}
        if not isinstance(days, list) or not all(isinstance(day, str) for day in days):
            raise self._fault("episode_days", "is no list of names")
        return {"trace_days": len(set(days))} if any(days) else {}

    def made_with(self) -> dict[str, str | None]:
        """The Quell that made the figures: its rules and searches are a part of every planner."""
        made = self._object("made_with", self._document.get("made_with"))
        return {key: None if made.get(key) is None else str(made[key]) for key in ("quell_version", "git_commit")}

    def planners(self) -> dict[str, dict[str, Any]]:
        """The figures of every planner, without those of single days."""
        return {name: self._planner(f"planners.{name}", told) for name, told in self._document["planners"].items()}

    def reference(self) -> str | None:
        """The main reference; None where there was none."""
        reference = self._document.get("against")
        if reference is not None and reference not in self._document["pairs"]:
            raise self._fault("against", "is none of the references")
        return reference

    def against(self, planner: str) -> dict[str, dict[str, Any]]:
        """A planner against every reference that it is not itself."""
        pairs = {name: told for name, told in self._document["pairs"].items() if name != planner}
        return {name: self._pair(f"pairs.{name}", told, planner) for name, told in pairs.items()}

    def spread(self, planner: str) -> dict[str, Any] | None:
        """The spread over the trainings that a planner is one of; None where it was not asked for."""
        told = self._document.get("spread")
        if not isinstance(told, dict) or not isinstance(told.get("planners"), list) or planner not in told["planners"]:
            return None
        figures = {key: value for key, value in told.items() if key != "planners"}
        for key, spread in figures.items():
            self._object(f"spread.{key}", spread)
        kept = {
            key: {what: self._number(f"spread.{key}.{what}", number) for what, number in spread.items()}
            for key, spread in figures.items()
        }
        return {"planners": list(told["planners"])} | kept

    def _planner(self, key: str, told: Any) -> dict[str, Any]:
        told = self._object(key, told)
        intervals = self._object(f"{key}.intervals", told.get("intervals"))
        names = (*METRICS, "violations", "plan_seconds")
        return {name: self._number(f"{key}.{name}", told.get(name)) for name in names} | {
            "intervals": {name: self._ends(f"{key}.intervals.{name}", intervals.get(name)) for name in METRICS}
        }

    def _pair(self, key: str, references: Any, planner: str) -> dict[str, Any]:
        pair = self._object(f"{key}.{planner}", self._object(key, references).get(planner))
        figures = {
            name: None if pair.get(name) is None else self._number(f"{key}.{planner}.{name}", pair[name])
            for name in PAIR_FIGURES
        }
        names = ("interval_percent", "interval_by_day_percent")
        told = [name for name in names if name in pair or name == names[0]]  # the second is younger than some documents
        return figures | {name: self._ends(f"{key}.{planner}.{name}", pair.get(name)) for name in told}

    def _object(self, key: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._fault(key, "is no object")
        return value

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._fault(key, "is no finite number")
        return value

    def _ends(self, key: str, value: Any) -> list[float | None]:
        """Low and high; both None where there is no interval."""
        if value == [None, None]:
            return [None, None]
        if not isinstance(value, list) or len(value) != 2:
            raise self._fault(key, "is no pair of low and high")
        return [self._number(key, end) for end in value]

    def _fault(self, key: str, what: str) -> DocumentError:
        return DocumentError(f"{self._path}: is no document of quell evaluate --output: {legible_words(key)} {what}")
