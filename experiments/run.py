"""The main job, `quell run`: simulate, train, evaluate, export, report; every stage a run in MLflow."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..agents.config import TrainConfig
from ..agents.manifest import Manifest
from ..agents.train import TrainedPolicy
from ..env.model.files import write_atomically
from ..env.world.rounds import EpisodeResult
from ..env.world.scenario import MIXED
from ..env.world.split import PARTS, TracePart
from ..env.world.traces import part
from ..env.world.workload import ClusterSpec
from .audits import write_audits
from .compare import compare
from .comparison import Comparison
from .evaluation import Suite
from .planners import planner_factory
from .plots import cost_figure, curves_figure, day_figure, difference_figure, to_bytes
from .provenance import git_commit, versions
from .report import PartFacts, ReportData, RunFacts, ShownDay, write_report
from .simulation import load_workload, name_planners, run_suite
from .sources import TraceDays
from .terminal import console, notice, print_comparison
from .tracking import Run, Tracker
from .training import export_policy, train_watched, training_curves
from .verdict import verdict
from .writable import claimed, writable_folder

BASELINES = ("none", "spread", "ads", "clairvoyant")
LEARNED = "learned"


@dataclass(frozen=True)
class RunConfig:
    """What `quell run` was asked.

    Attributes:
        workload: `synthetic`, `bitbrains:PATH` or `planetlab:PATH`.
        budget_minutes: time for training.
        hosts, vms_per_host, load: the clusters everything is evaluated on.
        scenario: what happens on them, in training too.
        episodes: test days, each played by every planner.
        seed: of everything that is drawn.
        output: folder for report, plots and bundle.
        store: MLflow store.
    """

    workload: str
    budget_minutes: float
    hosts: int
    vms_per_host: int
    load: float
    episodes: int
    seed: int
    output: str
    store: str
    scenario: str = MIXED

    @property
    def command(self) -> str:
        """The command line that does it again."""
        options = {
            "workload": self.workload,
            "budget-minutes": f"{self.budget_minutes:g}",
            "hosts": self.hosts,
            "vms-per-host": self.vms_per_host,
            "load": self.load,
            "scenario": self.scenario,
            "episodes": self.episodes,
            "seed": self.seed,
            "output": self.output,
            "store": self.store,
        }
        return "quell run " + " ".join(f"--{key} {shlex.quote(str(value))}" for key, value in options.items())


@dataclass(frozen=True)
class _Job:
    """What the stages share."""

    config: RunConfig
    tracker: Tracker
    parts: dict[str, TracePart]
    spec: ClusterSpec
    suite: Suite
    folder: Path

    @property
    def bundle(self) -> Path:
        """Where the policy goes."""
        return self.folder / "policy.quell"

    @property
    def audits(self) -> Path:
        """Where the records of all test days go."""
        return self.folder / "audits.jsonl"


def run_main_job(config: RunConfig, *, is_text: bool = True) -> dict[str, Any]:
    """Does the whole job; prints the table and the verdict where asked for; returns the figures.

    Raises:
        QuellError: bad workload or cluster, or the store or the output folder cannot be written, or another run has
            it: told before any work.
    """
    spec = ClusterSpec(config.hosts, config.vms_per_host, config.load, scenario=config.scenario)
    folder = writable_folder(config.output, "--output")
    with claimed(folder, "--output"):
        return _do(config, spec, folder, is_text)


def _do(config: RunConfig, spec: ClusterSpec, folder: Path, is_text: bool) -> dict[str, Any]:
    """All stages, into a folder that is ours."""
    started = time.monotonic()
    tracker = Tracker(config.store)
    trace = load_workload(config.workload)
    parts = {name: part(trace, name) for name in PARTS}
    suite = Suite(TraceDays(parts["test"], spec), config.episodes, config.seed)
    job = _Job(config, tracker, parts, spec, suite, folder)
    with tracker.run("quell run", tags={"quell.workload": config.workload}) as top:
        top.parameters(config)
        results = _simulate(job, top)
        policy = _train(job, top)
        results, manifest = _evaluate(job, top, policy, results)
        comparison = compare(results)
        if is_text:  # before any file: a disk that is full by now must not take the figures with it
            print_comparison(comparison, LEARNED)
        write_audits(job.audits, results)
        report = _report(job, top, policy, results, comparison, manifest, time.monotonic() - started)
    if is_text:
        _print_places(report, job, tracker.store_uri)
    return comparison.to_json() | {
        "verdict": verdict(comparison, LEARNED),
        "report": str(report),
        "bundle": str(job.bundle),
        "audits": str(job.audits),
        "store": tracker.store_uri,
        "run_id": top.run_id,
        "wall_seconds": time.monotonic() - started,
    }


def _print_places(report: Path, job: _Job, store_uri: str) -> None:
    """Where everything is, and the commands that show it."""
    lines = (
        "",
        f"report  {report}",
        f"policy  {job.bundle}   (quell plan SNAPSHOT --planner {shlex.quote(str(job.bundle))})",
        f"audits  {job.audits}   (quell audits {shlex.quote(str(job.audits))} --operation migrate)",
        f"runs    mlflow ui --backend-store-uri {shlex.quote(store_uri)}",
    )
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def how_to_go_on(config: RunConfig) -> str:
    """What to tell somebody who interrupted the job."""
    bundle = Path(config.output) / "policy.quell"
    shown = shlex.quote(config.store)
    lines = [f"interrupted; what was finished is kept in {config.store} (mlflow ui --backend-store-uri {shown})"]
    if bundle.is_file():
        lines.append(
            f"compare the policy in {bundle}: quell evaluate --workload {shlex.quote(config.workload)} "
            f"--planners {shlex.quote(','.join((*BASELINES, str(bundle))))} --hosts {config.hosts} "
            f"--vms-per-host {config.vms_per_host} --load {config.load:g} --scenario {config.scenario} "
            f"--episodes {config.episodes} --seed {config.seed}"
        )
    lines.append(f"do it again: {config.command}")
    return "\n".join(lines)


def _simulate(job: _Job, top: Run) -> dict[str, list[EpisodeResult]]:
    """The test days under the planners without learning."""
    with job.tracker.run("simulate", parent=top) as run:
        run.parameters(job.spec, "cluster")
        run.parameters({"episodes": job.suite.episodes, "seed": job.suite.seed})
        results = run_suite(job.suite, name_planners(BASELINES), "test days")
        _log_results(run, results)
    return results


def _train(job: _Job, top: Run) -> TrainedPolicy:
    """A policy from the training part, chosen on the validation part."""
    seconds = job.config.budget_minutes * 60
    config = TrainConfig(seed=job.config.seed, budget_seconds=seconds, scenario=job.config.scenario)
    with job.tracker.run("train", parent=top) as run:
        policy = train_watched(job.parts["train"], job.parts["validation"], config, run, job.bundle)
        figure = curves_figure(training_curves(policy))
        if figure is not None:
            run.figure("training.svg", figure)
    return policy


def _evaluate(
    job: _Job, top: Run, policy: TrainedPolicy, baselines: dict[str, list[EpisodeResult]]
) -> tuple[dict[str, list[EpisodeResult]], Manifest]:
    """The policy, as it is exported and served, through the same test days; its figures go into the bundle."""
    export_policy(policy, job.bundle, {"workload": job.parts["test"].trace.name})
    with job.tracker.run("evaluate", parent=top) as run:
        learned = run_suite(job.suite, {LEARNED: planner_factory(str(job.bundle))}, "test days")
        results = baselines | learned
        _log_results(run, learned)
        comparison = compare(results)
    with job.tracker.run("export", parent=top) as run:
        metrics = {"workload": job.parts["test"].trace.name, "test": _manifest_figures(comparison)}
        manifest = export_policy(policy, job.bundle, metrics)
        run.artifact(job.bundle)
        run.tag("quell.weights_sha256", manifest.weights_sha256)
    return results, manifest


def _manifest_figures(comparison: Comparison) -> dict[str, Any]:
    """What the bundle says of the policy's test."""
    summary, difference = comparison.summary(LEARNED), comparison.difference(LEARNED)
    interval = difference.percent_interval if difference else None
    return {
        "episodes": comparison.episodes,
        "cost_core_minutes": summary.cost_core_minutes.value if summary else None,
        "difference_to_ads_percent": difference.percent if difference else None,
        "interval_percent": [interval.low, interval.high] if interval else None,
        "violations": summary.violations if summary else None,
    }


