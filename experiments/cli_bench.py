"""`quell bench` on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from ..env.model.errors import QuellError
from .cli_options import (
    Hosts,
    Json,
    Limit,
    Load,
    PartName,
    ScenarioName,
    Seed,
    VmsPerHost,
    Workload,
)
from .interruption import ended_at_once
from .number_options import whole_option

USERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("instances", "sizes", "clusters", "peers", "proxlb_python", "limit", "memory", "save", "plot"),
            ("plan", "all"),
        ),
        "planners": ("plan", "learned"),
        "seed": ("plan", "learned", "recall", "all"),
        **dict.fromkeys(("load", "scenario"), ("learned", "recall", "all")),
        **dict.fromkeys(("workload", "part", "days", "hosts", "vms_per_host"), ("recall", "all")),
    }
)
"""Which benchmarks use an option; the others would go on without a word, and measure something else than was asked."""


def bench(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(help="plan, env, learned, recall, or all.")] = "all",
    instances: Annotated[
        Path | None, typer.Option(help="Folder of snapshots to plan for as well; optimum.json there tells the best.")
    ] = None,
    sizes: Annotated[
        str, typer.Option(help="Fresh clusters to plan for, HOSTSxVMS,HOSTSxVMS; empty for none.")
    ] = "3x12,4x20,8x96,24x300,128x2000,256x4000",
    clusters: Annotated[
        int | None, whole_option("--clusters", 1, help="Fresh clusters of each size: 20, or 5 from 1,000 VMs on.")
    ] = None,
    seed: Seed = 1,
    planners: Annotated[
        str | None,
        typer.Option(
            help="Names, separated by commas: by default ads,exact for `plan`, and learned,forecast,tuned,ads for "
            "`learned`, which takes bundles too. `all` has these defaults alone.",
            show_default=False,
        ),
    ] = None,
    peers: Annotated[bool, typer.Option(help="Also ask hbal and proxlb-solver, where installed.")] = True,
    proxlb_python: Annotated[
        str | None, typer.Option(help="A Python that has proxlb-solver; this one where not given.")
    ] = None,
    limit: Limit = None,
    memory: Annotated[
        str, typer.Option(metavar="FROM-TO", help="Memory that hosts of fresh clusters have in use, in percent.")
    ] = "50-90",
    save: Annotated[
        Path | None, typer.Option(help="New folder for the fresh clusters and all plans, to look at again.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the plot of `plan` (.png or .svg).")] = None,
    workload: Workload = "synthetic",
    part: Annotated[PartName, typer.Option(help="Part of the trace, for `recall`.")] = PartName.VALIDATION,
    days: Annotated[int, whole_option("--days", 1, help="Days of `recall`, from --seed on.")] = 4,
    hosts: Hosts = 8,
    vms_per_host: VmsPerHost = 15,
    load: Load = 0.7,
    scenario: ScenarioName = "ha",
    as_json: Json = False,
) -> None:
    """Measure: seconds and cost of plans by cluster size; steps per CPU-second of the environment; one whole plan.

    An option that the benchmark has no use for is refused: --seed by `env`; --workload, --part, --days, --hosts and
    --vms-per-host by all but `recall`, --load and --scenario by all but that and `learned`; the rest is for `plan`.
    """
    with ended_at_once():
        from ..env.world.workload import ClusterSpec
        from .bench_learned import LearnedBench
        from .bench_plan import PlanBench
        from .bench_recall import RecallBench
        from .benchmark import BENCHMARKS, run_benchmarks
        from .instances import Size, shares_of

    if what in BENCHMARKS:
        _refuse_unused(ctx, what)
    drawn = tuple(Size.of(text) for text in sizes.split(",") if text.strip())
    names = None if planners is None else tuple(name.strip() for name in planners.split(","))
    of_plan, of_learned = names or PlanBench.planners, names or LearnedBench.planners
    plans = PlanBench(instances, drawn, clusters, seed, of_plan, peers, proxlb_python, limit, shares_of(memory), save)
    learned = LearnedBench(of_learned, load=load, scenario=scenario, seed=seed)
    spec = ClusterSpec(hosts, vms_per_host, load, scenario=scenario)
    recall = RecallBench(workload, part.value, spec, days, seed)
    run_benchmarks(what, plans, plot, not as_json, recall, learned)


def _refuse_unused(ctx: typer.Context, what: str) -> None:
    """Refuses what was asked for and this benchmark does not use.

    Raises:
        QuellError: there is such an option.
    """
    for param in ctx.command.params:
        users = USERS.get(param.name or "", ())
        source = ctx.get_parameter_source(param.name or "")
        if users and what not in users and source is not None and source.name == "COMMANDLINE":
            raise QuellError(f"{param.opts[0]}: bench {what} does not use it; it is for bench {', '.join(users)}")
