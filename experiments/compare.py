"""Compares planners over the same days; the statistics stand in `bootstrap.py`, what comes out in `comparison.py`.

Shapes: E episodes, T trainings of a planner (1 for one that is not trained), N = T * E results of it, B resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import NamedTuple

import numpy as np

from ..env.world.costs import CostTerms
from ..env.world.rounds import EpisodeResult
from .bootstrap import (
    DayDraw,
    Draw,
    Estimate,
    FloatArray,
    Interval,
    boot_means,
    cut_of,
    interquartile_mean,
    interval_of,
)
from .comparison import YARDSTICK, Comparison, PairedDifference, PlannerSummary, Reference
from .pairing import METRICS, PairedResults, Results

RESAMPLES = 10_000


def compare(
    results: Results, *, against: str | Sequence[str] = "ads", resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compares planners on one suite.

    Args:
        results: the episodes of each planner, in any order, paired by seed. A planner that was trained several times
            has each seed as many times; the n-th result of every seed is its n-th training's.
        against: the planner or planners that the others are compared with, the main one first; those that did not run
            are left out.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        QuellError: there is nothing to compare, or the planners' seeds are not the same.
    """
    return compare_suites({"": results}, against=against, resamples=resamples, seed=seed)


def compare_suites(
    suites: Mapping[str, Results], *, against: str | Sequence[str] = "ads", resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compares planners on several suites at once, each a stratum; see `compare`. Their costs should be of one size."""
    table = PairedResults.of(suites)
    draw, by_day = Draw(table.suite_E, resamples, seed), DayDraw(table.suite_E, table.day_E, seed)
    chances: dict[str, _Chance] = {}
    summaries = []
    for planner, results_TE in table.results.items():
        cost_TE = np.array([[r.costs.total for r in results_E] for results_E in results_TE])
        summary, boot_B = _summarize(planner, results_TE, cost_TE, draw)
        summaries.append(summary)
        chances[planner] = _Chance(planner, summary.cost_core_minutes.value, cost_TE, boot_B, by_day.means(cost_TE))
    references = []
    for name in (against,) if isinstance(against, str) else against:
        if name in table.results:
            possible = chances[name].cost - chances[YARDSTICK].cost if YARDSTICK in chances else 0.0
            others = (own for own in chances.values() if own.planner != name)
            paired = (_difference(own, chances[name], possible, draw, by_day.days) for own in others)
            references.append(Reference(name, tuple(paired)))
    return Comparison(tuple(summaries), tuple(references), table.seeds, table.day_E)


class _Chance(NamedTuple):
    """The cost of a planner, core-minutes: its interquartile mean, that of each episode, and means of the resamples.

    Attributes:
        cost_TE: of each episode under each training.
        boot_B: of resamples of episodes.
        by_day_B: of resamples of the days of the trace.
    """

    planner: str
    cost: float
    cost_TE: FloatArray
    boot_B: FloatArray
    by_day_B: FloatArray


def _summarize(
    planner: str, results_TE: list[list[EpisodeResult]], cost_TE: FloatArray, draw: Draw
) -> tuple[PlannerSummary, FloatArray]:
    """The figures of one planner, and its bootstrapped costs, shape (B,)."""
    results = [r for results_E in results_TE for r in results_E]
    trainings, episodes = cost_TE.shape
    count_NB = draw.of_trainings(trainings)
    estimates, boots = {}, {}
    for name, metric in METRICS.items():
        values_N = np.array([metric(r) for r in results], dtype=np.float64)
        boots[name] = boot_means(values_N, count_NB)
        estimates[name] = Estimate(interquartile_mean(values_N), interval_of(boots[name], episodes))
    summary = PlannerSummary(
        planner=planner,
        plan_seconds=interquartile_mean(np.array([r.plan_seconds for r in results], dtype=np.float64)),
        violations=sum(r.violations for r in results),
        middle_terms=_middle_terms(results),
        episode_costs=tuple(float(cost) for cost in cost_TE.mean(axis=0)),
        trainings=trainings,
        **estimates,
    )
    return summary, boots["cost_core_minutes"]


def _middle_terms(results: Sequence[EpisodeResult]) -> CostTerms:
    """The mean of each term over the episodes whose costs make the interquartile mean."""
    cut = cut_of(len(results))
    middle = sorted(results, key=lambda r: r.costs.total)[cut : len(results) - cut]
    return CostTerms(*np.mean([astuple(r.costs) for r in middle], axis=0).tolist())


def _improved_E(cost_TE: FloatArray, reference_TE: FloatArray) -> FloatArray:
    """Share of pairs in each episode in which the planner cost less than the reference, ties half; shape (E,)."""
    cost_T1E, reference_1TE = cost_TE[:, None, :], reference_TE[None, :, :]
    return np.asarray(((cost_T1E < reference_1TE) + 0.5 * (cost_T1E == reference_1TE)).mean(axis=(0, 1)))


def _difference(own: _Chance, reference: _Chance, possible: float, draw: Draw, days: int) -> PairedDifference:
    """One planner against the reference, which the yardstick undercuts by what is possible, core-minutes."""
    improved_E, is_free = _improved_E(own.cost_TE, reference.cost_TE), reference.cost == 0
    episodes = improved_E.size
    return PairedDifference(
        planner=own.planner,
        core_minutes=Estimate(own.cost - reference.cost, interval_of(own.boot_B - reference.boot_B, episodes)),
        percent=None if is_free else 100 * (own.cost / reference.cost - 1),
        percent_interval=None if is_free else _percent_interval(own.boot_B, reference.boot_B, episodes),
        percent_interval_by_day=None if is_free else _percent_interval(own.by_day_B, reference.by_day_B, days),
        probability_of_improvement=Estimate(
            float(improved_E.mean()), interval_of(improved_E @ draw.count_EB / episodes, episodes)
        ),
        regret_closed=(reference.cost - own.cost) / possible if possible > 0 else None,
    )


def _percent_interval(own_B: FloatArray, reference_B: FloatArray, size: int) -> Interval | None:
    """How much dearer than the reference, percent; None where that costs nothing in some resample."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return interval_of(100 * (own_B / reference_B - 1), size)
