"""The comparison as HTML tables: all planners, all figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .bootstrap import Estimate, Interval
from .comparison import Comparison, PlannerSummary
from .markup import note
from .terminal import MINUTES_PER_HOUR
from .verdict import lowest_planners, signed_percent


def comparison_tables(comparison: Comparison, learned: str) -> str:
    """All planners with all figures: first what they are judged by, then what it is made of."""
    reference = comparison.against or "the reference"
    how_to_read = (
        "Interquartile means over the test episodes, each a day, with 95 % stratified bootstrap intervals below; each "
        "figure has its own mean, so that terms need not add up. Rules broken is the sum. Bold: the lowest cost of "
        f"those that cannot see the future. Cheaper on: share of the days on which it cost less than {reference}. "
        f"Regret closed: how much of the way from {reference} to clairvoyant, which sees the future."
    )
    judged = [("cost", "core-min"), ("rules broken", ""), ("planning", "CPU s a day")]
    if comparison.against is not None:
        judged[1:1] = [(f"vs {comparison.against}", "%"), ("cheaper on", "% of days"), ("regret closed", "%")]
    terms = [("overload", "core-min"), ("unserved", "core-min"), ("swap", "GiB-min"), ("moved", "GiB")]
    terms += [("moves", ""), ("contended", "host-h")]
    lowest = lowest_planners(comparison)
    rows = [(s, _judged_cells(comparison, s, is_lowest=s.planner in lowest)) for s in comparison.planners]
    first = _table(judged, rows, learned)
    return first + _table(terms, [(s, _term_cells(s)) for s in comparison.planners], learned) + note(how_to_read)


def _table(
    headers: Sequence[tuple[str, str]], rows: Sequence[tuple[PlannerSummary, Sequence[str]]], learned: str
) -> str:
    """A table with the planners down its side; headers are (name, unit)."""
    named = [("planner", ""), *headers]
    head = "".join(f'<th scope="col">{escape(name)}<small>{escape(unit)}</small></th>' for name, unit in named)
    body = "".join(
        f"<tr{' class=learned' if s.planner == learned else ''}><td>{escape(s.planner)}</td>{''.join(cells)}</tr>"
        for s, cells in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _judged_cells(comparison: Comparison, summary: PlannerSummary, *, is_lowest: bool) -> list[str]:
    """Cost, what it is against the reference, rules broken, time to plan."""
    broken = f"<td class=broken>{summary.violations:,}</td>" if summary.violations else "<td>0</td>"
    return [
        _cell(summary.cost_core_minutes, kind="lowest" if is_lowest else ""),
        *(_paired_cells(comparison, summary.planner) if comparison.against is not None else ()),
        broken,
        f"<td>{summary.plan_seconds:,.2f}</td>",
    ]


def _paired_cells(comparison: Comparison, planner: str) -> list[str]:
    """The cells against the reference; dashes for itself and where a figure is not defined."""
    difference = comparison.difference(planner)
    if difference is None:
        return ["<td>-</td>"] * 3
    interval = difference.percent_interval
    below = f"<small>{_bare(interval.low)} to {_bare(interval.high)}</small>" if interval else ""
    better = difference.probability_of_improvement
    regret = difference.regret_closed
    return [
        "<td>-</td>" if difference.percent is None else f"<td>{_bare(difference.percent)}{below}</td>",
        _cell(Estimate(100 * better.value, _scaled(better.interval, 100))),
        "<td>-</td>" if regret is None else f"<td>{100 * regret:,.0f}</td>",
    ]


def _term_cells(summary: PlannerSummary) -> list[str]:
    """The terms of the cost, moves and contention."""
    minutes = summary.contended_host_minutes
    hours = Estimate(minutes.value / MINUTES_PER_HOUR, _scaled(minutes.interval, 1 / MINUTES_PER_HOUR))
    return [
        _cell(summary.overload_core_minutes),
        _cell(summary.unserved_core_minutes),
        _cell(summary.swap_gib_minutes),
        _cell(summary.moved_gib),
        _cell(summary.moves, decimals=1),
        _cell(hours, decimals=1),
    ]


def _cell(estimate: Estimate, decimals: int = 0, kind: str = "") -> str:
    """A figure with its interval below it, unless that is a point."""
    interval = estimate.interval if estimate.interval and estimate.interval.low < estimate.interval.high else None
    below = f"<small>{interval.low:,.{decimals}f} to {interval.high:,.{decimals}f}</small>" if interval else ""
    return f"<td{f' class={kind}' if kind else ''}>{estimate.value:,.{decimals}f}{below}</td>"


def _scaled(interval: Interval | None, factor: float) -> Interval | None:
    return Interval(interval.low * factor, interval.high * factor) if interval else None


def _bare(percent: float) -> str:
    return signed_percent(percent).removesuffix(" %")
