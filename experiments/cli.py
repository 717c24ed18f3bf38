"""The command line: options in, one sentence or one table out. What the commands do stands in the modules they call.

Nothing heavy is imported here: planning from a bundle must never load torch, and `quell --help` should not wait. What a
command needs it loads itself, and Ctrl-C ends that at once (`ended_at_once`).
Exit codes: 0 done; 1 a plan that `quell check` finds invalid, or a VM that `quell place` rejects; 2 bad input or a
fault outside, told in one sentence; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from ..baseline.mode import Mode
from ..env.model.errors import QuellError
from .cli_bench import bench
from .cli_bundle import bundle_app
from .cli_group import Commands, ReaderLeftError
from .cli_learning import evaluate, train, tune
from .cli_options import (
    DEFAULT_STORE,
    Budget,
    Days,
    Episodes,
    Hosts,
    HostsRange,
    Json,
    Limit,
    Load,
    LoadRange,
    PartName,
    PlannerName,
    ScenarioName,
    Seed,
    Snapshot,
    Store,
    VmsPerHost,
    VmsRange,
    Workers,
    Workload,
    print_json,
)
from .interruption import Terminated, ended_at_once, never_swallowed, tell_at_end
from .legible import escaped, legible
from .terminal import console, fail, notice

app = typer.Typer(
    name="quell",
    cls=Commands,
    help="A scheduler that quells resource contention in virtualised clusters.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="List and fetch public traces.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(bundle_app, name="bundle")


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"quell {__version__}")
        raise typer.Exit()


@app.command()
def run(
    workload: Workload = "synthetic",
    budget_minutes: Budget = 5.0,
    hosts: Hosts = 8,
    vms_per_host: VmsPerHost = 15,
    load: Load = 0.65,
    scenario: ScenarioName = "mixed",
    episodes: Episodes = 20,
    seed: Seed = 1,
    output: Annotated[Path, typer.Option(help="Folder for the report, the plots and the bundle.")] = Path(
        "quell-output"
    ),
    store: Store = DEFAULT_STORE,
    as_json: Json = False,
) -> None:
    """The main job: simulate, train, evaluate, export; all tracked in MLflow, told in one table and a report."""
    with ended_at_once():
        from .run import RunConfig, how_to_go_on, run_main_job

    size = hosts, vms_per_host, load
    config = RunConfig(workload, budget_minutes, *size, episodes, seed, str(output), store, scenario)
    try:
        outcome = run_main_job(config, is_text=not as_json)
    except (KeyboardInterrupt, Terminated) as stop:
        tell_at_end(stop, how_to_go_on(config))
        raise
    if as_json:
        print_json(outcome)


@app.command()
def plan(
    snapshot: Snapshot,
    planner: PlannerName = "ads",
    limit: Limit = None,
    as_json: Json = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the plan document here.")] = None,
) -> None:
    """One plan for a snapshot: the moves, in order, or the reason why there are none."""
    with ended_at_once():
        from .planning import plan_snapshot, show_plan

    show_plan(plan_snapshot(snapshot, planner, limit), as_json, output)


@app.command()
def place(
    snapshot: Snapshot,
    vm: Annotated[str, typer.Option("--vm", help="Id of a VM that is on and has no host.", show_default=False)],
    as_json: Json = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the plan document here.")] = None,
) -> None:
    """Where a VM starts, with the moves that make room for it: exit 0 where it is placed, exit 1 where rejected."""
    with ended_at_once():
        from .planning import place_snapshot, show_plan

    made = place_snapshot(snapshot, vm)
    show_plan(made, as_json, output)
    if not made.target:
        raise typer.Exit(1)


@app.command()
def explain(
    snapshot: Snapshot,
    vm: Annotated[str | None, typer.Option("--vm", help="Id of a VM or session; without it, the cluster.")] = None,
    planner: PlannerName = "ads",
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Why a VM moves or stays, what each move brings, or the smallest set of facts that blocks every plan."""
    with ended_at_once():
        from .explaining import explain_snapshot, explanation_text
        from .explanation_document import explanation_document

    explained = explain_snapshot(snapshot, planner, vm, limit)
    if as_json:
        print_json(explanation_document(explained))
    else:
        console.print(explanation_text(explained))


