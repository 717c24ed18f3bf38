"""What may be said of a comparison, in sentences: no winner is claimed that the figures do not show."""

from __future__ import annotations

from collections.abc import Sequence

from .bootstrap import Interval
from .comparison import YARDSTICK, Comparison, PairedDifference

CLAIM_EPISODES = 6  # with fewer, even if every pair agrees, chance alone does that in over 5 % of cases: 2 * 0.5 ** 5
FORESEEING = frozenset({YARDSTICK})  # planners that see the future; they can win nothing


def verdict(comparison: Comparison, learned: str = "learned") -> str:
    """One sentence: who cost least of those that cannot see the future, and if the learned policy beats the reference.

    Args:
        comparison: the figures.
        learned: the learned policy's name in it.
    """
    parts = [_lowest(comparison)]
    difference = comparison.difference(learned)
    if difference is not None:
        parts.append(finding(comparison, difference))
    elif comparison.summary(learned) is not None and comparison.against is None:
        parts.append(f"{_subject(learned)} has no reference to be compared with")
    return _sentence("; ".join(parts))


def findings(comparison: Comparison) -> tuple[str, ...]:
    """One sentence for each planner against the reference, wins and losses alike, the cheapest first."""
    ranked = sorted(comparison.paired, key=lambda d: d.core_minutes.value)
    return tuple(_sentence(finding(comparison, difference)) for difference in ranked)


def finding(comparison: Comparison, difference: PairedDifference) -> str:
    """How a planner did against the reference, without the full stop."""
    return (
        f"{_subject(difference.planner)} cost {_amount(difference, str(comparison.against))} "
        f"({_basis(comparison, difference)}): {_claim(comparison.episodes, difference)}"
    )


def lowest_planners(comparison: Comparison) -> tuple[str, ...]:
    """The planner with the lowest cost of those that cannot see the future; several where they are equal."""
    competitors = [s for s in comparison.planners if s.planner not in FORESEEING]
    least = min((s.cost_core_minutes.value for s in competitors), default=0.0)
    return tuple(s.planner for s in competitors if s.cost_core_minutes.value == least)


def signed_percent(percent: float) -> str:
    """A percentage with its sign and one decimal; 0 has no sign."""
    rounded = round(percent, 1)
    return f"{rounded:+,.1f} %" if rounded else "0.0 %"


def _sentence(text: str) -> str:
    """The text with its full stop and, unless it begins with a planner's name, a capital letter."""
    begins_with_word = text.startswith(("of ", "every ", "the "))
    return f"{text[0].upper() if begins_with_word else text[0]}{text[1:]}."


def _lowest(comparison: Comparison) -> str:
    """Who cost least, told of those that compete."""
    lowest = lowest_planners(comparison)
    if not lowest:
        return "every planner in this comparison sees the future, so none can win"
    least = min(s.cost_core_minutes.value for s in comparison.planners if s.planner in lowest)
    names = _listed(lowest)
    return f"of the planners that cannot see the future, {names} had the lowest cost ({least:,.0f} core-minutes)"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} together"


def _subject(planner: str) -> str:
    if planner in FORESEEING:
        return f"{planner}, which sees the future,"
    return "the learned policy" if planner == "learned" else planner


def _amount(difference: PairedDifference, against: str) -> str:
    """`12.3 % less than ads`; core-minutes where the reference costs nothing."""
    if difference.core_minutes.value == 0:
        return f"the same as {against}"
    word = "less" if difference.core_minutes.value < 0 else "more"
    if difference.percent is None:
        return f"{abs(difference.core_minutes.value):,.1f} core-minutes {word} than {against}, which cost nothing"
    return f"{abs(difference.percent):,.1f} % {word} than {against}"


def _basis(comparison: Comparison, difference: PairedDifference) -> str:
    """The interval and the number of episodes."""
    episodes = "1 episode" if comparison.episodes == 1 else f"{comparison.episodes} episodes"
    if difference.percent_interval:
        return f"95 % interval {_range(difference.percent_interval)}, {episodes}"
    if difference.core_minutes.interval:
        interval = difference.core_minutes.interval
        return f"95 % interval {interval.low:+,.1f} to {interval.high:+,.1f} core-minutes, {episodes}"
    return f"{episodes}, which defines no interval"


def _range(interval: Interval) -> str:
    return f"{signed_percent(interval.low)} to {signed_percent(interval.high)}"


def _claim(episodes: int, difference: PairedDifference) -> str:
    """What the interval allows to say."""
    if episodes < 2:
        return "no winner is claimed"
    if not difference.excludes_zero:
        return "the interval includes 0, so no winner is claimed"
    if episodes < CLAIM_EPISODES:
        return f"the interval excludes 0, but with fewer than {CLAIM_EPISODES} episodes no winner is claimed"
    return "the interval excludes 0"
