"""Peers: our cluster in their format, their answers as moves, and what our rules say of them. No peer is needed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from quell.env.model.cluster import HostState
from quell.env.model.errors import QuellError
from quell.env.model.rules import Reason
from quell.env.model.state import State, state_of
from quell.experiments import peer_hbal, peer_proxlb
from quell.experiments.peers import find_peers, judge_moves
from tests.builders import apart, build_cluster, host, pinned, session, together, vm


@pytest.fixture
def state() -> State:
    """Host 0 is hot (90 of 100 cores), host 2 rests; a and c keep apart, b stays on 0 or 1, c and d stay together."""
    vms = [vm("a", 0, 50, 20), vm("b", 0, 40, 10), vm("c", 1, 20, 5), vm("d", 1, 10, 5), vm("off", 1, 9, is_on=False)]
    rules = [apart("a", "c"), pinned("b", hosts=[0, 1]), together("c", "d")]
    sessions = [session("s", 1, 0.5)]
    return state_of(build_cluster(3, vms, sessions=sessions, rules=rules, maintenance=[2]))


def test_the_cluster_as_hbal_reads_it(state: State) -> None:
    groups, nodes, instances, tags = peer_hbal.cluster_text(state).rstrip("\n").split("\n\n")
    assert groups.count("|") == 4
    assert [line.split("|")[0] for line in nodes.splitlines()] == ["h0", "h1", "h2"]
    assert [line.split("|")[7] for line in nodes.splitlines()] == ["N", "N", "Y"]
    assert {len(line.split("|")) for line in nodes.splitlines()} == {15}
    a, b, c, d = (line.split("|") for line in instances.splitlines())
    assert (a[0], a[1], a[6], a[9]) == ("m0", "20480", "h0", "apart:0")
    assert (b[9], c[6], c[9]) == ("", "h1", "apart:0")
    assert tags == "htools:iextags:apart"
    shares = dict(line.split(" ", 1) for line in peer_hbal.utilization_text(state).splitlines())
    assert shares["m0"].startswith("0.500000 ") and "m4" not in shares


COMMANDS = """Solution length=2
  echo jobset 1, 1 jobs
    gnt-instance migrate -f -n h1 m0
  echo jobset 2, 1 jobs
    gnt-instance migrate -f -n h0 m2
