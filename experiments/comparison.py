"""Planners compared over the same days: robust means, intervals, paired differences, and what may be claimed from them.

The statistics stand in `bootstrap.py`, what may be said of them in `verdict.py`.
Shapes: E episodes, T trainings of a planner (1 for one that is not trained), N = T * E results of it, B resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
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
from .pairing import METRICS, PairedResults, Results

RESAMPLES = 10_000
LONGEST_NAME = 16  # letters of a planner's name in tables and axes
YARDSTICK = "clairvoyant"  # what regret is measured against


def short_name(name: str) -> str:
    """The end of a long name (of a path the file), for tables and axes."""
    return name if len(name) <= LONGEST_NAME else f"...{name[3 - LONGEST_NAME :]}"


@dataclass(frozen=True)
class PlannerSummary:
    """One planner over all episodes. Figures are interquartile means, each of its own: the terms need not add up.

    Attributes:
        planner: its name.
        cost_core_minutes: the total cost.
        overload_core_minutes, unserved_core_minutes, swap_gib_minutes: terms of the cost.
        moved_gib: the fourth term, memory copied.
        moves, contended_host_minutes: as in `EpisodeResult`.
        plan_seconds: CPU time of all its plans of a day.
        violations: rules broken, the sum over all episodes.
        middle_terms: the mean terms of the middle half of its episodes by cost; these do add up to the cost.
        episode_costs: the cost of each episode, in the order of `Comparison.seeds`, the mean over trainings.
        trainings: how many trained versions of it took part; 1 for a planner that is not trained.
    """

    planner: str
    cost_core_minutes: Estimate
    overload_core_minutes: Estimate
    unserved_core_minutes: Estimate
    swap_gib_minutes: Estimate
    moved_gib: Estimate
    moves: Estimate
    contended_host_minutes: Estimate
    plan_seconds: float
    violations: int
    middle_terms: CostTerms
    episode_costs: tuple[float, ...]
    trainings: int


@dataclass(frozen=True)
class PairedDifference:
    """One planner against the reference on the same episodes; negative differences are savings.

    Attributes:
        planner: its name.
        core_minutes: difference of the two costs.
        percent: the same in percent of the reference's cost; None where the reference costs nothing.
        percent_interval: None with one episode, and where the reference costs nothing in some resample.
        percent_interval_by_day: the same where whole days of the trace are drawn; None with one day.
        probability_of_improvement: share of episodes in which it cost less; ties count half.
        regret_closed: (reference - planner) / (reference - clairvoyant); None unless clairvoyant costs less.
    """

    planner: str
    core_minutes: Estimate
    percent: float | None
    percent_interval: Interval | None
    percent_interval_by_day: Interval | None
    probability_of_improvement: Estimate
    regret_closed: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        interval = self.percent_interval or self.core_minutes.interval
        return interval is not None and interval.excludes_zero


@dataclass(frozen=True)
class Reference:
    """A planner that the others are compared with.

    Attributes:
        name: of the planner.
        paired: every other planner against it.
    """

    name: str
    paired: tuple[PairedDifference, ...]


@dataclass(frozen=True)
class Comparison:
    """All planners, and each against one or more references.

    Attributes:
        planners: in the order they were given.
        references: those of them that the others are compared with, the main one first.
        seeds: the episodes, as (suite, seed); the suite is "" where there is one only.
        days: the day of the trace of each episode.
    """

    planners: tuple[PlannerSummary, ...]
    references: tuple[Reference, ...]
    seeds: tuple[tuple[str, int], ...]
    days: tuple[str, ...]

    @property
    def against(self) -> str | None:
        """The main reference's name; None where it did not run."""
        return self.references[0].name if self.references else None

    @property
    def paired(self) -> tuple[PairedDifference, ...]:
        """Every other planner against the main reference."""
        return self.references[0].paired if self.references else ()

    @property
    def episodes(self) -> int:
        """How many different episodes there were."""
        return len(self.seeds)

    @property
    def trace_days(self) -> int:
        """How many different days of the trace the episodes are of."""
        return len({(suite, day) for (suite, _), day in zip(self.seeds, self.days, strict=True)})

    def summary(self, planner: str) -> PlannerSummary | None:
        """What one planner did, if it took part."""
        return next((s for s in self.planners if s.planner == planner), None)

    def difference(self, planner: str) -> PairedDifference | None:
        """One planner against the main reference; None for the reference itself."""
        return next((d for d in self.paired if d.planner == planner), None)

    def by_reference(self) -> tuple[Comparison, ...]:
        """The same planners, once for each reference, which is then the only one."""
        return tuple(replace(self, references=(reference,)) for reference in self.references)

    def to_json(self) -> dict[str, object]:
        """The figures as `quell evaluate --json` prints them; what is not defined is null."""
        planners = {s.planner: _summary_document(s) for s in self.planners}
        pairs = {r.name: {d.planner: _difference_document(d) for d in r.paired} for r in self.references}
        paired = pairs[self.against] if self.against is not None else {}
        return {
            "planners": planners,
            "against": self.against,
            "paired": paired,
            "pairs": pairs,
            "episode_days": list(self.days),
        }


