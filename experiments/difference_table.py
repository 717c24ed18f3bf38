"""A comparison with several references as text: one table of figures, one of differences for each reference."""

from __future__ import annotations

from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from .bootstrap import Interval
from .comparison import Comparison, PairedDifference, short_name
from .terminal import comparison_table, console, table_note
from .verdict import CLAIM_EPISODES, finding, signed_percent, verdict

HOW_TO_READ = (
    "Differences of interquartile means on the same days. The interval is about chance in building the clusters; below "
    "it, by trace day: the same where whole days of the trace are drawn, {days} here, as clusters of one day hold much "
    "the same VMs. Cheaper: on which share of the days, ties half. Regret closed: how much of the way from the "
    "reference to clairvoyant, which sees the future. Shown: what the 95 % interval of the difference allows to say, "
    f"from {CLAIM_EPISODES} episodes on."
)


def print_differences(comparison: Comparison, learned: str = "learned") -> None:
    """All figures, then the differences to each reference, then who cost least and how the learned policy did."""
    console.print(comparison_table(replace(comparison, references=()), console.width))
    console.print(Text(table_note(comparison), style="dim"))
    for one in comparison.by_reference():
        console.print()
        console.print(difference_table(one))
    if comparison.references:
        console.print(Text(HOW_TO_READ.format(days=comparison.trace_days), style="dim"))
    console.print()
    console.print(Text(verdict(comparison, learned), style="bold"))
    for one in comparison.by_reference()[1:]:
        difference = one.difference(learned)
        if difference is not None:
            console.print(Text(f"{finding(one, difference)}.", style="bold"))


def difference_table(comparison: Comparison) -> Table:
    """One row for each planner against the main reference."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("planner\n", no_wrap=True)
    for header in (
        f"cost vs {short_name(str(comparison.against))}\n%",
        "95 % interval\nby trace day, %",
        "cheaper\n% of days",
        "regret closed\n%",
        "shown\n",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    for difference in comparison.paired:
        style = "bold" if difference.planner == "learned" else ""
        table.add_row(*_cells(comparison, difference), style=style)
    return table


def _cells(comparison: Comparison, difference: PairedDifference) -> tuple[str, ...]:
    """The cells of one planner; a dash for what is not defined."""
    regret, by_day = difference.regret_closed, difference.percent_interval_by_day
    intervals = (difference.percent_interval, *((by_day,) if by_day else ()))
    return (
        short_name(difference.planner),
        _bare(difference.percent),
        "\n".join(_ends(interval) for interval in intervals),
        f"{100 * difference.probability_of_improvement.value:.0f}",
        "-" if regret is None else f"{100 * regret:,.0f}",
        _shown(comparison, difference),
    )


def _shown(comparison: Comparison, difference: PairedDifference) -> str:
    """`cheaper` or `dearer` where the interval says so and there are episodes enough."""
    if not difference.excludes_zero or comparison.episodes < CLAIM_EPISODES:
        return "-"
    return "cheaper" if difference.core_minutes.value < 0 else "dearer"


def _ends(interval: Interval | None) -> str:
    return f"{_bare(interval.low)} to {_bare(interval.high)}" if interval else "-"


def _bare(percent: float | None) -> str:
    return "-" if percent is None else signed_percent(percent).removesuffix(" %")
