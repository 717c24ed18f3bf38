"""`quell plan` and `quell explain` as people meet them: limits, proofs, empty and hostile ids."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from quell.baseline.exact import PROOF_FACTOR
from quell.env.model.errors import QuellError
from quell.env.model.snapshot import read_snapshot, snapshot_document
from quell.experiments.cli import main
from quell.experiments.explaining import explain_snapshot
from quell.experiments.explanation_document import explanation_document
from quell.experiments.limit import seconds_of
from quell.experiments.planning import plan_snapshot, with_limit
from tests.baseline.test_explain import hard_to_refuse, take_proofs
from tests.builders import build_cluster, vm

EXAMPLE = Path(__file__).parents[2] / "examples" / "three-hosts.json"


@pytest.fixture
def hard(tmp_path: Path) -> Path:
    """A cluster without a plan, which takes CP-SAT to prove."""
    path = tmp_path / "hard.json"
    path.write_text(json.dumps(snapshot_document(hard_to_refuse())))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The exit code of `quell ARGUMENTS`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["quell", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return int(exit_info.value.code or 0)


class TestLimit:
    @pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9", "soon", ""])
    @pytest.mark.parametrize("command", ["plan", "explain"])
    def test_a_limit_nobody_can_keep_is_one_sentence(
        self, command: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
    ) -> None:
        assert run(monkeypatch, command, EXAMPLE, "--limit", text) == 2
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.count("\n") == 1
        assert printed.err == f"error: --limit: must be seconds, above 0 and at most 86,400, not {text!r}\n"

    @pytest.mark.parametrize(("text", "seconds"), [("5", 5), ("0.25", 0.25), ("86400", 86_400)])
    def test_a_limit(self, text: str, seconds: float) -> None:
        assert seconds_of(text) == seconds

    def test_planners_that_do_not_search_take_none(self) -> None:
        with pytest.raises(QuellError, match="--limit: planner 'none' does not search"):
            plan_snapshot(EXAMPLE, "none", 1.0)

    @pytest.mark.parametrize("name", ["tuned", "spread"])
    def test_rules_for_which_ads_may_answer_take_one(self, name: str) -> None:
        assert with_limit(read_snapshot(EXAMPLE), name, 1.0).inventory.settings.solve_limit_seconds == 1
        assert plan_snapshot(EXAMPLE, name, 1.0).planner == name

    def test_ads_searches_and_exact_proves_that_long_in_all(self) -> None:
        cluster = read_snapshot(EXAMPLE)
        assert with_limit(cluster, "ads", 7.0).inventory.settings.solve_limit_seconds == 7
        assert with_limit(cluster, "exact", 8.0).inventory.settings.solve_limit_seconds * PROOF_FACTOR == 8
        assert with_limit(cluster, "none", None) is cluster

    def test_the_help_tells_what_holds_without_it(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
    ) -> None:
        for command in ("plan", "explain"):
            assert run(monkeypatch, command, "--help") == 0
            words = capsys.readouterr().out.replace("│", " ").split()
            assert f"{PROOF_FACTOR:g} times that for exact" in " ".join(words)


class TestProof:
    def test_exact_tells_its_own_proof(
        self, hard: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        take_proofs(monkeypatch)
        assert run(monkeypatch, "explain", hard, "-p", "exact") == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "Every plan is blocked by 3 facts: " in said and "not proven" not in said

    def test_ads_says_what_it_could_not_prove(
        self, hard: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        take_proofs(monkeypatch)
        assert run(monkeypatch, "explain", hard, "--limit", "0.05") == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "It is not proven that there is no plan. No plan was found with these 3 facts in force: " in said

    def test_the_document_tells_what_is_proven(self, hard: Path) -> None:
        found = explanation_document(explain_snapshot(hard, "exact"))
        assert found["format"] == "quell.explanation/1" == next(iter(found.values()))
        assert (found["refusal_proven"], found["facts_proven"], found["proven"]) == (True, True, True)


class TestIds:
    @pytest.mark.parametrize(("command", "what"), [("explain", "VM or session"), ("place", "VM")])
    def test_an_empty_id(
        self, command: str, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(monkeypatch, command, EXAMPLE, "--vm", "") == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err == f"error: {EXAMPLE}: --vm: the id is empty, it must be that of a {what} of this cluster\n"

    @pytest.mark.parametrize(
        "arguments",
        [["plan"], ["explain"], ["explain", "--vm"], ["place", "--vm"], ["check"], ["explain", "--vm", "?"]],
    )
    def test_hostile_ids_reach_no_terminal(
        self,
        arguments: Sequence[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        mover, waiter = "\x1b]0;owned\x07" + "m" * 4_000, "w\u202e\n\x1b[2J"
        vms = [vm("heavy\r", 0, cpu=60, memory_gib=99), vm(mover, 0, cpu=40), vm(waiter, -1)]
        path = tmp_path / "hostile.json"
        path.write_text(json.dumps(snapshot_document(build_cluster(2, vms, name="\x1b[31mred"))))
        plan = tmp_path / "plan.json"
        assert run(monkeypatch, "plan", path, "--output", plan) == 0
        document = json.loads(plan.read_text())
        assert document["moves"][0]["id"] == mover, "JSON is exact"
        plan.write_text(json.dumps(document | {"moves": [document["moves"][0] | {"cost_gib": 1}]}))
        capsys.readouterr()
        command, *rest = arguments
        if rest == ["--vm"]:
            rest.append(waiter if command == "place" else mover)
        run(monkeypatch, command, path, *([plan] if command == "check" else []), *rest)
        printed = capsys.readouterr()
        said = printed.out + printed.err
        assert said and all(line.isprintable() for line in said.split("\n"))
        assert "m" * 100 not in said.replace("\n", "").replace(" ", "")