def _summary_document(summary: PlannerSummary) -> dict[str, object]:
    """The figures of one planner, and their 95 % intervals under the same names."""
    estimates: dict[str, Estimate] = {name: getattr(summary, name) for name in METRICS}
    return {name: estimate.value for name, estimate in estimates.items()} | {
        "violations": summary.violations,
        "episodes": list(summary.episode_costs),
        "intervals": {name: _ends(estimate.interval) for name, estimate in estimates.items()},
        "plan_seconds": summary.plan_seconds,
    }


def _difference_document(difference: PairedDifference) -> dict[str, object]:
    """One planner against a reference."""
    return {
        "difference_percent": difference.percent,
        "interval_percent": _ends(difference.percent_interval),
        "interval_by_day_percent": _ends(difference.percent_interval_by_day),
        "probability_of_improvement": difference.probability_of_improvement.value,
        "regret_closed": difference.regret_closed,
    }


def _ends(interval: Interval | None) -> list[float | None]:
    """Low and high; twice null where there is no interval."""
    return [interval.low, interval.high] if interval else [None, None]


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
        summary, boot_B = _summarize(planner, results_TE, draw)
        summaries.append(summary)
        by_day_B = by_day.means(_costs_TE(results_TE))
        chances[planner] = _Chance(planner, summary.cost_core_minutes.value, boot_B, by_day_B, by_day.days)
    references = []
    for name in (against,) if isinstance(against, str) else against:
        if name in table.results:
            others = {p: _improved_E(table.results[p], table.results[name]) for p in table.results if p != name}
            paired = (
                _difference(chances[p], chances[name], chances, improved_E, draw) for p, improved_E in others.items()
            )
            references.append(Reference(name, tuple(paired)))
    return Comparison(tuple(summaries), tuple(references), table.seeds, table.day_E)


class _Chance(NamedTuple):
    """The cost of a planner, core-minutes: its interquartile mean, and those of the resamples.

    Attributes:
        boot_B: of episodes.
        by_day_B: of the days of the trace, of which there are `days`.
    """

    planner: str
    cost: float
    boot_B: FloatArray
    by_day_B: FloatArray
    days: int


def _costs_TE(results_TE: list[list[EpisodeResult]]) -> FloatArray:
    """Cost of each episode under each training, core-minutes; shape (T, E)."""
    return np.array([[r.costs.total for r in results_E] for results_E in results_TE])


def _summarize(planner: str, results_TE: list[list[EpisodeResult]], draw: Draw) -> tuple[PlannerSummary, FloatArray]:
    """The figures of one planner, and its bootstrapped costs, shape (B,)."""
    results = [r for results_E in results_TE for r in results_E]
    trainings, episodes = len(results_TE), len(results_TE[0])
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
        episode_costs=tuple(float(cost) for cost in _costs_TE(results_TE).mean(axis=0)),
        trainings=trainings,
        **estimates,
    )
    return summary, boots["cost_core_minutes"]


def _middle_terms(results: Sequence[EpisodeResult]) -> CostTerms:
    """The mean of each term over the episodes whose costs make the interquartile mean."""
    cut = cut_of(len(results))
    middle = sorted(results, key=lambda r: r.costs.total)[cut : len(results) - cut]
    return CostTerms(*np.mean([astuple(r.costs) for r in middle], axis=0).tolist())


def _improved_E(results_TE: list[list[EpisodeResult]], reference_TE: list[list[EpisodeResult]]) -> FloatArray:
    """Share of pairs in each episode in which the planner cost less than the reference, ties half; shape (E,)."""
    cost_T1E, reference_1TE = _costs_TE(results_TE)[:, None, :], _costs_TE(reference_TE)[None, :, :]
    return np.asarray(((cost_T1E < reference_1TE) + 0.5 * (cost_T1E == reference_1TE)).mean(axis=(0, 1)))


def _difference(
    own: _Chance, reference: _Chance, chances: Mapping[str, _Chance], improved_E: FloatArray, draw: Draw
) -> PairedDifference:
    """One planner against the reference."""
    episodes, is_free = improved_E.size, reference.cost == 0
    possible = reference.cost - chances[YARDSTICK].cost if YARDSTICK in chances else 0.0
    return PairedDifference(
        planner=own.planner,
        core_minutes=Estimate(own.cost - reference.cost, interval_of(own.boot_B - reference.boot_B, episodes)),
        percent=None if is_free else 100 * (own.cost / reference.cost - 1),
        percent_interval=None if is_free else _percent_interval(own.boot_B, reference.boot_B, episodes),
        percent_interval_by_day=None if is_free else _percent_interval(own.by_day_B, reference.by_day_B, own.days),
        probability_of_improvement=Estimate(
            float(improved_E.mean()), interval_of(improved_E @ draw.count_EB / episodes, episodes)
        ),
        regret_closed=(reference.cost - own.cost) / possible if possible > 0 else None,
    )


def _percent_interval(own_B: FloatArray, reference_B: FloatArray, size: int) -> Interval | None:
    """How much dearer than the reference, percent; None where that costs nothing in some resample."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return interval_of(100 * (own_B / reference_B - 1), size)
