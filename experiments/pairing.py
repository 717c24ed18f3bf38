"""The results of several planners in one order, so that they can be compared episode by episode."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..env.model.errors import QuellError
from ..env.world.rounds import EpisodeResult

Results = Mapping[str, Sequence[EpisodeResult]]

METRICS: dict[str, Callable[[EpisodeResult], float]] = {
    "cost_core_minutes": lambda r: r.costs.total,
    "overload_core_minutes": lambda r: r.costs.overload_core_minutes,
    "unserved_core_minutes": lambda r: r.costs.unserved_core_minutes,
    "swap_gib_minutes": lambda r: r.costs.swap_gib_minutes,
    "moved_gib": lambda r: r.costs.migration_gib,
    "moves": lambda r: r.moves,
    "contended_host_minutes": lambda r: r.contended_host_minutes,
}
"""What is averaged for each planner, with an interval: the fields of `PlannerSummary` of that name."""


@dataclass(frozen=True, eq=False)
class PairedResults:
    """The results in one order: for each planner the episodes of each training.

    Attributes:
        seeds: suite and seed of each episode.
        suite_E: the suite alone.
        day_E: the day of the trace.
        results: by planner, training and episode.
    """

    seeds: tuple[tuple[str, int], ...]
    suite_E: tuple[str, ...]
    day_E: tuple[str, ...]
    results: dict[str, list[list[EpisodeResult]]]

    @staticmethod
    def of(suites: Mapping[str, Results]) -> PairedResults:
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
        return PairedResults(
            seeds,
            suite_E=tuple(suite for suite, _ in seeds),
            day_E=tuple(found[planners[0]][key][0].day_name for key in seeds),
            results={p: _by_training(p, found[p], seeds) for p in planners},
        )


def _named(suite: str, seed: int) -> str:
    return f"seed {seed}" + (f" of suite {suite!r}" if suite else "")


def _check_finite(planner: str, result: EpisodeResult) -> None:
    for name, metric in METRICS.items():
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
