"""`quell simulate` and `quell evaluate`: planners through the days of a workload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..env.model.errors import QuellError
from ..env.model.files import write_atomically
from ..env.world.rounds import EpisodeResult
from ..env.world.traces import Trace, load_trace, part
from ..env.world.workload import ClusterSpec
from .comparison import compare
from .evaluation import Suite, evaluate
from .planners import PlannerFactory, is_bundle, planner_factory
from .terminal import notice, print_comparison, progress
from .writable import try_out

PLOT_SUFFIXES = (".png", ".svg")


def load_workload(workload: str, seed: int = 0) -> Trace:
    """The trace of a workload, with a progress bar.

    Raises:
        TraceError: it is missing, cut short or not in its published format.
    """
    with progress(f"loading {workload}") as on_progress:
        return load_trace(workload, seed=seed, progress=on_progress)


def name_planners(names: Sequence[str]) -> dict[str, PlannerFactory]:
    """Factories by the name that stands in tables: a single bundle is `learned`, several keep their file names.

    Raises:
        QuellError: a planner is unknown or named twice, or a bundle cannot be trusted.
    """
    names = [name.strip() for name in names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise QuellError(f"planner {twice[0]!r} is named twice")
    bundles = [name for name in names if is_bundle(name)]
    shown = {name: "learned" if len(bundles) == 1 else Path(name).stem for name in bundles}
    if len(set(shown.values())) < len(bundles) and len(bundles) > 1:
        raise QuellError(f"planners {', '.join(bundles)}: two bundles have the same file name")
    return {shown.get(name, name): planner_factory(name) for name in names}


def run_suite(suite: Suite, planners: dict[str, PlannerFactory], what: str = "days") -> dict[str, list[EpisodeResult]]:
    """The suite under all planners, with a progress bar; what the trace could not give is told once."""
    total, done = suite.episodes * len(planners), 0
    with progress(f"{what}: {', '.join(planners)}", total) as on_progress:

        def count(name: str, result: EpisodeResult) -> None:
            nonlocal done
            done += 1
            on_progress(done, total)

        return evaluate(suite, planners, count)


def simulate_days(
    workload: str,
    names: Sequence[str],
    spec: ClusterSpec,
    episodes: int,
    seed: int,
    part_name: str,
    plot: Path | None,
    is_text: bool,
) -> dict[str, Any]:
    """Plays days, prints the table, writes the plot; returns every episode's figures.

    Raises:
        QuellError: bad workload, planner or cluster; or the plot cannot be written.
    """
    if plot is not None:
        if plot.suffix not in PLOT_SUFFIXES:
            raise QuellError(f"--plot {plot}: the name must end in {' or '.join(PLOT_SUFFIXES)}")
        try_out(plot)
    planners = name_planners(names)
    suite = Suite(part(load_workload(workload), part_name), spec, episodes, seed)
    results = run_suite(suite, planners)
    if is_text:
        print_comparison(compare(results))
    if plot is not None:
        _write_plot(plot, suite, results)
    return _suite_document(workload, suite) | {
        "planners": {
            name: [{"seed": r.seed} | r.figures | {"plan_seconds": r.plan_seconds} for r in rs]
            for name, rs in results.items()
        }
    }


def evaluate_planners(
    workload: str, names: Sequence[str], spec: ClusterSpec, episodes: int, seed: int, part_name: str, is_text: bool
) -> dict[str, Any]:
    """Compares planners on the same days; returns the document of `quell evaluate --json`.

    Raises:
        QuellError: bad workload, planner or cluster.
    """
    planners = name_planners(names)
    suite = Suite(part(load_workload(workload), part_name), spec, episodes, seed)
    comparison = compare(run_suite(suite, planners))
    if is_text:
        print_comparison(comparison)
    return comparison.to_json()


def _suite_document(workload: str, suite: Suite) -> dict[str, Any]:
    return {
        "workload": workload,
        "part": suite.part.name,
        "cluster": asdict(suite.spec),
        "seed": suite.seed,
    }


def _write_plot(path: Path, suite: Suite, results: dict[str, list[EpisodeResult]]) -> None:
    """The first day under every planner."""
    from .plots import day_figure, to_bytes

    first = {name: rs[0] for name, rs in results.items()}
    episode = next(suite.build())
    write_atomically(path, to_bytes(day_figure(first, episode.inventory), path.suffix.removeprefix(".")))
    notice(f"plot of the first day: {path}")
