"""What people see in a terminal: tables, progress, notices.

Figures go to standard output, everything else to standard error.
Piped output has no colour codes, no bars, and a fixed width, so that it reads the same in a file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleDimensions, Group
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .bootstrap import Estimate
from .comparison import Comparison, PairedDifference, short_name
from .verdict import verdict

PIPED_WIDTH = 100
DECIMALS_UP_TO_PERCENT = 100
MINUTES_PER_HOUR = 60

OnProgress = Callable[[int, int], None]


class _Console(Console):
    """A console that is `PIPED_WIDTH` wide where there is no terminal to ask."""

    @property
    def size(self) -> ConsoleDimensions:
        size = super().size
        is_asked = self.is_terminal or self._width is not None or "COLUMNS" in os.environ
        return size if is_asked and size.width > 0 else ConsoleDimensions(PIPED_WIDTH, size.height)

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._width, self._height = size

    def on_broken_pipe(self) -> None:
        """Leaves it to `main`: Rich would end the process with exit code 1."""
        raise BrokenPipeError


console = _Console(highlight=False)
error_console = _Console(stderr=True, highlight=False)


def notice(text: str) -> None:
    """Tells what goes on, on standard error; one line, however long."""
    error_console.print(Text(text), soft_wrap=True)


def fail(text: str) -> None:
    """Tells what went wrong, on standard error; one line, however long."""
    error_console.print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[OnProgress]:
    """A progress bar on standard error; without a terminal one line at the start and one at the end.

    Args:
        what: what is being done, such as "episodes".
        total: how many steps there are; None where the callback tells.

    Yields:
        a callback of (steps done, steps in all).
    """
    if not error_console.is_terminal:
        with _start_and_end(what) as advance:
            yield advance
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=error_console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, out_of: bar.update(task, completed=done, total=out_of)


@contextmanager
def _start_and_end(what: str) -> Iterator[OnProgress]:
    """The lines that stand for a bar where nobody watches."""
    last = [0, 0]

    def remember(done: int, total: int) -> None:
        last[:] = done, total

    notice(f"{what} ...")
    started = time.monotonic()
    how = "stopped"
    try:
        yield remember
        how = "done"
    finally:
        steps = f", {last[0]:,} of {last[1]:,}" if last[1] else ""
        notice(f"{what}: {how}{steps}, {duration(time.monotonic() - started)}")


def duration(seconds: float) -> str:
    """`3.2 s` under a minute, else `1:02:03`."""
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def print_comparison(comparison: Comparison, learned: str = "learned") -> None:
    """The comparison table, how to read it, and the verdict."""
    console.print(comparison_table(comparison, console.width))
    console.print(Text(table_note(comparison), style="dim"))
    console.print()
    console.print(Text(verdict(comparison, learned), style="bold"))


def table_note(comparison: Comparison) -> str:
    """What the figures of the table are."""
    days = "1 episode" if comparison.episodes == 1 else f"{comparison.episodes} episodes"
    intervals = "no intervals with one episode" if comparison.episodes == 1 else "below them their 95 % intervals"
    return (
        f"{days}, a day each; interquartile means ({intervals}), each its own, so that terms need not add up; "
        "rules broken: the sum."
    )


def comparison_table(comparison: Comparison, width: int = PIPED_WIDTH) -> Table | Group:
    """One row a planner, intervals below their figures; two tables where one would not fit the width."""
    columns = _columns(comparison)
    for padding in (1, 0):
        whole = _table(columns, padding)
        if Measurement.get(console, console.options.update(width=10 * width), whole).maximum <= width:
            return whole
    vital, rest = ([c for c in columns[1:] if c.is_vital == is_vital] for is_vital in (True, False))
    return Group(_table([columns[0], *vital]), Text(), _table([columns[0], *rest]))


@dataclass(frozen=True)
class _Column:
    """A column of the comparison: what stands in its header, its cells, and whether it belongs in the first table."""

    header: str
    cells: list[Text]
    is_vital: bool = True


def _columns(comparison: Comparison) -> list[_Column]:
    """All columns in their order; the first holds the names."""
    planners = comparison.planners
    names = [Text(short_name(s.planner), style="bold" if s.planner == "learned" else "") for s in planners]
    columns = [
        _Column("planner", names),
        _Column("cost\ncore-min", [_cost(s.cost_core_minutes) for s in planners]),
        _Column("overload\ncore-min", [_figure(s.overload_core_minutes) for s in planners], is_vital=False),
        _Column("unserved\ncore-min", [_figure(s.unserved_core_minutes) for s in planners], is_vital=False),
        _Column("swap\nGiB-min", [_figure(s.swap_gib_minutes) for s in planners], is_vital=False),
        _Column("moved\nGiB", [_figure(s.moved_gib) for s in planners]),
        _Column("moves\n", [_figure(s.moves, decimals=1) for s in planners]),
        _Column("contended\nhost-h", [_hours(s.contended_host_minutes) for s in planners], is_vital=False),
    ]
    if comparison.against is not None:
        differences = [comparison.difference(s.planner) for s in planners]
        columns.append(_Column(f"vs {short_name(comparison.against)}\n%", [_against(d) for d in differences]))
    broken = [Text(f"{s.violations:,}", style="bold red" if s.violations else "") for s in planners]
    return [*columns, _Column("rules\nbroken", broken)]


def _table(columns: Sequence[_Column], padding: int = 1) -> Table:
    """A plain table of some columns; figures stand to the right."""
    table = Table(box=SIMPLE_HEAD, padding=(0, padding, 0, 0), pad_edge=False, show_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column.header, justify="right" if i else "left", no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table


def _figure(estimate: Estimate, decimals: int = 0) -> Text:
    return Text(f"{estimate.value:,.{decimals}f}")


def _hours(minutes: Estimate) -> Text:
    return Text(f"{minutes.value / MINUTES_PER_HOUR:,.1f}")


def _cost(estimate: Estimate) -> Text:
    interval = estimate.interval
    return _with_interval(f"{estimate.value:,.0f}", f"{interval.low:,.0f} to {interval.high:,.0f}" if interval else "")


def _against(difference: PairedDifference | None) -> Text:
    """The paired difference; a dash for the reference itself and where it is not defined."""
    if difference is None or difference.percent is None:
        return Text("-")
    interval = difference.percent_interval
    range_text = f"{_bare_percent(interval.low)} to {_bare_percent(interval.high)}" if interval else ""
    return _with_interval(_bare_percent(difference.percent), range_text)


def _with_interval(figure: str, interval: str) -> Text:
    return Text.assemble(figure, (f"\n{interval}", "dim")) if interval else Text(figure)


def _bare_percent(percent: float) -> str:
    """A percentage with its sign; from 100 on without decimals."""
    rounded = round(percent, 0 if abs(percent) >= DECIMALS_UP_TO_PERCENT else 1)
    return f"{rounded:+,.0f}" if abs(rounded) >= DECIMALS_UP_TO_PERCENT else f"{rounded:+.1f}" if rounded else "0.0"
