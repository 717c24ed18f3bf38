"""How far trainings of one kind differ: the spread of their costs over training seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from .comparison import Comparison


def spread_of(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, lowest, highest and standard deviation (over n - 1; None of a single value)."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {
        "mean": statistics.fmean(values),
        "low": min(values),
        "high": max(values),
        "standard_deviation": deviation,
    }


def spread_document(comparison: Comparison, planners: Sequence[str]) -> dict[str, Any]:
    """The spread of the interquartile mean costs, and of the differences to the main reference where they all have one.

    Args:
        comparison: all planners.
        planners: those of them that are trainings of one kind, as tables call them.
    """
    costs = {s.planner: s.cost_core_minutes.value for s in comparison.planners}
    document: dict[str, Any] = {
        "planners": list(planners),
        "cost_core_minutes": spread_of([costs[name] for name in planners]),
    }
    percents = [d.percent for name in planners if (d := comparison.difference(name)) and d.percent is not None]
    if len(percents) == len(planners):
        document["difference_percent"] = spread_of(percents)
    return document


def spread_sentence(document: dict[str, Any], against: str | None) -> str:
    """The spread in one line."""
    cost, count = document["cost_core_minutes"], len(document["planners"])
    text = (
        f"Spread over {count} trainings: {cost['mean']:,.0f} core-minutes a day on average, {cost['low']:,.0f} to "
        f"{cost['high']:,.0f}, standard deviation {cost['standard_deviation']:,.0f}"
    )
    difference = document.get("difference_percent")
    if difference is None:
        return f"{text}."
    low, high = difference["low"], difference["high"]
    return f"{text}; against {against} {difference['mean']:+.1f} %, {low:+.1f} to {high:+.1f} %."
