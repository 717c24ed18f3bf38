"""The report of an experiment: one HTML file with everything in it; it needs no network and reads in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from ..agents.manifest import Manifest
from ..env.model.cluster import Inventory
from ..env.model.files import write_atomically
from ..env.world.rounds import EpisodeResult
from ..env.world.split import TracePart
from ..env.world.workload import ClusterSpec
from .comparison import Comparison
from .markup import bullets, counted, definitions, embedded, section
from .plots import Curves, cost_figure, curves_figure, day_figure, difference_figure
from .report_table import comparison_tables
from .terminal import duration
from .verdict import CLAIM_EPISODES, findings, verdict

SHOWN_DAYS = 3  # with more, the first and the last stand for all
COMMIT_LETTERS = 12
LONGEST_VALUE = 120


@dataclass(frozen=True)
class PartFacts:
    """What one part of the split holds."""

    name: str
    vms: int
    days: tuple[str, ...]

    @staticmethod
    def of(part: TracePart) -> PartFacts:
        """The facts of a part."""
        return PartFacts(part.name, len(part.vms), tuple(part.trace.day_names[d] for d in part.days))


@dataclass(frozen=True)
class RunFacts:
    """What was run, and on what.

    Attributes:
        workload: as given, such as `bitbrains:2013-8`.
        parts: training, validation and test.
        cluster: size, load and scenario of the clusters.
        seed: of everything that is drawn.
        budget_minutes: time allowed for training; None where nothing was trained.
        wall_seconds: time the whole run took.
        finished: when it ended.
        command: the command line that does it again.
        git_commit: of Quell's source; None where unknown.
        versions: (name, version) of Python, Quell and what they stand on.
    """

    workload: str
    parts: tuple[PartFacts, ...]
    cluster: ClusterSpec
    seed: int
    budget_minutes: float | None
    wall_seconds: float
    finished: datetime
    command: str
    git_commit: str | None
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class ShownDay:
    """One episode under some planners, for the plot of utilization and moves."""

    name: str
    results: Mapping[str, EpisodeResult]
    inventory: Inventory


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything the report shows.

    Attributes:
        title: its heading.
        comparison: the evaluation on the test part.
        facts: what was run.
        learned: the learned policy's name in the comparison.
        day: one day to look at.
        curves: panels of training curves.
        bundle: path of the exported policy, as people should type it, and its manifest.
        notes: what else a reader must know: limits, failures, what the trace could not give.
    """

    title: str
    comparison: Comparison
    facts: RunFacts
    learned: str = "learned"
    day: ShownDay | None = None
    curves: tuple[Curves, ...] = ()
    bundle: tuple[str, Manifest] | None = None
    notes: tuple[str, ...] = ()


def write_report(path: Path, data: ReportData) -> None:
    """Writes the report, in one step.

    Raises:
        StoreError: the file cannot be written.
    """
    write_atomically(path, report_html(data))


def report_html(data: ReportData) -> str:
    """The report as an HTML document."""
    template = Template((files(__package__) / "templates" / "report.html").read_text(encoding="utf-8"))
    facts = data.facts
    subtitle = (
        f"{facts.workload}, {counted(data.comparison.episodes, 'test episode')}, {facts.finished:%Y-%m-%d %H:%M %Z}"
    )
    return template.substitute(
        title=escape(data.title),
        subtitle=escape(subtitle.rstrip()),
        verdict=escape(verdict(data.comparison, data.learned)),
        cautions="".join(f'<p class="caution">{escape(text)}</p>' for text in cautions(data.comparison, data.learned)),
        findings=bullets(findings(data.comparison)) or "<p>There is no reference to compare with.</p>",
        tables=comparison_tables(data.comparison, data.learned),
        cost_plots=_cost_plots(data.comparison),
        day=_day(data.day),
        training=_training(data.curves),
        facts=_run_facts(data),
        bundle=_bundle(data.bundle),
        notes=section("Notes", bullets(data.notes)) if data.notes else "",
    )


