"""`quell simulate`, and what it shares with `quell evaluate`: planners through the days of a workload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..baseline.mode import Mode
from ..env.model.errors import QuellError
from ..env.model.files import write_atomically
from ..env.world.rounds import EpisodeResult
from ..env.world.skew import NAME as SKEW
from ..env.world.traces import Trace, load_trace, part
from .audits import write_audits
from .cluster_mix import ClusterMix
from .compare import compare
from .evaluation import Played, Suite, evaluate, most_workers, play_suite
from .interruption import Terminated, stopped_by_signals, tell_at_end
from .planners import FORECAST, LEARNED, PlannerFactory, is_forecast, is_learned, planner_factory, split_variant
from .sources import EpisodeSource, SkewDays, days_of
from .terminal import notice, print_comparison, progress
from .writable import refuse_same, try_out

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
        refuse_same(plot=self.plot, audits=self.audits)
        try_out_plot(self.plot)
        if self.audits is not None:
            try_out(self.audits)


@dataclass(frozen=True)
class DaysAsked:
    """Which days to play, and how.

    Attributes:
        workload: `synthetic`, `skew`, `bitbrains:PATH` or `planetlab:PATH`.
        clusters: sizes, load and scenario.
        episodes: how many.
        seed: of the suite.
        part_name: part of the trace.
        workers: processes that play; None for as many as there are cores.
    """

    workload: str
    clusters: ClusterMix
    episodes: int
    seed: int
    part_name: str
    workers: int | None = None

    def suite(self) -> Suite:
        """The suite of these days; its trace is loaded.

        Raises:
            QuellError: the workload is unknown, missing or cut short, or the part has no day.
        """
        return Suite(load_source(self.workload, self.clusters, self.part_name), self.episodes, self.seed)

    def play(self, suite: Suite, names: Sequence[str], mode: Mode = Mode.ENABLED) -> Played:
        """The suite under planners by name, with a progress bar.

        Raises:
            QuellError: a process was ended from outside.
        """
        total = self.episodes * len(names)
        workers = most_workers(self.episodes) if self.workers is None else min(self.workers, self.episodes)
        with stopped_by_signals(), progress(f"days: {', '.join(name_planners(names, mode))}", total) as on_progress:
            make_planners = partial(name_planners, tuple(names), mode)
            try:
                played = play_suite(suite, make_planners, workers, lambda done: on_progress(done, total))
            except (KeyboardInterrupt, Terminated) as stop:
                tell_at_end(stop, "interrupted while days were played; nothing was written")
                raise
        if played.redraws:
            times = "once" if played.redraws == 1 else f"{played.redraws} times"
            notice(f"size and load were drawn again {times}: they did not go together with the day")
        return played


def try_out_plot(plot: Path | None) -> None:
    """Finds out before the work whether a plot can be written.

    Raises:
        QuellError: it cannot, or its name ends in another way than plots do.
    """
    if plot is None:
        return
    if plot.suffix not in PLOT_SUFFIXES:
        raise QuellError(f"--plot {plot}: the name must end in {' or '.join(PLOT_SUFFIXES)}")
    try_out(plot)


def load_workload(workload: str, seed: int = 0) -> Trace:
    """The trace of a workload, with a progress bar.

    Raises:
        TraceError: it is missing, cut short or not in its published format.
    """
    with progress(f"loading {workload}") as on_progress:
        return load_trace(workload, seed=seed, progress=on_progress)


def load_source(workload: str, clusters: ClusterMix, part_name: str) -> EpisodeSource:
    """The days a workload names: of a part of its trace on clusters as asked for, or the one day of `skew`.

    That day is what it is: a notice says that size, load, scenario and part do not count.

    Raises:
        QuellError: the workload is unknown, missing or cut short, or the part has no day.
    """
    if workload != SKEW:
        return days_of(part(load_workload(workload), part_name), clusters)
    notice("workload skew is one fixed day of three hosts: size, load, scenario and part do not count")
    return SkewDays()


def shown_names(names: Sequence[str]) -> dict[str, str]:
    """The name that stands in tables by the name given.

    A single bundle is `learned`, and the forecast of a single one `forecast`; several keep their file names.

    Raises:
        QuellError: a planner is named twice, or two would be called the same.
    """
    names = [name.strip() for name in names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise QuellError(f"planner {twice[0]!r} is named twice")
    bundles = [name for name in names if is_learned(name)]
    forecasts = [name for name in names if is_forecast(name)]
    paths = {split_variant(name)[0] for name in bundles}
    shown = {name: _learned_name(name, is_only=len(paths) == 1) for name in bundles}
    for name in forecasts:
        is_only = len(forecasts) == 1 or name == FORECAST
        shown[name] = FORECAST if is_only else f"{FORECAST}:{Path(name.partition(':')[2]).stem}"
    told = {name: shown.get(name, name) for name in names}
    for one, count in Counter(told.values()).items():
        if count > 1:
            same = ", ".join(name for name in names if told[name] == one)
            raise QuellError(f"planners {same}: all would be called {one!r}, give the bundles other file names")
    return told


def _learned_name(name: str, *, is_only: bool) -> str:
    """What tables call a policy: `learned` or the name of its file, and the part if there is one."""
    told, variant = split_variant(name)
    shown = LEARNED if is_only or told == LEARNED else Path(told).stem
    return f"{shown}@{variant}" if variant else shown


def name_planners(names: Sequence[str], mode: Mode = Mode.ENABLED) -> dict[str, PlannerFactory]:
    """Factories by the name that stands in tables.

    Raises:
        QuellError: a planner is unknown or named twice, or a bundle cannot be trusted; or `ads` is to be disabled and
            is not among them.
    """
    shown = shown_names(names)
    if mode is Mode.DISABLED and "ads" not in shown:
        raise QuellError(f"--mode {mode}: only ads can be disabled, and the planners are {', '.join(shown)}")
    return {told: planner_factory(name, mode) for name, told in shown.items()}


def run_suite(suite: Suite, planners: dict[str, PlannerFactory], what: str = "days") -> dict[str, list[EpisodeResult]]:
    """The suite under all planners in this process, with a progress bar."""
    total, done = suite.episodes * len(planners), 0
    with progress(f"{what}: {', '.join(planners)}", total) as on_progress:

        def count(name: str, result: EpisodeResult) -> None:
            nonlocal done
            done += 1
            on_progress(done, total)

        return evaluate(suite, planners, count)


def simulate_days(
    asked: DaysAsked, names: Sequence[str], outputs: Outputs, mode: Mode = Mode.ENABLED
) -> dict[str, Any]:
    """Plays days, prints the table, writes the files; returns every episode's figures.

    Raises:
        QuellError: bad workload, planner or cluster; or a file cannot be written.
    """
    outputs.try_out()
    name_planners(names, mode)  # says what is wrong with a name before any work
    suite = asked.suite()
    played = asked.play(suite, names, mode)
    if outputs.is_text:
        print_comparison(compare(played.results))
    if outputs.plot is not None:
        _write_plot(outputs.plot, suite, played.results)
    if outputs.audits is not None:
        write_audits(outputs.audits, played.results)
        notice(f"audits: {outputs.audits}")
    return {
        "workload": asked.workload,
        "part": suite.source.part_name,
        "cluster": suite.source.cluster_document(),
        "seed": suite.seed,
        "redraws": played.redraws,
        "planners": {
            name: [{"seed": r.seed} | r.figures | _besides(r) for r in results]
            for name, results in played.results.items()
        },
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
    write_atomically(path, to_bytes(day_figure(first, suite.day(0).episode.inventory), path.suffix.removeprefix(".")))
    notice(f"plot of the first day: {path}")
