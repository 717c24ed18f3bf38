"""`quell bench plan` on a few small clusters: its figures are those of the answers."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from quell.env.model.snapshot import snapshot_document
from quell.experiments.bench_answers import Answer, peer_rows, planner_rows
from quell.experiments.bench_plot import plans_figure
from quell.experiments.cli import main
from quell.experiments.instances import Size, draw_cluster
from quell.experiments.plots import to_bytes

ANSWER = Answer("8x96", 8, "ads", "planned", True, 10.0, 2, 0.1, 0.2, best_gib=10.0)


def run_bench(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `quell bench plan ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["quell", "bench", "plan", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return int(exit_info.value.code or 0)


def test_a_small_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    folder, plot = tmp_path / "mine", tmp_path / "plans.svg"
    folder.mkdir()
    (folder / "1.json").write_text(json.dumps(snapshot_document(draw_cluster(Size(3, 12), 1))))
    options = ["--sizes", "4x24", "--clusters", "2", "--no-peers", "--planners", "ads"]
    assert run_bench(monkeypatch, *options, "--instances", str(folder), "--plot", str(plot), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    figures = document["plan"]
    assert [(row["group"], row["clusters"]) for row in figures["planners"]] == [("mine", 1), ("4x24", 2)]
    assert all(row["violations"] == 0 and row["median_cpu_seconds"] > 0 for row in figures["planners"])
    assert figures["peers"] == [] and figures["skipped"] == []
    assert document["machine"]["cores"] >= 1 and document["reference_seconds"] > 0
    assert plot.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--sizes", "24"), "24x300"),
        (("--planners", "asd"), "did you mean 'ads'"),
        (("--sizes", ""), "neither --sizes nor --instances"),
        (("--plot", "plot.gif"), ".png or .svg"),
        (("--instances", "/nowhere"), "holds no snapshot"),
    ],
)
def test_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, arguments: tuple[str, str], told: str
) -> None:
    assert run_bench(monkeypatch, *arguments) == 2
    assert told in capsys.readouterr().err.replace("\n", " ")


def test_rows_tell_refusals_costs_and_seconds() -> None:
    dear = replace(ANSWER, cost_gib=12.0, wall_seconds=0.3)
    refused = replace(ANSWER, status="refused", is_proven=False, cost_gib=0.0, is_refusal_right=False, wall_seconds=0.2)
    (row,) = planner_rows([ANSWER, dear, refused])
    assert (row["clusters"], row["planned"]) == (3, 2)
    assert (row["refused_proven"], row["refused_at_limit"], row["wrongly_refused"]) == (0, 1, 1)
    assert (row["share_at_optimum"], row["worst_cost_ratio"]) == (0.5, 1.2)
    assert row["median_wall_seconds"] == pytest.approx(0.2)


def test_a_plan_that_breaks_a_rule_has_no_ratio() -> None:
    broken = replace(ANSWER, planner="hbal", broken={"R8 no new contention": 2}, contended_hosts=1)
    (ours, theirs) = peer_rows([ANSWER, broken])
    assert (ours["valid_plans"], ours["worst_cost_ratio"]) == (1, 1.0)
    assert (theirs["valid_plans"], theirs["worst_cost_ratio"], theirs["hosts_still_contended"]) == (0, None, 1)
    assert theirs["rules_broken"] == {"R8 no new contention": 2}


def test_the_plot_shows_everybody() -> None:
    peer = replace(ANSWER, planner="hbal", cost_gib=30.0, broken={"R6 gpu": 1})
    answers = [ANSWER, replace(ANSWER, hosts=24), peer]
    figures = {"answers": [asdict(a) for a in answers], "planners": planner_rows([ANSWER]), "peers": peer_rows([peer])}
    text = to_bytes(plans_figure(figures), "svg").decode()
    assert "hbal" in text and ">3x<" in text
