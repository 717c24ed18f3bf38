"""The report: complete, self-contained, honest, and safe against what names and paths may hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from quell.agents.manifest import Manifest
from quell.env.gym.schema import FeatureSchema
from quell.env.model.cluster import Inventory
from quell.env.model.errors import StoreError
from quell.env.world.rounds import EpisodeResult
from quell.env.world.split import TracePart
from quell.env.world.trace import Trace
from quell.env.world.workload import ClusterSpec
from quell.experiments.compare import compare
from quell.experiments.plots import Curves, Series
from quell.experiments.report import PartFacts, ReportData, RunFacts, ShownDay, cautions, report_html, write_report
from quell.experiments.verdict import verdict

Results = dict[str, list[EpisodeResult]]

HOSTILE = "<script>alert('x')</script>&\"$title"
VOID = {"meta", "link", "br", "img", "path", "use", "image", "rect"}


class Checker(HTMLParser):
    """Collects ids and links, and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href"):
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(html: str) -> Checker:
    """The parsed report, all of whose elements are closed."""
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return checker


@pytest.fixture(scope="module")
def data(many_results: Results, result: Callable[..., EpisodeResult], inventory: Inventory) -> ReportData:
    """A report with everything in it."""
    facts = RunFacts(
        workload="bitbrains:2013-8",
        parts=(
            PartFacts("train", 350, tuple(f"2013-08-{day:02d}" for day in range(1, 20))),
            PartFacts("test", 99, ("2013-08-30",)),
        ),
        cluster=ClusterSpec(hosts=8, vms_per_host=15, load=0.65, scenario="mixed"),
        seed=17,
        budget_minutes=5.0,
        wall_seconds=412.0,
        finished=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        command="quell run --workload bitbrains:DATA --seed 17",
        git_commit="0123456789abcdef",
        versions=(("python", "3.11.7"), ("torch", "2.13.0")),
    )
    manifest = Manifest(
        feature_schema=FeatureSchema("3", ("a", "b"), ("c",)),
        shortlist_size=64,
        created="2026-01-02T03:00:00Z",
        quell_version="0.1.0",
        git_commit="0123456789abcdef",
        training={"ppo": {"learning_rate": 0.0003}},
        metrics={"difference_percent": -12.5},
        weights_sha256="f" * 64,
    )
    return ReportData(
        title="Quell: main job",
        comparison=compare(many_results, resamples=100),
        facts=facts,
        day=ShownDay("Seed 1", {"ads": result(), "learned": result()}, inventory),
        curves=(Curves("Imitation", "epoch", "loss", (Series("training", ((1.0, 2.0), (2.0, 1.0))),)),),
        bundle=("quell-output/policy.quell", manifest),
        notes=("The trace has no disk I/O.",),
    )


@pytest.fixture(scope="module")
def html(data: ReportData) -> str:
    """That report."""
    return report_html(data)


class TestContent:
    def test_everything_is_there(self, data: ReportData, html: str) -> None:
        text = checked(html).text
        for wanted in (
            verdict(data.comparison),
            "350 VMs; 19 days: 2013-08-01 to 2013-08-19",
            "99 VMs; 1 day: 2013-08-30",
            "8 hosts, 15 VMs a host, mean CPU load 65%",
            "Scenariomixed",
            "20, seeds 1 to 20",
            "quell run --workload bitbrains:DATA --seed 17",
            "0123456789abcdef",
            "torch 2.13.0",
            "0:06:52",
            "5 minutes",
            "2026-01-02 03:04 UTC",
            "schema 3: 2 of a move, 1 of the cluster",
            "ppo.learning_rate",
            "f" * 64,
            "The trace has no disk I/O.",
            "Imitation",
            "hour of the day",
        ):
            assert wanted in text, wanted
        for planner in data.comparison.planners:
            assert f"{planner.cost_core_minutes.value:,.0f}" in text

    def test_a_loss_stands_where_a_win_would(self, data: ReportData, suite: Callable[..., list[EpisodeResult]]) -> None:
        costs = [100.0, 120.0, 90.0, 80.0, 110.0, 105.0]
        lost = compare({"ads": suite(costs), "learned": suite([2 * cost for cost in costs])}, resamples=100)
        html = report_html(replace(data, comparison=lost))
        assert re.search(r'<p class="verdict">[^<]*the learned policy cost 100.0 % more than ads', html)
        assert re.search(r"<li>The learned policy cost 100.0 % more than ads", html)

    def test_parts_that_are_missing_leave_no_empty_sections(self, data: ReportData) -> None:
        bare = replace(data, day=None, curves=(), bundle=None, notes=())
        bare = replace(bare, facts=replace(data.facts, budget_minutes=None, git_commit=None))
        text = checked(report_html(bare)).text
        for heading in ("One day", "Training", "The exported policy", "Notes"):
            assert f"\n{heading}" not in text and f">{heading}<" not in text
        assert "Git commitunknown" in text

    def test_without_a_reference_it_is_still_a_report(
        self, data: ReportData, suite: Callable[..., list[EpisodeResult]]
    ) -> None:
        alone = replace(data, comparison=compare({"none": suite([5.0])}))
        assert "There is no reference to compare with." in checked(report_html(alone)).text


