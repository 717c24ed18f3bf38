"""`quell bench plan` on a few small clusters: its figures are those of the answers."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from quell.env.model.cluster import Cluster
from quell.env.model.errors import QuellError, StoreError
from quell.env.model.plan import Plan, Status, moves_of
from quell.env.model.snapshot import read_snapshot, snapshot_document
from quell.env.model.state import state_of
from quell.experiments import bench_plan as bench_plan_module
from quell.experiments.bench_answers import Answer, peer_rows, planner_rows
from quell.experiments.bench_asking import ask, held, known_after
from quell.experiments.bench_plan import PlanBench, bench_plan
from quell.experiments.bench_plot import plans_figure
from quell.experiments.cases import Case
from quell.experiments.cli import main
from quell.experiments.instances import Size, draw_cluster
from quell.experiments.optimum import Known
from quell.experiments.peers import Peer, PeerAnswer
from quell.experiments.planning import check_plan
from quell.experiments.plots import to_bytes
from tests.builders import build_cluster, vm

ANSWER = Answer("8x96", "fresh-8x96-1", 8, "ads", "planned", True, 10.0, 2, 0.1, 0.2, best_gib=10.0)


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
    assert figures["peers"] == [] and figures["skipped"] == [] and figures["better"] == []
    assert [(a["cluster"], a["seed"]) for a in figures["answers"]] == [
        ("1", None),
        ("fresh-4x24-1", 1),
        ("fresh-4x24-2", 2),
    ]
    assert document["machine"]["cores"] >= 1 and document["reference_seconds"] > 0
    assert plot.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--sizes", "24"), "24x300"),
        (("--planners", "asd"), "did you mean 'ads'"),
        (("--sizes", ""), "neither --sizes nor --instances"),
        (("--plot", "plot.gif"), ".png or .svg"),
        (("--instances", "/nowhere"), "--instances: /nowhere does not exist"),
        (("--proxlb-python", "/nowhere/python"), "--proxlb-python: /nowhere/python does not exist"),
        (("--memory", "90"), "FROM-TO"),
        (("--limit", "0"), "--limit"),
        (("--save", "/proc/nowhere"), "--save: /proc/nowhere cannot be used"),
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


def tiny(hosts: int = 2) -> Case:
    """a must leave host-0; b is the cheaper one to move, at 10 GiB."""
    cluster = build_cluster(hosts, [vm("a", 0, 50, 20), vm("b", 0, 40, 10)])
    return Case("tiny", "one", cluster, 7)


class Fixed:
    """A planner with one answer for everything."""

    observes_after_plan = False

    def __init__(self, moves: list[tuple[int, int]] | None, name: str = "ads", *, proven: bool = False) -> None:
        self.name, self.moves, self.proven = name, moves, proven

    def plan(self, cluster: Cluster) -> Plan:
        moves = moves_of(state_of(cluster), self.moves or [])
        status = Status.REFUSED if self.moves is None else Status.PLANNED
        cost_gib = sum(move.cost_gib for move in moves)
        return Plan(cluster.name, self.name, status, "", moves=moves, cost_gib=cost_gib, proven=self.proven)


A_MOVES, B_MOVES = [(0, 1)], [(1, 1)]
"""20 GiB, 10 GiB."""


@pytest.mark.parametrize(
    ("known", "answers", "best_gib", "told"),
    [
        (Known(False, 10.0), {"ads": B_MOVES}, 10.0, ""),
        (Known(False, 10.0), {"ads": A_MOVES}, 10.0, ""),
        (Known(False, 20.0), {"ads": B_MOVES, "exact": A_MOVES}, 10.0, "10.00 GiB where optimum.json says 20.00 GiB"),
        (Known(True), {"ads": None, "exact": B_MOVES}, 10.0, "optimum.json says that no plan exists"),
        (Known(), {"ads": B_MOVES, "exact (proven)": A_MOVES}, 10.0, "the proof by exact (proven) says 20.00 GiB"),
        (Known(), {"ads (proven)": None, "exact": B_MOVES}, 10.0, "the proof by ads (proven) says that no plan exists"),
        (Known(), {"ads": A_MOVES}, None, ""),
        (Known(), {"ads (proven)": None}, None, ""),
    ],
)
def test_a_cheaper_valid_plan_takes_the_place_of_the_reference(
    known: Known, answers: dict[str, list[tuple[int, int]] | None], best_gib: float | None, told: str
) -> None:
    case = replace(tiny(), known=known)
    state = state_of(case.cluster)
    asked = [ask(case, state, Fixed(moves, name, proven="proven" in name))[0] for name, moves in answers.items()]
    found, better = known_after(case, asked)
    assert found.best_gib == best_gib
    assert told in str(better) if told else better is None
    ratios = {answer.planner: held(answer, found).ratio for answer in asked}
    for name, moves in answers.items():
        expected = (
            None
            if moves is None or best_gib is None
            else {10: 1.0, 20: 2.0}[sum(20 if m == 0 else 10 for m, _ in moves)]
        )
        assert ratios[name] == expected


def test_a_cheaper_plan_has_a_ratio_below_one() -> None:
    """It was clipped to 1."""
    assert replace(ANSWER, cost_gib=5.0).ratio == 0.5
    assert replace(ANSWER, cost_gib=10.004).ratio == 1.0


def test_a_wrong_proof_is_counted() -> None:
    beaten = replace(ANSWER, cost_gib=12.0)
    refused = replace(ANSWER, status="refused", is_refusal_right=False)
    (row,) = planner_rows([ANSWER, beaten, refused])
    assert row["wrongly_proven"] == 2


@pytest.mark.parametrize(
    ("peer", "measured", "reason"),
    [
        (Peer("p", lambda state, seconds: PeerAnswer([(1, 1)], 0.1, 0.1)), True, None),
        (Peer("p", lambda state, seconds: PeerAnswer(None, 0.1, 0.1)), True, None),
        (Peer("p", lambda state, seconds: fails()), False, "not asked any more after fresh-3x12-1: no luck"),
    ],
)
def test_every_peer_is_measured_or_told_of(
    monkeypatch: pytest.MonkeyPatch, peer: Peer, measured: bool, reason: str | None
) -> None:
    monkeypatch.setattr(bench_plan_module, "find_peers", lambda python: ([peer], {"absent": "not installed"}))
    figures = bench_plan(PlanBench(sizes=(Size(3, 12),), clusters=6, planners=("ads",)))
    assert ("p" in [row["planner"] for row in figures["peers"]]) == measured
    told = {entry["name"]: entry["reason"] for entry in figures["skipped"]}
    assert told.pop("absent") == "not installed"
    assert (reason is None and told == {}) or (reason is not None and "no luck" in told["p"])


def fails() -> PeerAnswer:
    """A peer that breaks."""
    raise QuellError("no luck")


def test_a_peer_with_nothing_to_do_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It vanished: neither measured nor skipped."""
    folder = tmp_path / "calm"
    folder.mkdir()
    (folder / "1.json").write_text(json.dumps(snapshot_document(build_cluster(2, [vm("a", 0, 10)]))))
    never = Peer("p", lambda state, seconds: fails())
    monkeypatch.setattr(bench_plan_module, "find_peers", lambda python: ([never], {}))
    figures = bench_plan(PlanBench(folder, planners=("ads",)))
    assert figures["peers"] == []
    assert [(entry["name"], "no cluster to ask about" in entry["reason"]) for entry in figures["skipped"]] == [
        ("p", True)
    ]


