"""The tables of `quell bench`: as wide as a page of text, figures to the right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from rich.table import Table

Row = dict[str, Any]


def plans_table(rows: Sequence[Row]) -> Table:
    """Quell's planners by group: how many plans, how good, how fast."""
    columns: dict[str, Callable[[Row], str]] = {
        "clusters": lambda row: row["group"],
        "planner": lambda row: row["planner"],
        "planned": lambda row: f"{row['planned']} of {row['clusters']}",
        "refused (proven)": lambda row: f"{row['refused_proven'] + row['refused_at_limit']} ({row['refused_proven']})",
        "at optimum": lambda row: _share(row["share_at_optimum"]),
        "worst": lambda row: _ratio(row["worst_cost_ratio"]),
        "broken": lambda row: f"{row['violations']}",
        "median s": lambda row: _seconds(row["median_wall_seconds"]),
        "p95 s": lambda row: _seconds(row["p95_wall_seconds"]),
        "CPU s": lambda row: _seconds(row["median_cpu_seconds"]),
        "peak MiB": lambda row: f"{row['peak_memory_mib']:,.0f}",
    }
    return _filled("bench plan", columns, rows)


def peers_table(rows: Sequence[Row]) -> Table:
    """Everybody on the same clusters: moves, GiB, what is left and what is broken."""
    columns: dict[str, Callable[[Row], str]] = {
        "clusters": lambda row: f"{row['group']} ({row['clusters']})",
        "by": lambda row: row["planner"],
        "valid": lambda row: f"{row['valid_plans']}",
        "moves": lambda row: f"{row['moves']:,}",
        "GiB": lambda row: f"{row['cost_gib']:,.0f}",
        "hosts still hot": lambda row: f"{row['hosts_still_contended']}",
        "rules broken": lambda row: ", ".join(f"{r.split()[0]} {n}" for r, n in row["rules_broken"].items()) or "none",
        "median s": lambda row: _seconds(row["median_wall_seconds"]),
        "CPU s": lambda row: _seconds(row["median_cpu_seconds"]),
    }
    return _filled("the same clusters, planned by others", columns, rows)


def env_tables(figures: dict[str, Any]) -> list[Table]:
    """Steps of the environment by size, what drawing a day takes, and where the time of a step and a training goes."""
    parts = [{"part": name, "microseconds": value} for name, value in figures["parts"].items()]
    tables = {
        "bench env: steps": figures["steps"],
        "growth of a step with hosts x VMs": figures["growth"],
        "left to Python, per 1,000 steps": figures["asked"],
        "drawing a day and playing its twin": figures["drawing"],
        "parts of a step": parts,
        "shares of the vector env's time": figures["shares"],
        "one update of MaskablePPO": [figures["training"]],
    }
    return [_plain_table(title, rows) for title, rows in tables.items() if rows]


def learned_table(figures: dict[str, Any]) -> Table:
    """CPU seconds of one whole plan, by size and planner."""
    columns: dict[str, Callable[[Row], str]] = {
        "clusters": lambda row: f"{row['hosts']} hosts, {row['vms']:,} VMs",
        "planner": lambda row: row["planner"],
        "plans": lambda row: f"{row['plans']}",
        "moves each": lambda row: f"{row['moves_per_plan']:.1f}",
        "median s": lambda row: _seconds(row["median_cpu_seconds"]),
        "p95 s": lambda row: _seconds(row["p95_cpu_seconds"]),
        "most s": lambda row: _seconds(row["max_cpu_seconds"]),
        "peak MiB": lambda row: f"{row['peak_memory_mib']:,.0f}",
    }
    return _filled("bench learned: CPU seconds of one whole plan", columns, figures["rows"])


def _plain_table(title: str, rows: Sequence[Row]) -> Table:
    """A table of rows as they are, words to the left."""
    words = {name.replace("_", " ") for name, value in rows[0].items() if isinstance(value, str)}
    return _filled(title, _plain_columns(rows), rows, words)


def _plain_columns(rows: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    """A column for each key of the rows."""

    def cell(row: Row, name: str) -> str:
        value = row[name]
        if isinstance(value, str | int):
            return value if isinstance(value, str) else f"{value:,}"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3f}"

    return {name.replace("_", " "): lambda row, name=name: cell(row, name) for name in rows[0]}  # type: ignore[misc]


def _filled(
    title: str,
    columns: dict[str, Callable[[Row], str]],
    rows: Sequence[Row],
    words: Collection[str] | None = None,
) -> Table:
    """A plain table; the columns named in `words` are text, else the first two."""
    words = list(columns)[:2] if words is None else words
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, justify="left" if name in words else "right")
    for row in rows:
        table.add_row(*(cell(row) for cell in columns.values()))
    return table


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds < 10 else f"{seconds:.1f}"