@app.command()
def check(
    snapshot: Snapshot,
    plan: Annotated[Path, typer.Argument(help="A quell.plan/1 document.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Judge any plan: exit 0 where it is valid, exit 1 and the violations where it is not."""
    with ended_at_once():
        from .planning import check_plan

    violations = check_plan(snapshot, plan)
    if as_json:
        found = [{"rule": v.reason.value, "move": v.move, "detail": v.detail} for v in violations]
        print_json({"valid": not violations, "violations": found})
    elif violations:
        for violation in violations:
            console.print(legible(str(violation)))
    else:
        console.print(escaped(f"{plan} is valid for {snapshot}"), highlight=False, markup=False)
    if violations:
        raise typer.Exit(1)


@app.command()
def simulate(
    workload: Days = "synthetic",
    planner: Annotated[
        list[str] | None,
        typer.Option(
            "--planner",
            "-p",
            help="Repeat for more: none, spread, ads, exact, tuned, forecast, learned, clairvoyant, or a bundle.",
        ),
    ] = None,
    hosts: HostsRange = "8",
    vms_per_host: VmsRange = "15",
    load: LoadRange = "0.65",
    scenario: ScenarioName = "ha",
    episodes: Episodes = 1,
    seed: Seed = 1,
    part: Annotated[PartName, typer.Option(help="Part of the trace that VMs and days are drawn from.")] = PartName.ALL,
    plot: Annotated[Path | None, typer.Option(help="Write a plot of the first day (.png or .svg).")] = None,
    audits: Annotated[Path | None, typer.Option(help="Write what was done, one JSON record a line.")] = None,
    mode: Annotated[
        Mode, typer.Option(help="Of ads; disabled, it tells contentions and moves nothing.")
    ] = Mode.ENABLED,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Days of a cluster under one or more planners: the cost terms, and a plot of utilization and moves."""
    with ended_at_once():
        from .cluster_mix import ClusterMix
        from .simulation import DaysAsked, Outputs, simulate_days

    mix = ClusterMix.of(hosts, vms_per_host, load, scenario)
    asked = DaysAsked(workload, mix, episodes, seed, part.value, workers)
    document = simulate_days(asked, planner or ["none", "ads"], Outputs(plot, audits, not as_json), mode)
    if as_json:
        print_json(document)


app.command()(train)
app.command()(evaluate)
app.command()(tune)


@app.command()
def audits(
    file: Annotated[Path, typer.Argument(help="Written by `quell run` or `quell simulate --audits`.")] = Path(
        "quell-output/audits.jsonl"
    ),
    operation: Annotated[str, typer.Option(help="migrate, alert, place, restart, ...: only these.")] = "",
    since: Annotated[str, typer.Option(help="From this time on: 2026-01-01T12:00, 2026-01-01 or 12:00 (UTC).")] = "",
    until: Annotated[str, typer.Option(help="Up to this time; a bare date is included.")] = "",
    planner: Annotated[str, typer.Option("--planner", "-p", help="Only what this planner did.")] = "",
    vm: Annotated[str, typer.Option(help="Only this VM (or session, or host).")] = "",
    as_json: Json = False,
) -> None:
    """What was done to clusters, when, why, and what it brought: migrations, other tasks, alerts."""
    with ended_at_once():
        from .audits import audits_text, make_filter, read_audits, record_document

    wanted = make_filter(operation, since, until, planner, vm)
    records = read_audits(file)
    shown = [record for record in records if wanted.keeps(record)]
    if as_json:
        print_json([record_document(record) for record in shown])
        return
    if shown:
        console.print(audits_text(shown), soft_wrap=True, highlight=False, markup=False)
    notice(f"{len(shown):,} of {len(records):,} records in {file}")


app.command()(bench)


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """Public traces Quell can read: source, licence, size."""
    with ended_at_once():
        from .data import list_data

    document = list_data(not as_json)
    if as_json:
        print_json(document)


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="A name from `quell data list`.", show_default=False)],
    to: Annotated[Path, typer.Option(help="Folder to put it in.")] = Path("data"),
) -> None:
    """Download a public trace: resumes where it was cut off, checks what came."""
    with ended_at_once():
        from .data import fetch_data

    fetch_data(name, to)


def main() -> None:
    """Entry point: errors become one sentence and an exit code, never a traceback."""
    try:
        with never_swallowed():
            app()
    except QuellError as error:
        fail(str(error))
        sys.exit(2)
    except (ReaderLeftError, BrokenPipeError):
        # Nothing to tell, nobody to tell it to; what is still in the buffer is not to be complained about at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        fail(f"{error.filename or 'the system'}: {error.strerror or error}")
        sys.exit(2)
