"""Options that several commands of the command line share, and how a document is printed.

Nothing heavy is imported here: `quell --help` should not wait.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .limit import seconds_of
from .number_options import MOST_SEED, decimal_option, whole_option

BUDGET_MINUTES = (0.1, 10_080)  # a week at most

Snapshot = Annotated[Path, typer.Argument(help="A quell.cluster/1 document.", show_default=False)]
PlannerName = Annotated[
    str,
    typer.Option(
        "--planner", "-p", help="none, spread, ads, exact, tuned, forecast, learned, or the path of a policy (.quell)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Limit = Annotated[
    float | None,
    typer.Option(
        "--limit",
        parser=seconds_of,
        metavar="SECONDS",
        help="How long ads (also for a planner that falls back on it) may search, or exact prove: by default the "
        "snapshot's solve_limit_seconds (5 where it says nothing), and 4 times that for exact.",
    ),
]
Workload = Annotated[str, typer.Option(help="synthetic, bitbrains:PATH or planetlab:PATH.")]
Hosts = Annotated[int, whole_option("--hosts", 2, help="Hosts per cluster.")]
VmsPerHost = Annotated[int, whole_option("--vms-per-host", 1, help="VMs per host.")]
HostsRange = Annotated[
    str, typer.Option("--hosts", metavar="N|FROM-TO", help="Hosts per cluster; of a range, drawn for each day.")
]
VmsRange = Annotated[str, typer.Option("--vms-per-host", metavar="N|FROM-TO", help="VMs per host, or their range.")]
LoadRange = Annotated[
    str,
    typer.Option("--load", metavar="X|FROM-TO", help="Mean CPU utilization of the cluster over the day, or its range."),
]
Workers = Annotated[
    int | None,
    whole_option("--workers", 1, help="Processes that play days; by default one for each core.", show_default=False),
]
Load = Annotated[float, decimal_option("--load", 0.05, 0.95, help="Mean CPU utilization of the cluster over the day.")]
Days = Annotated[
    str, typer.Option("--workload", help="synthetic, bitbrains:PATH, planetlab:PATH, or skew: hosts at 50, 5 and 5 %.")
]
ScenarioName = Annotated[
    str,
    typer.Option(
        "--scenario",
        help="plain, ha, overcommit, gpu, churn, failures, maintenance, or mixed: some of them, drawn for each day.",
    ),
]
Episodes = Annotated[int, whole_option("--episodes", 1, help="Days to simulate; every planner sees the same ones.")]
Seed = Annotated[int, whole_option("--seed", 0, MOST_SEED, help="Seed of everything that is drawn.")]
Budget = Annotated[
    float, decimal_option("--budget-minutes", *BUDGET_MINUTES, help="Time for training, in minutes; a week at most.")
]
Store = Annotated[str, typer.Option(help="MLflow store.")]
DEFAULT_STORE = "sqlite:///mlflow.db"


class PartName(StrEnum):
    """Parts of a trace."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    ALL = "all"


def print_json(document: Any) -> None:
    """A document on standard output."""
    print(json.dumps(document, indent=2, allow_nan=False))
