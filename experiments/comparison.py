"""What a comparison of planners says: robust means, intervals, paired differences; and its JSON.

They are worked out in `compare.py`; what may be said of them stands in `verdict.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..env.world.costs import CostTerms
from .bootstrap import Estimate, Interval
from .pairing import METRICS

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