"""


def test_commands_become_moves_in_their_order(state: State) -> None:
    assert peer_hbal.parse_commands(COMMANDS, state) == [(0, 1), (2, 0)]


@pytest.mark.parametrize(
    "line",
    ["gnt-instance replace-disks -n h1 m0", "gnt-instance migrate -f -n h9 m0", "gnt-instance migrate -f -n h1 m5"],
)
def test_commands_that_are_no_moves(state: State, line: str) -> None:
    with pytest.raises(QuellError, match="hbal answers with"):
        peer_hbal.parse_commands(line, state)


def fake(folder: Path, body: str) -> str:
    """A program that does what the lines say."""
    program = folder / "fake"
    program.write_text(f"#!{sys.executable}\n{body}\n")
    program.chmod(0o755)
    return str(program)


def test_a_program_is_given_both_files(state: State, tmp_path: Path) -> None:
    body = (
        "import sys\n"
        "assert 'm0|20480' in open(sys.argv[2]).read() and open(sys.argv[4]).read().startswith('m0 ')\n"
        "print('gnt-instance migrate -f -n h1 m0')"
    )
    assert peer_hbal.hbal_moves(state, 60, fake(tmp_path, body)) == [(0, 1)]


def test_vms_bound_by_rules_it_does_not_know_stay(tmp_path: Path) -> None:
    """The pinned, those with a vGPU and those kept together; but all may leave the host in maintenance."""
    vms = [vm("a", 0), vm("pin", 0), vm("gpu", 0, vgpu_gib=8), vm("x", 1), vm("y", 1), vm("z", 0), vm("leaves", 2)]
    rules = [pinned("pin", "leaves", hosts=[0, 1]), together("x", "y", "z")]
    hosts = [host("host-0", gpus=1), host("host-1"), host("host-2", state=HostState.MAINTENANCE)]
    bound = state_of(build_cluster(hosts, vms, rules=rules))
    assert peer_hbal.held_vms(bound) == [1, 2, 3, 4]
    body = "import sys\nassert sys.argv[6:] == ['--exclude-instances=m1,m2,m3,m4'], sys.argv"
    assert peer_hbal.hbal_moves(bound, 60, fake(tmp_path, body)) == []


def test_a_program_that_fails_is_quoted(state: State, tmp_path: Path) -> None:
    with pytest.raises(QuellError, match="exit code 3: no luck"):
        peer_hbal.hbal_moves(state, 60, fake(tmp_path, "import sys\nprint('no luck', file=sys.stderr)\nsys.exit(3)"))
    with pytest.raises(QuellError, match="cannot be run"):
        peer_hbal.hbal_moves(state, 60, str(tmp_path / "absent"))


def test_a_program_that_takes_too_long_has_no_answer(state: State, tmp_path: Path) -> None:
    assert peer_hbal.hbal_moves(state, 0.05, fake(tmp_path, "import time\ntime.sleep(60)")) is None


def test_the_cluster_as_proxlb_reads_it(state: State) -> None:
    document = peer_proxlb.cluster_document(state)
    assert json.loads(json.dumps(document)) == document
    nodes, guests = document["nodes"], {guest["name"]: guest for guest in document["vms"]}
    assert [node["maintenance"] for node in nodes] == [False, False, True]
    assert nodes[0]["cpu_total"] == 8500, "hundredths of a core, up to the threshold"
    assert (guests["m0"]["cpu"], guests["m0"]["node"]) == (5000, "h0")
    assert guests["m0"]["memory"] == 20 * 1024**3
    assert (guests["m5"]["memory"], guests["m5"]["disks"]["controller"]) == (0, 50 * 1024**2), "the session"
    assert "m4" not in guests, "it is off"
    rules = document["constraints"]
    assert rules["anti_affinity"][0]["vms"] == ["m0", "m2"]
    assert rules["affinity"][0]["vms"] == ["m2", "m3"]
    assert rules["pin"] == [{"vm": "m1", "nodes": ["h0", "h1"]}]


def test_an_answer_becomes_moves(state: State) -> None:
    text = json.dumps({"feasible": True, "moves": [["m0", "h1"]], "seconds": 0.5})
    assert peer_proxlb.parse_answer(text, state) == ([(0, 1)], 0.5)
    nothing = json.dumps({"feasible": False, "moves": [], "seconds": 0.5})
    assert peer_proxlb.parse_answer(nothing, state) == (None, 0.5)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"feasible": true, "moves": [["m0"]], "seconds": 1}', '{"feasible": true, "moves": [["x", "h1"]]}'],
)
def test_answers_that_are_none(state: State, text: str) -> None:
    with pytest.raises(QuellError, match="which is no plan"):
        peer_proxlb.parse_answer(text, state)


def test_an_answer_about_another_cluster(state: State) -> None:
    with pytest.raises(QuellError, match="m99 to h1"):
        peer_proxlb.parse_answer('{"feasible": true, "moves": [["m99", "h1"]], "seconds": 1}', state)


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    peers, missing = find_peers(fake(tmp_path, "raise SystemExit(1)"))
    assert peers == []
    assert list(missing) == ["hbal", "proxlb-solver"]
    assert "apt-get" in missing["hbal"]
    assert f"not installed in {tmp_path}/fake" in missing["proxlb-solver"]


def test_a_python_that_does_not_exist_is_no_missing_peer(tmp_path: Path) -> None:
    with pytest.raises(QuellError, match="--proxlb-python: /nowhere/python does not exist"):
        find_peers("/nowhere/python")
    (tmp_path / "text").write_text("")
    with pytest.raises(QuellError, match="is no program"):
        find_peers(str(tmp_path / "text"))


def test_what_moves_break_is_counted_to_the_end(state: State) -> None:
    """a joins c (R4); b goes where it must not (R3), to a host that rests (R2); c leaves d behind (R5)."""
    verdict = judge_moves(state, [(0, 1), (1, 2), (2, 0)])
    assert verdict.broken[Reason.R4_VM_VM_ANTI_AFFINITY] == 1
    assert verdict.broken[Reason.R3_VM_HOST_AFFINITY] == 1
    assert verdict.broken[Reason.R2_HOST_STATE] == 1
    assert verdict.broken[Reason.R5_VM_VM_AFFINITY] == 1
    assert verdict.contended_hosts == 1, "the host in maintenance is not empty"
    assert verdict.cost_gib == 35
    assert not verdict.is_valid


def test_moves_that_our_rules_like() -> None:
    state = state_of(build_cluster(2, [vm("a", 0, 50, 20), vm("b", 0, 40, 10)]))
    verdict = judge_moves(state, [(1, 1)])
    assert verdict.is_valid and verdict.cost_gib == 10
    assert not judge_moves(state, []).is_valid, "host 0 is still hot"
