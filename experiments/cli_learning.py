"""`quell train`, `quell evaluate` and `quell tune` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..env.model.errors import QuellError
from .cli_options import (
    BUDGET_MINUTES,
    DEFAULT_STORE,
    Days,
    Episodes,
    HostsRange,
    Json,
    LoadRange,
    PartName,
    ScenarioName,
    Seed,
    Store,
    VmsRange,
    Workers,
    Workload,
    print_json,
)
from .interruption import ended_at_once
from .number_options import MOST_SEED, decimal_option, whole_option


def train(
    workload: Workload = "synthetic",
    preset: Annotated[
        str, typer.Option(help="quick (5 minutes), or standard (99 days and 6 updates of PPO).")
    ] = "quick",
    budget_minutes: Annotated[
        float | None,
        decimal_option(
            "--budget-minutes",
            *BUDGET_MINUTES,
            help="Time for training, instead of the preset's time or number of days and updates.",
        ),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="As for simulate; by default the preset's: mixed for quick, ha for standard.")
    ] = None,
    seed: Annotated[
        int | None,
        whole_option(
            "--seed", 0, MOST_SEED, help="Seed of everything that is drawn; 1 unless told.", show_default=False
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="FROM-TO,N,...",
            help="Instead of --seed: one training for each, one after another, each with the whole budget.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A field of TrainConfig, for ablations; repeat for more: ppo_updates=0, forecast_steps=0, rounds=1, "
            "hosts=4,16.",
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The bundle to write; with --seeds policy.quell stands for policy.seed-1.quell, policy.seed-2.quell "
            "and so on. When a training is interrupted, its best policy so far goes there.",
        ),
    ] = Path("policy.quell"),
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "cpu",
    store: Store = DEFAULT_STORE,
    as_json: Json = False,
) -> None:
    """Train a policy on the training part of a workload and export it as a bundle; tracked in MLflow."""
    with ended_at_once():
        from .training import TrainCommand, train_and_export
        from .training_seeds import seeds_of, train_seeds

    if seed is not None and seeds is not None:
        raise QuellError(f"--seed {seed} and --seeds {seeds}: give one of them")
    told = budget_minutes, 1 if seed is None else seed, str(output), device, store, scenario, preset
    command = TrainCommand(workload, *told, tuple(settings or ()))
    if seeds is None:
        outcome = train_and_export(command, is_text=not as_json)
    else:
        outcome = train_seeds(command, seeds_of(seeds), is_text=not as_json)
    if as_json:
        print_json(outcome)


def evaluate(
    planners: Annotated[
        str, typer.Option(help="Names or bundle paths, separated by commas.")
    ] = "none,spread,ads,clairvoyant",
    workload: Days = "synthetic",
    hosts: HostsRange = "8",
    vms_per_host: VmsRange = "15",
    load: LoadRange = "0.65",
    scenario: ScenarioName = "ha",
    episodes: Episodes = 20,
    seed: Seed = 1,
    part: Annotated[PartName, typer.Option(help="Part of the trace; policies are trained on `train`.")] = PartName.TEST,
    against: Annotated[
        str | None,
        typer.Option(
            help="Planners that the others are compared with, separated by commas, the main one first; by default ads."
        ),
    ] = None,
    spread: Annotated[
        str | None,
        typer.Option(
            help="Planners that are trainings of one kind, separated by commas: their mean cost, lowest, highest and "
            "standard deviation are told as well."
        ),
    ] = None,
    workers: Workers = None,
    plot: Annotated[Path | None, typer.Option(help="Write a plot of costs and of one day (.png or .svg).")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the JSON here.")] = None,
    as_json: Json = False,
) -> None:
    """Planners side by side on the same unseen days, paired by seed, with intervals."""
    with ended_at_once():
        from .cluster_mix import ClusterMix
        from .evaluating import Kept, evaluate_planners
        from .simulation import DaysAsked

    mix = ClusterMix.of(hosts, vms_per_host, load, scenario)
    asked = DaysAsked(workload, mix, episodes, seed, part.value, workers)
    references = None if against is None else against.split(",")
    trainings = () if spread is None else tuple(spread.split(","))
    kept = Kept(plot, output, not as_json)
    evaluate_planners(asked, planners.split(","), references, kept, trainings)


def tune(
    planner: Annotated[
        str, typer.Option("--planner", "-p", help="tuned, forecast, or forecast:PATH of a bundle.")
    ] = "tuned",
    workload: Workload = "synthetic",
    part: Annotated[
        PartName, typer.Option(help="Part of the trace; planners are compared on `test`.")
    ] = PartName.VALIDATION,
    settings: Annotated[int, whole_option("--settings", 1, help="Settings to try, those of tuned among them.")] = 40,
    days: Annotated[int, whole_option("--days", 1, help="Days that the better ones are played on.")] = 8,
    seed: Annotated[int, whole_option("--seed", 0, MOST_SEED, help="Seed of the settings; the days are fixed.")] = 0,
    as_json: Json = False,
) -> None:
    """Search better settings for the rules that planners are compared with, on days that judge nobody."""
    with ended_at_once():
        from .tuning import TuneAsked, tune_planner

    document = tune_planner(TuneAsked(planner, workload, part.value, settings, days, seed), is_text=not as_json)
    if as_json:
        print_json(document)