def cautions(comparison: Comparison, learned: str) -> tuple[str, ...]:
    """What weakens the figures, told before them."""
    found = []
    if comparison.episodes < CLAIM_EPISODES:
        found.append(
            f"Only {counted(comparison.episodes, 'episode')}: intervals are wide or not defined, "
            f"and below {CLAIM_EPISODES} episodes no winner is claimed."
        )
    for summary in comparison.planners:
        if summary.violations:
            broken = counted(summary.violations, "placement rule")
            found.append(f"{summary.planner} broke {broken}: the plans that did were refused whole and did nothing.")
    policy = comparison.summary(learned)
    if policy is not None and policy.trainings == 1:
        found.append(
            "The policy was trained once: how much it owes to the chance in its training is not in the intervals."
        )
    return tuple(found)


# ---- plots


def _cost_plots(comparison: Comparison) -> str:
    """Cost by planner, and differences to the reference."""
    caption = (
        "Cost of a day by planner: the mean terms of the middle half of its days, which add up to the interquartile "
        "mean, and that mean's 95 % interval."
    )
    plots = embedded("cost", cost_figure(comparison), caption)
    differences = difference_figure(comparison)
    if differences is not None:
        caption = (
            f"Cost compared with {comparison.against} on the same days, with 95 % intervals. "
            "An interval that touches 0 shows no difference."
        )
        plots += embedded("difference", differences, caption)
    return plots


def _day(day: ShownDay | None) -> str:
    if day is None:
        return ""
    caption = f"{day.name}: the same demand under each planner."
    return section("One day", embedded("day", day_figure(day.results, day.inventory), caption))


def _training(curves: Sequence[Curves]) -> str:
    figure = curves_figure(curves)
    return section("Training", embedded("training", figure, "Training curves.")) if figure else ""


# ---- what was run


def _run_facts(data: ReportData) -> str:
    """Everything needed to judge the figures and to get them again."""
    facts, cluster = data.facts, data.facts.cluster
    suites = "" if cluster.has_rules else ", without placement rules"
    pairs = [
        ("Workload", facts.workload),
        *((f"Part: {part.name}", f"{counted(part.vms, 'VM')}; {_days(part.days)}") for part in facts.parts),
        (
            "Clusters",
            f"{cluster.hosts} hosts, {cluster.vms_per_host} VMs a host, mean CPU load {cluster.load:.0%}{suites}",
        ),
        ("Scenario", str(cluster.scenario)),
        ("Episodes", f"{data.comparison.episodes}, seeds {_seed_range(data.comparison)}"),
        ("Seed", str(facts.seed)),
        ("Training budget", "none" if facts.budget_minutes is None else f"{facts.budget_minutes:g} minutes"),
        ("Wall time", duration(facts.wall_seconds)),
        ("Command", facts.command),
        ("Git commit", facts.git_commit or "unknown"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in facts.versions)),
    ]
    return definitions(pairs)


def _days(days: Sequence[str]) -> str:
    shown = ", ".join(days) if len(days) <= SHOWN_DAYS else f"{days[0]} to {days[-1]}"
    return f"{counted(len(days), 'day')}: {shown}"


def _seed_range(comparison: Comparison) -> str:
    seeds = [seed for _, seed in comparison.seeds]
    return f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else str(seeds[0])


def _bundle(bundle: tuple[str, Manifest] | None) -> str:
    """Where the policy is and what its manifest says."""
    if bundle is None:
        return ""
    path, manifest = bundle
    schema = manifest.feature_schema
    pairs = [
        ("File", path),
        (
            "Made",
            f"{manifest.created} by Quell {manifest.quell_version}, commit {manifest.git_commit[:COMMIT_LETTERS]}",
        ),
        (
            "Features",
            f"schema {schema.version}: {len(schema.candidate)} of a move, {len(schema.context)} of the cluster",
        ),
        ("Shortlist", f"{manifest.shortlist_size} moves in training"),
        ("Weights", f"sha256 {manifest.weights_sha256}"),
        *((f"Training: {key}", value) for key, value in _flat(manifest.training)),
        *((f"Metrics: {key}", value) for key, value in _flat(manifest.metrics)),
    ]
    return section("The exported policy", definitions(pairs))


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Keys and values of nested objects, `a.b` for the key b of the object a."""
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            yield f"{prefix}{key}", text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
