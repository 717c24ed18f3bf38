"""Planners compared over the same days: robust means, intervals, paired differences, and what may be claimed from them.

The statistics stand in `bootstrap.py`, what may be said of them in `verdict.py`.
Shapes: E episodes, T trainings of a planner (1 for one that is not trained), N = T * E results of it, B resamples.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from ..env.model.errors import QuellError
from ..env.world.costs import CostTerms
from ..env.world.rounds import EpisodeResult
from .bootstrap import Draw, Estimate, FloatArray, Interval, boot_means, cut_of, interquartile_mean, interval_of

Results = Mapping[str, Sequence[EpisodeResult]]

RESAMPLES = 10_000
LONGEST_NAME = 16  # letters of a planner's name in tables and axes
YARDSTICK = "clairvoyant"  # what regret is measured against

# What is averaged for each planner, with an interval: the fields of `PlannerSummary` of that name.
_METRICS: dict[str, Callable[[EpisodeResult], float]] = {
    "cost_core_minutes": lambda r: r.costs.total,
    "overload_core_minutes": lambda r: r.costs.overload_core_minutes,
    "unserved_core_minutes": lambda r: r.costs.unserved_core_minutes,
    "swap_gib_minutes": lambda r: r.costs.swap_gib_minutes,
    "moved_gib": lambda r: r.costs.migration_gib,
    "moves": lambda r: r.moves,
    "contended_host_minutes": lambda r: r.contended_host_minutes,
}


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
        probability_of_improvement: share of episodes in which it cost less; ties count half.
        regret_closed: (reference - planner) / (reference - clairvoyant); None unless clairvoyant costs less.
    """

    planner: str
    core_minutes: Estimate
    percent: float | None
    percent_interval: Interval | None
    probability_of_improvement: Estimate
    regret_closed: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        interval = self.percent_interval or self.core_minutes.interval
        return interval is not None and interval.excludes_zero


@dataclass(frozen=True)
class Comparison:
    """All planners, and each against the reference.

    Attributes:
        planners: in the order they were given.
        against: the reference's name; None where it did not run.
        paired: every other planner against the reference.
        seeds: the episodes, as (suite, seed); the suite is "" where there is one only.
    """

    planners: tuple[PlannerSummary, ...]
    against: str | None
    paired: tuple[PairedDifference, ...]
    seeds: tuple[tuple[str, int], ...]

    @property
    def episodes(self) -> int:
        """How many different episodes there were."""
        return len(self.seeds)

    def summary(self, planner: str) -> PlannerSummary | None:
        """What one planner did, if it took part."""
        return next((s for s in self.planners if s.planner == planner), None)

    def difference(self, planner: str) -> PairedDifference | None:
        """One planner against the reference; None for the reference itself."""
        return next((d for d in self.paired if d.planner == planner), None)

    def to_json(self) -> dict[str, object]:
        """The document `quell evaluate --json` prints; what is not defined is null."""
        planners: dict[str, object] = {}
        for s in self.planners:
            figures: dict[str, object] = {name: getattr(s, name).value for name in _METRICS}
            planners[s.planner] = figures | {"violations": s.violations, "episodes": list(s.episode_costs)}
        paired = {
            d.planner: {
                "difference_percent": d.percent,
                "interval_percent": list(astuple(d.percent_interval)) if d.percent_interval else [None, None],
                "probability_of_improvement": d.probability_of_improvement.value,
                "regret_closed": d.regret_closed,
            }
            for d in self.paired
        }
        return {"planners": planners, "against": self.against, "paired": paired}


