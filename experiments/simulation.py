"""`quell simulate` and `quell evaluate`: planners through the days of a workload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..baseline.mode import Mode
from ..env.model.errors import QuellError
from ..env.model.files import write_atomically
from ..env.world.rounds import EpisodeResult
from ..env.world.skew import NAME as SKEW
from ..env.world.traces import Trace, load_trace, part
from ..env.world.workload import ClusterSpec
from .audits import write_audits
from .comparison import compare
from .evaluation import Suite, evaluate
from .planners import PlannerFactory, is_bundle, planner_factory
from .sources import EpisodeSource, SkewDays, TraceDays
from .terminal import notice, print_comparison, progress
from .writable import try_out

PLOT_SUFFIXES = (".png", ".svg")


@dataclass(frozen=True)
class Outputs:
    """What `quell simulate` leaves besides its figures: a plot of the first day, audits, and text in the terminal."""

    plot: Path | None = None
    audits: Path | None = None
    is_text: bool = True

    def try_out(self) -> None:
        """Finds out before the work whether the files can be written.

        Raises:
            QuellError: one cannot, or the plot's name ends in another way than plots do.
        """
        if self.plot is not None and self.plot.suffix not in PLOT_SUFFIXES:
            raise QuellError(f"--plot {self.plot}: the name must end in {' or '.join(PLOT_SUFFIXES)}")
        for path in (self.plot, self.audits):
            if path is not None:
                try_out(path)


def load_workload(workload: str, seed: int = 0) -> Trace:
    """The trace of a workload, with a progress bar.

    Raises:
        TraceError: it is missing, cut short or not in its published format.
    """
    with progress(f"loading {workload}") as on_progress:
        return load_trace(workload, seed=seed, progress=on_progress)


def load_source(workload: str, spec: ClusterSpec, part_name: str) -> EpisodeSource:
    """The days a workload names: of a part of its trace on clusters as asked for, or the one day of `skew`.

    That day is what it is: a notice says that size, load, scenario and part do not count.

    Raises:
        QuellError: the workload is unknown, missing or cut short, or the part has no day.
    """
    if workload != SKEW:
        return TraceDays(part(load_workload(workload), part_name), spec)
    notice("workload skew is one fixed day of three hosts: size, load, scenario and part do not count")
    return SkewDays()


def name_planners(names: Sequence[str], mode: Mode = Mode.ENABLED) -> dict[str, PlannerFactory]:
    """Factories by the name that stands in tables: a single bundle is `learned`, several keep their file names.

    Raises:
        QuellError: a planner is unknown or named twice, or a bundle cannot be trusted; or `ads` is to be disabled and
            is not among them.
    """
    names = [name.strip() for name in names]
    if mode is Mode.DISABLED and "ads" not in names:
        raise QuellError(f"--mode {mode}: only ads can be disabled, and the planners are {', '.join(names)}")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise QuellError(f"planner {twice[0]!r} is named twice")
    bundles = [name for name in names if is_bundle(name)]
    shown = {name: "learned" if len(bundles) == 1 else Path(name).stem for name in bundles}
    if len(set(shown.values())) < len(bundles) and len(bundles) > 1:
        raise QuellError(f"planners {', '.join(bundles)}: two bundles have the same file name")
    return {shown.get(name, name): planner_factory(name, mode) for name in names}


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
    outputs: Outputs,
    mode: Mode = Mode.ENABLED,
) -> dict[str, Any]:
    """Plays days, prints the table, writes the files; returns every episode's figures.

    Raises:
        QuellError: bad workload, planner or cluster; or a file cannot be written.
    """
    outputs.try_out()
    planners = name_planners(names, mode)
    suite = Suite(load_source(workload, spec, part_name), episodes, seed)
    results = run_suite(suite, planners)
    if outputs.is_text:
        print_comparison(compare(results))
    if outputs.plot is not None:
        _write_plot(outputs.plot, suite, results)
    if outputs.audits is not None:
        write_audits(outputs.audits, results)
        notice(f"audits: {outputs.audits}")
    return _suite_document(workload, suite) | {
        "planners": {name: [{"seed": r.seed} | r.figures | _besides(r) for r in rs] for name, rs in results.items()}
    }


def evaluate_planners(
    workload: str, names: Sequence[str], spec: ClusterSpec, episodes: int, seed: int, part_name: str, is_text: bool
) -> dict[str, Any]:
    """Compares planners on the same days; returns the document of `quell evaluate --json`.

    Raises:
        QuellError: bad workload, planner or cluster.
    """
    planners = name_planners(names)
    suite = Suite(load_source(workload, spec, part_name), episodes, seed)
    comparison = compare(run_suite(suite, planners))
    if is_text:
        print_comparison(comparison)
    return comparison.to_json()


def _suite_document(workload: str, suite: Suite) -> dict[str, Any]:
    return {
        "workload": workload,
        "part": suite.source.part_name,
        "cluster": asdict(suite.source.spec),
        "seed": suite.seed,
    }


def _besides(result: EpisodeResult) -> dict[str, float]:
    """What is told of a day besides the figures that tables compare."""
    return {
        "waiting_vm_minutes": result.waiting_vm_minutes,
        "evacuation_host_minutes": result.evacuation_host_minutes,
        "plan_seconds": result.plan_seconds,
    }


def _write_plot(path: Path, suite: Suite, results: dict[str, list[EpisodeResult]]) -> None:
    """The first day under every planner."""
    from .plots import day_figure, to_bytes

    first = {name: rs[0] for name, rs in results.items()}
    episode = next(suite.build())
    write_atomically(path, to_bytes(day_figure(first, episode.inventory), path.suffix.removeprefix(".")))
    notice(f"plot of the first day: {path}")