class TestCautions:
    def test_few_episodes_broken_rules_and_one_training_are_told_first(
        self, result: Callable[..., EpisodeResult]
    ) -> None:
        results = {"ads": [result()], "learned": [result(violations=2)]}
        few, broken, once = cautions(compare(results), "learned")
        assert few.startswith("Only 1 episode:")
        assert broken.startswith("learned broke 2 placement rules")
        assert once.startswith("The policy was trained once")

    def test_nothing_to_caution_of(self, many_results: Results) -> None:
        twice = many_results | {"learned": many_results["learned"] * 2}
        assert cautions(compare(twice, resamples=50), "learned") == ()


class TestSafety:
    def test_it_asks_for_nothing_outside_itself(self, html: str) -> None:
        for link in checked(html).links:
            assert link.startswith(("#", "data:")), link
        assert not re.search(r"@import|url\((?!#)|<script|<iframe", html)
        assert "default-src 'none'" in html

    def test_ids_are_unique_and_references_within_the_plots_hold(self, html: str) -> None:
        parsed = checked(html)
        assert len(parsed.ids) == len(set(parsed.ids))
        referred = set(re.findall(r"url\(#([^)]*)\)", html)) | {link[1:] for link in parsed.links if link[0] == "#"}
        assert referred and referred <= set(parsed.ids)

    def test_text_is_never_markup(self, data: ReportData, suite: Callable[..., list[EpisodeResult]]) -> None:
        hostile = replace(
            data,
            title=HOSTILE,
            comparison=compare({"ads": suite([1.0, 2.0]), HOSTILE: suite([2.0, 3.0])}, resamples=50),
            facts=replace(data.facts, workload=HOSTILE, command=HOSTILE, parts=(PartFacts(HOSTILE, 1, (HOSTILE,)),)),
            curves=(Curves(HOSTILE, HOSTILE, HOSTILE, (Series(HOSTILE, ((0.0, 1.0),)),)),),
            notes=(HOSTILE,),
        )
        html = report_html(hostile)
        assert "<script" not in html
        assert checked(html).text.count(HOSTILE) >= 8

    def test_plots_follow_the_page_from_light_to_dark(self, html: str) -> None:
        assert "prefers-color-scheme: dark" in html
        svg = html[html.index("<svg") : html.rindex("</svg>")]
        assert "#24292f" not in svg and "var(--ink)" in svg


class TestFile:
    def test_it_is_written_whole_or_not_at_all(self, data: ReportData, html: str, tmp_path: Path) -> None:
        write_report(tmp_path / "report.html", data)
        assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
        with pytest.raises(StoreError, match="report.html"):
            write_report(tmp_path / "missing" / "report.html", replace(data, day=None, curves=()))
        assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_part_facts_of_a_trace() -> None:
    ones = np.ones((4, 3 * 288), dtype=np.float32)
    vms = np.ones(4, dtype=np.float32)
    trace = Trace("toy", ("a", "b", "c", "d"), vms, vms, ones, None, ("mon", "tue", "wed"), True)
    facts = PartFacts.of(TracePart(trace, "test", np.array([1, 3]), (0, 2)))
    assert facts == PartFacts("test", 2, ("mon", "wed"))