def _report(
    job: _Job,
    top: Run,
    policy: TrainedPolicy,
    results: Mapping[str, Sequence[EpisodeResult]],
    comparison: Comparison,
    manifest: Manifest,
    wall_seconds: float,
) -> Path:
    """Plots and report, in the output folder and in MLflow."""
    episode = next(job.suite.build())
    shown = {name: results[name][0] for name in ("ads", LEARNED)}
    curves = training_curves(policy)
    figures = {
        "costs.svg": cost_figure(comparison),
        "difference.svg": difference_figure(comparison),
        "day.svg": day_figure(shown, episode.inventory),
        "training.svg": curves_figure(curves),
    }
    for name, figure in figures.items():
        if figure is not None:
            write_atomically(job.folder / name, to_bytes(figure, "svg"))
            top.artifact(job.folder / name, "plots")
    facts = RunFacts(
        workload=job.config.workload,
        parts=tuple(PartFacts.of(p) for p in job.parts.values()),
        cluster=job.spec,
        seed=job.config.seed,
        budget_minutes=job.config.budget_minutes,
        wall_seconds=wall_seconds,
        finished=datetime.now(UTC),
        command=job.config.command,
        git_commit=git_commit(),
        versions=versions(),
    )
    data = ReportData(
        title="Quell: learned policy against rules",
        comparison=comparison,
        facts=facts,
        learned=LEARNED,
        day=ShownDay(f"{episode.day_name}, seed {episode.seed}", shown, episode.inventory),
        curves=curves,
        bundle=(str(job.bundle), manifest),
        notes=episode.notes,
    )
    report = job.folder / "report.html"
    write_report(report, data)
    top.artifact(report)
    top.tag("quell.verdict", verdict(comparison, LEARNED))
    notice(f"report written: {report}")
    return report


def _log_results(run: Run, results: Mapping[str, Sequence[EpisodeResult]]) -> None:
    """Every episode's figures as metrics by step, and all of them as a table."""
    rows = []
    for name, episodes in results.items():
        for i, result in enumerate(episodes):
            run.metrics({f"{name}/{key}": value for key, value in result.figures.items()}, i)
            rows.append({"planner": name, "seed": result.seed} | result.figures)
    run.table("episodes", rows)
