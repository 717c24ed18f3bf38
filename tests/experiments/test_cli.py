"""The command line as people meet it: exit codes, one sentence on bad input, documents that pass their own judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import run_cli

EXAMPLE = Path(__file__).parents[2] / "examples" / "three-hosts.json"


@pytest.fixture
def document() -> dict:
    """The example snapshot, to be spoilt."""
    return json.loads(EXAMPLE.read_text())


def test_plan_of_the_example_makes_room_first(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert run_cli(monkeypatch, "plan", str(EXAMPLE), "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    moves = [(m["id"], m["source"], m["target"]) for m in plan["moves"]]
    assert moves == [("batch-2", "host-c", "host-b"), ("db-1", "host-a", "host-c")]
    assert (plan["status"], plan["cost_gib"]) == ("planned", 60)


def test_a_written_plan_passes_check_and_a_changed_one_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    out = tmp_path / "plan.json"
    assert run_cli(monkeypatch, "plan", str(EXAMPLE), "--output", str(out)) == 0
    assert run_cli(monkeypatch, "check", str(EXAMPLE), str(out)) == 0
    plan = json.loads(out.read_text())
    plan["moves"].reverse()
    out.write_text(json.dumps(plan))
    capsys.readouterr()
    assert run_cli(monkeypatch, "check", str(EXAMPLE), str(out), "--json") == 1
    verdict = json.loads(capsys.readouterr().out)
    assert not verdict["valid"]
    assert verdict["violations"][0]["rule"] == "R8 no new contention"


NEWCOMER = {"id": "vm-9", "host": None, "vcpus": 8, "cpu_demand_cores": 2, "storage_cpu_demand_cores": 0.3}


@pytest.fixture
def busy(document: dict, tmp_path: Path) -> Path:
    """The example with VMs that wait for a host: one that has room after a move, one too large, one that is off."""
    document["vms"] += [
        NEWCOMER | {"memory_gib": 216},
        NEWCOMER | {"id": "giant", "memory_gib": 300},
        NEWCOMER | {"id": "off", "memory_gib": 1, "power": "off"},
    ]
    path = tmp_path / "busy.json"
    path.write_text(json.dumps(document))
    return path


def test_place_makes_room_and_check_agrees(
    busy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    out = tmp_path / "placement.json"
    assert run_cli(monkeypatch, "place", str(busy), "--vm", "vm-9", "--json", "--output", str(out)) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["status"], plan["vm"], plan["target"], plan["cost_gib"]) == ("placed", "vm-9", "host-c", 12)
    assert [m["reason"] for m in plan["moves"]] == ["makes room on host-c for vm-9"]
    assert plan == json.loads(out.read_text())
    assert run_cli(monkeypatch, "check", str(busy), str(out)) == 0
    out.write_text(json.dumps(plan | {"moves": [], "cost_gib": 0}))
    capsys.readouterr()
    assert run_cli(monkeypatch, "check", str(busy), str(out)) == 1
    assert "R1 memory: vm-9 needs 216.00 GiB, host-c has 212.00 GiB free" in capsys.readouterr().out


def test_a_rejected_placement_gives_its_reason_and_exit_code_1(
    busy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    out = tmp_path / "placement.json"
    assert run_cli(monkeypatch, "place", str(busy), "--vm", "giant", "--output", str(out)) == 1
    printed = capsys.readouterr().out
    assert "giant rejected" in printed and "3 of 3 lack memory" in printed
    assert json.loads(out.read_text())["target"] is None
    assert run_cli(monkeypatch, "check", str(busy), str(out)) == 0


@pytest.mark.parametrize(
    ("vm", "told"), [("vm-8", "did you mean 'vm-9'"), ("db-1", "is on host 'host-a' already"), ("off", "is off")]
)
def test_place_tells_a_vm_that_cannot_be_placed(
    vm: str, told: str, busy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run_cli(monkeypatch, "place", str(busy), "--vm", vm) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {busy}: --vm: ") and printed.err.count("\n") == 1 and told in printed.err


def explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    """The document of `quell explain ARGUMENTS`; the text is asked for too, and must not be empty."""
    assert run_cli(monkeypatch, "explain", *arguments) == 0
    assert capsys.readouterr().out.strip()
    assert run_cli(monkeypatch, "explain", *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_explain_tells_what_each_move_brings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    found = explained(monkeypatch, capsys, str(EXAMPLE))
    assert [(move["number"], move["id"]) for move in found["moves"]] == [(1, "batch-2"), (2, "db-1")]
    assert found["moves"][1]["effect"] == "relieves CPU of host-a (CPU 90.0% to 45.0%, threshold 85.0%)"
    assert [host["host"] for host in found["hosts"]] == ["host-a", "host-b", "host-c"]


def test_explain_of_a_vm_gives_the_rule_that_blocks_each_host(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    found = explained(monkeypatch, capsys, str(EXAMPLE), "--vm", "web-1")
    assert (found["fate"], found["host"], found["moves"]) == ("stays", "host-b", [])
    rules = {host["host"]: host["rule"] for host in found["hosts"]}
    assert rules == {"host-a": "R8 no new contention", "host-b": None, "host-c": "R3 vm-host-affinity"}
    assert found["if_it_had_to_move"]["cost_gib"] > 60


def test_explain_of_a_refusal_gives_the_facts_that_block_and_what_would_help(
    document: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    rule = {"id": "db-licence", "kind": "vm-host-affinity", "vms": ["db-1", "db-2"], "hosts": ["host-a"]}
    document["policies"].append(rule)
    path = tmp_path / "refused.json"
    path.write_text(json.dumps(document))
    found = explained(monkeypatch, capsys, str(path))
    assert (found["status"], found["proven"], found["plan_exists"]) == ("refused", True, False)
    assert [(fact["kind"], fact["host"], fact["rule"]) for fact in found["facts"]] == [
        ("cpu", "host-a", None),
        ("rule", None, "db-licence"),
    ]
    assert (found["facts"][0]["used"], found["facts"][0]["limit"], found["facts"][0]["unit"]) == (36, 34, "cores")
    assert [(repair["kind"], repair["cost_gib"]) for repair in found["repairs"]] == [("cpu", 0), ("rule", 60)]
    assert run_cli(monkeypatch, "explain", str(path)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Every plan is blocked by 2 facts: host-a is at 90.0% CPU, threshold 85.0%, and must lose 2.00" in said
    assert "Without rule db-licence, a plan exists (2 moves, 60.0 GiB, the cheapest)." in said


def test_explain_of_another_planner_tells_the_plan_that_exists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    found = explained(monkeypatch, capsys, str(EXAMPLE), "--planner", "none")
    assert (found["status"], found["plan_exists"], found["facts"]) == ("refused", True, [])
    assert run_cli(monkeypatch, "explain", str(EXAMPLE), "--planner", "none") == 0
    assert "A plan exists: ads finds one of 2 moves, 60.0 GiB." in capsys.readouterr().out


@pytest.mark.parametrize(("vm", "fate"), [("vm-9", "placed"), ("giant", "rejected"), ("off", "off")])
def test_explain_of_vms_without_a_host(
    vm: str, fate: str, busy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    found = explained(monkeypatch, capsys, str(busy), "--vm", vm)
    assert (found["fate"], found["host"]) == (fate, None)
    assert found["target"] == ("host-c" if fate == "placed" else None)


def test_explain_tells_an_id_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert run_cli(monkeypatch, "explain", str(EXAMPLE), "--vm", "db-9") == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    assert "--vm: 'db-9' is no VM or session of this cluster (did you mean" in printed.err


@pytest.mark.parametrize(("planner", "status"), [("none", "refused"), ("spread", "planned"), ("ads", "planned")])
def test_every_planner_answers(
    planner: str, status: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run_cli(monkeypatch, "plan", str(EXAMPLE), "--planner", planner, "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == status


def _spoil(document: dict, what: str) -> None:
    vm = document["vms"][0]
    match what:
        case "NaN":
            vm["cpu_demand_cores"] = float("nan")
        case "negative":
            vm["cpu_demand_cores"] = [1.0, -2.0]
        case "unknown host":
            vm["host"] = "host-z"
        case "two hosts":
            document["vms"].append(vm | {"host": "host-b"})
        case "empty cluster":
            document["hosts"] = []
        case "unknown key":
            vm["cpu_cores"] = 3


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("NaN", "vms[0].cpu_demand_cores"),
        ("negative", "vms[0].cpu_demand_cores[1]"),
        ("unknown host", "host-z"),
        ("two hosts", "db-1"),
        ("empty cluster", "hosts"),
        ("unknown key", "vms[0].cpu_cores"),
    ],
)
def test_bad_snapshots_give_one_sentence_and_exit_code_2(
    what: str, told: str, document: dict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    _spoil(document, what)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    out = tmp_path / "plan.json"
    assert run_cli(monkeypatch, "plan", str(path), "--output", str(out)) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and not out.exists()
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert str(path) in printed.err and told in printed.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("plan", "nowhere.json"), "nowhere.json"),
        (("plan", str(EXAMPLE), "--planner", "adz"), "did you mean 'ads'"),
        (("plan", str(EXAMPLE), "--planner", "clairvoyant"), "needs a simulated day"),
        (("plan", str(EXAMPLE), "--planner", "nowhere.quell"), "nowhere.quell"),
        (("plan", str(EXAMPLE), "--output", "/proc/none/plan.json"), "/proc/none/plan.json"),
        (("check", str(EXAMPLE), str(EXAMPLE)), "quell.plan/1"),
        (("simulate", "--workload", "bitbrains:nowhere"), "nowhere"),
        (("simulate", "--workload", "azure"), "azure"),
        (("simulate", "--plot", "day.gif"), ".png"),
        (("simulate", "--audits", "nowhere/audits.jsonl"), "nowhere/audits.jsonl"),
        (("simulate", "--planner", "spread", "--mode", "disabled"), "only ads can be disabled"),
        (("audits",), "quell-output/audits.jsonl: there is no such file"),
        (("audits", "--since", "noon"), "noon"),
        (("simulate", "--planner", "ads", "--planner", "ads"), "named twice"),
        (("run", "--workload", "planetlab:nowhere"), "nowhere"),
        (("run", "--store", "sqlite:////proc/none/mlflow.db"), "/proc/none"),
        (("run", "--output", "/proc/none/out"), "/proc/none/out"),
        (("train", "--device", "tpu"), "tpu"),
        (("bench", "speed"), "speed"),
        (("data", "fetch", "nothing"), "nothing"),
    ],
)
def test_bad_arguments_give_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(monkeypatch, *arguments) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and told in error[0]


def test_simulate_prints_every_episode_of_every_planner(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    plot = tmp_path / "day.svg"
    arguments = ("simulate", "-p", "none", "-p", "clairvoyant", "--hosts", "4-5", "--episodes", "2", "--json")
    assert run_cli(monkeypatch, *arguments, "--workers", "1", "--plot", str(plot)) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["cluster"]["hosts"], document["redraws"]) == ([4, 5], 0)
    none, clairvoyant = document["planners"]["none"], document["planners"]["clairvoyant"]
    assert [r["seed"] for r in none] == [r["seed"] for r in clairvoyant]
    assert all(r["violations"] == 0 for r in clairvoyant)
    assert sum(r["cost_core_minutes"] for r in clairvoyant) < sum(r["cost_core_minutes"] for r in none)
    assert "<svg" in plot.read_text()


def test_planning_with_rules_imports_nothing_heavy() -> None:
    """`quell plan` answers in an interpreter that never loads torch, gymnasium, MLflow or pandas."""
    code = (
        "import sys; sys.argv = ['quell', 'plan', sys.argv[1], '--json']\n"
        "from quell.experiments.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'stable_baselines3', 'sb3_contrib', 'gymnasium', 'mlflow', 'matplotlib', 'onnx'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(EXAMPLE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "planned"