def test_saved_clusters_and_plans_can_be_judged_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    peer = Peer("p", lambda state, seconds: PeerAnswer([(1, 1)], 0.1, 0.1))
    monkeypatch.setattr(bench_plan_module, "find_peers", lambda python: ([peer], {}))
    bench = PlanBench(sizes=(Size(3, 12),), clusters=3, planners=("ads",), save=saved, limit_seconds=1.0)
    figures = bench_plan(bench)
    names = [f"fresh-3x12-{seed}" for seed in (1, 2, 3)]
    assert sorted(path.stem for path in (saved / "clusters").glob("*.json")) == names
    for answer in figures["answers"]:
        snapshot = saved / "clusters" / f"{answer['cluster']}.json"
        plan = saved / "plans" / answer["group"] / answer["planner"] / f"{answer['cluster']}.json"
        cluster = read_snapshot(snapshot)
        assert snapshot_document(cluster) == snapshot_document(draw_cluster(Size(3, 12), answer["seed"]))
        assert (check_plan(snapshot, plan) == ()) == (
            answer["broken"] == {} and answer["contended_hosts"] == 0 or answer["status"] != "planned"
        )
    with pytest.raises(StoreError, match="is not empty"):
        bench_plan(bench)


def test_a_limit_reaches_every_planner_that_searches() -> None:
    seen: dict[str, float] = {}

    class Looks(Fixed):
        def plan(self, cluster: Cluster) -> Plan:
            seen[self.name] = cluster.inventory.settings.solve_limit_seconds
            return super().plan(cluster)

    case = tiny()
    for name in ("ads", "exact", "none"):
        ask(case, state_of(case.cluster), Looks(None, name), 2.0)
    assert seen == {"ads": 2.0, "exact": 0.5, "none": 5.0}