def compare(results: Results, *, against: str = "ads", resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Compares planners on one suite.

    Args:
        results: the episodes of each planner, in any order, paired by seed. A planner that was trained several times
            has each seed as many times; the n-th result of every seed is its n-th training's.
        against: the planner that the others are compared with.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        QuellError: there is nothing to compare, or the planners' seeds are not the same.
    """
    return compare_suites({"": results}, against=against, resamples=resamples, seed=seed)


def compare_suites(
    suites: Mapping[str, Results], *, against: str = "ads", resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compares planners on several suites at once, each a stratum; see `compare`. Their costs should be of one size."""
    table = _Table.of(suites)
    draw = Draw(table.suite_E, resamples, seed)
    boot_cost: dict[str, FloatArray] = {}
    summaries = []
    for planner, results_TE in table.results.items():
        summary, boot_cost[planner] = _summarize(planner, results_TE, draw)
        summaries.append(summary)
    paired: tuple[PairedDifference, ...] = ()
    if against in table.results:
        costs = {s.planner: s.cost_core_minutes.value for s in summaries}
        others = [p for p in table.results if p != against]
        improved = {p: _improved_E(table.results[p], table.results[against]) for p in others}
        paired = tuple(_difference(p, against, costs, boot_cost, improved[p], draw) for p in others)
    return Comparison(tuple(summaries), against if against in table.results else None, paired, table.seeds)


@dataclass(frozen=True, eq=False)
class _Table:
    """The results in one order: for each planner the episodes of each training."""

    seeds: tuple[tuple[str, int], ...]
    suite_E: tuple[str, ...]
    results: dict[str, list[list[EpisodeResult]]]

    @staticmethod
    def of(suites: Mapping[str, Results]) -> _Table:
        """Pairs the results by suite and seed.

        Raises:
            QuellError: they do not pair.
        """
        planners = list(dict.fromkeys(planner for results in suites.values() for planner in results))
        if not planners:
            raise QuellError("comparison: there is no planner to compare")
        found: dict[str, dict[tuple[str, int], list[EpisodeResult]]] = {planner: {} for planner in planners}
        for suite, results in suites.items():
            for planner, episodes in results.items():
                for result in episodes:
                    _check_finite(planner, result)
                    found[planner].setdefault((suite, result.seed), []).append(result)
        seeds = tuple(found[planners[0]])
        if not seeds:
            raise QuellError(f"comparison: planner {planners[0]!r} has no episode")
        for planner in planners[1:]:
            _check_pairs(planners[0], found[planners[0]], planner, found[planner])
        return _Table(
            seeds, tuple(suite for suite, _ in seeds), {p: _by_training(p, found[p], seeds) for p in planners}
        )


def _named(suite: str, seed: int) -> str:
    return f"seed {seed}" + (f" of suite {suite!r}" if suite else "")


def _check_finite(planner: str, result: EpisodeResult) -> None:
    for name, metric in _METRICS.items():
        if not math.isfinite(metric(result)):
            raise QuellError(f"comparison: {name} of planner {planner!r}, seed {result.seed}, is {metric(result)}")


def _check_pairs(
    first: str, of_first: Mapping[tuple[str, int], object], other: str, of_other: Mapping[tuple[str, int], object]
) -> None:
    """Refuses two planners that did not play the same episodes."""
    for has, those, lacks, these in ((first, of_first, other, of_other), (other, of_other, first, of_first)):
        for suite, seed in those:
            if (suite, seed) not in these:
                raise QuellError(
                    f"comparison: planner {lacks!r} lacks the episode with {_named(suite, seed)}, which {has!r} has; "
                    "all must play the same episodes"
                )


def _by_training(
    planner: str, found: Mapping[tuple[str, int], list[EpisodeResult]], seeds: Sequence[tuple[str, int]]
) -> list[list[EpisodeResult]]:
    """The results of a planner, one list of E for each training."""
    counts = Counter({key: len(found[key]) for key in seeds})
    (most, most_times), (least, least_times) = counts.most_common()[0], counts.most_common()[-1]
    if most_times != least_times:
        raise QuellError(
            f"comparison: planner {planner!r} has {_named(*most)} {most_times} times "
            f"and {_named(*least)} {least_times}; every training must play every episode"
        )
    return [[found[key][t] for key in seeds] for t in range(most_times)]


def _summarize(planner: str, results_TE: list[list[EpisodeResult]], draw: Draw) -> tuple[PlannerSummary, FloatArray]:
    """The figures of one planner, and its bootstrapped costs, shape (B,)."""
    results = [r for results_E in results_TE for r in results_E]
    trainings, episodes = len(results_TE), len(results_TE[0])
    count_NB = draw.of_trainings(trainings)
    estimates, boots = {}, {}
    for name, metric in _METRICS.items():
        values_N = np.array([metric(r) for r in results], dtype=np.float64)
        boots[name] = boot_means(values_N, count_NB)
        estimates[name] = Estimate(interquartile_mean(values_N), interval_of(boots[name], episodes))
    costs_TE = np.array([r.costs.total for r in results]).reshape(trainings, episodes)
    summary = PlannerSummary(
        planner=planner,
        plan_seconds=interquartile_mean(np.array([r.plan_seconds for r in results], dtype=np.float64)),
        violations=sum(r.violations for r in results),
        middle_terms=_middle_terms(results),
        episode_costs=tuple(float(cost) for cost in costs_TE.mean(axis=0)),
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
    cost_T1E = np.array([[r.costs.total for r in results_E] for results_E in results_TE])[:, None, :]
    reference_1TE = np.array([[r.costs.total for r in results_E] for results_E in reference_TE])[None, :, :]
    return np.asarray(((cost_T1E < reference_1TE) + 0.5 * (cost_T1E == reference_1TE)).mean(axis=(0, 1)))


def _difference(
    planner: str,
    against: str,
    cost: Mapping[str, float],
    boot_cost: Mapping[str, FloatArray],
    improved_E: FloatArray,
    draw: Draw,
) -> PairedDifference:
    """One planner against the reference."""
    episodes = improved_E.size
    with np.errstate(divide="ignore", invalid="ignore"):
        boot_percent = 100 * (boot_cost[planner] / boot_cost[against] - 1)
    boot_improved = improved_E @ draw.count_EB / episodes
    possible = cost[against] - cost[YARDSTICK] if YARDSTICK in cost else 0.0
    is_free = cost[against] == 0
    return PairedDifference(
        planner=planner,
        core_minutes=Estimate(
            cost[planner] - cost[against], interval_of(boot_cost[planner] - boot_cost[against], episodes)
        ),
        percent=None if is_free else 100 * (cost[planner] / cost[against] - 1),
        percent_interval=None if is_free else interval_of(boot_percent, episodes),
        probability_of_improvement=Estimate(float(improved_E.mean()), interval_of(boot_improved, episodes)),
        regret_closed=(cost[against] - cost[planner]) / possible if possible > 0 else None,
    )
