"""`quell bench` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import Json, Limit, Seed, print_json


def bench(
    what: Annotated[str, typer.Argument(help="plan, env, learned, recall, or all.")] = "all",
    instances: Annotated[
        Path | None, typer.Option(help="Folder of snapshots to plan for as well; optimum.json there tells the best.")
    ] = None,
    sizes: Annotated[
        str, typer.Option(help="Fresh clusters to plan for, HOSTSxVMS,HOSTSxVMS; empty for none.")
    ] = "3x12,4x20,8x96,24x300,128x2000,256x4000",
    clusters: Annotated[
        int | None, typer.Option(min=1, help="Fresh clusters of each size: 20, or 5 from 1,000 VMs on.")
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
    as_json: Json = False,
) -> None:
    """Measure: seconds and cost of plans by cluster size; steps per CPU-second of the environment; one whole plan."""
    from .bench_learned import LearnedBench
    from .bench_plan import PlanBench
    from .benchmark import run_benchmarks
    from .instances import Size, shares_of

    drawn = tuple(Size.of(text) for text in sizes.split(",") if text.strip())
    names = None if planners is None else tuple(name.strip() for name in planners.split(","))
    of_plan, of_learned = names or PlanBench.planners, names or LearnedBench.planners
    asked = PlanBench(instances, drawn, clusters, seed, of_plan, peers, proxlb_python, limit, shares_of(memory), save)
    document = run_benchmarks(what, asked, plot, not as_json, learned=LearnedBench(of_learned, seed=seed))
    if as_json:
        print_json(document)
