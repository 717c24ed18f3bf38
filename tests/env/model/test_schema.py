"""Whatever is wrong with a document is told in one sentence: file, key, what is allowed, value."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from quell.env.model.errors import DocumentError
from quell.env.model.snapshot import parse_snapshot, read_plan, read_snapshot
from tests.env.model.documents import EVERYTHING, GONE, GPU, PLAN, changed


def sentence_of(document: object, path: Path | None = None) -> str:
    """What is said about a bad snapshot; it must be one line that starts with the file's name."""
    with pytest.raises(DocumentError) as caught:
        if path is None:
            parse_snapshot(document, "web.json")
        else:
            read_snapshot(path)
    where, _, sentence = str(caught.value).partition(": ")
    assert where == (str(path) if path else "web.json")
    assert "\n" not in sentence
    return sentence


# Files that are not JSON


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b" \n\t", "the file is empty"),
        (b'{"format": "quell.clus', "not JSON: unterminated string starting at line 1, column 12"),
        (b'{"format":', "not JSON: expecting value at line 1, column 11"),
        (b"format: quell.cluster/1", "not JSON: expecting value at line 1, column 1"),
        (b"{}\n{}", "not JSON: extra data at line 2, column 1"),
        ('{"name": "caf\u00e9"}'.encode("latin-1"), "not UTF-8: byte 0xe9 at position 13"),
        ("{}".encode("utf-16"), "not UTF-8: byte 0xff at position 0"),
        (b"[" * 100_000, "lists and objects are nested too deeply"),
        (b'{"a": ' * 100_000, "lists and objects are nested too deeply"),
        (b'{"name": ' + b"1" * 5000 + b"}", "a number has too many digits"),
        (b'{"format": "quell.cluster/1", "format": "x"}', 'key "format" stands twice in one object'),
        (b'{"hosts": [{"id": "a", "id": "b"}]}', 'key "id" stands twice in one object'),
        (b"[]", "must be a JSON object (quell.cluster/1), not []"),
        (b"[1, 2]", "must be a JSON object (quell.cluster/1), not a list"),
        (b"null", "must be a JSON object (quell.cluster/1), not null"),
        (b'"web"', 'must be a JSON object (quell.cluster/1), not "web"'),
    ],
)
def test_a_file_that_is_no_json_object(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "web.json"
    path.write_bytes(content)
    assert sentence_of(None, path) == sentence


@pytest.mark.parametrize("content", ['{"name": "web",}', '{"hosts": [1,]}'])
def test_a_trailing_comma(tmp_path: Path, content: str) -> None:
    path = tmp_path / "web.json"
    path.write_text(content)
    assert sentence_of(None, path).startswith("not JSON: ")  # newer Pythons have better words for it


def test_a_folder(tmp_path: Path) -> None:
    assert sentence_of(None, tmp_path) == "cannot be read: Is a directory"


def test_a_missing_file(tmp_path: Path) -> None:
    assert sentence_of(None, tmp_path / "none.json") == "cannot be read: No such file or directory"


def test_deep_nesting_that_json_still_reads(tmp_path: Path) -> None:
    path = tmp_path / "web.json"
    path.write_text(json.dumps(EVERYTHING | {"name": None}).replace('"name": null', f'"name": {"[" * 900}{"]" * 900}'))
    assert sentence_of(None, path) == "name: must be text, not a list"


# Documents that are not as specified: what is changed in EVERYTHING, and the sentence

KNOWN_SESSION_KEYS = "id, controller, storage_cpu_demand_cores"
NO_HOST = "is no host of this cluster"
NO_TIME = "time: must be an RFC 3339 time such as 2026-01-01T12:00:00Z"

BAD_SNAPSHOTS: list[tuple[str, object, str]] = [
    # format
    ("format", GONE, 'format: required key is missing (must be "quell.cluster/1")'),
    ("format", "quell.plan/1", 'format: must be "quell.cluster/1", not "quell.plan/1"'),
    ("format", "quell.cluster/2", 'format: must be "quell.cluster/1", not "quell.cluster/2"'),
    ("format", 1, 'format: must be "quell.cluster/1", not 1'),
    # unknown keys, at every level
    ("policy", [], 'policy: unknown key (did you mean "policies"?)'),
    ("hosts.1.cpu_core", 4, 'hosts[1].cpu_core: unknown key (did you mean "cpu_cores"?)'),
    ("hosts.0.gpus.0.modle", "A", 'hosts[0].gpus[0].modle: unknown key (did you mean "model"?)'),
    ("vms.2.cpu_demand", 4, 'vms[2].cpu_demand: unknown key (did you mean "cpu_demand_cores"?)'),
    ("vms.0.gpu.memory_gb", 4, 'vms[0].gpu.memory_gb: unknown key (did you mean "memory_gib"?)'),
    ("volume_groups.1.session", [], 'volume_groups[1].session: unknown key (did you mean "sessions"?)'),
    (
        "volume_groups.0.sessions.1.host",
        "host-1",
        f"volume_groups[0].sessions[1].host: unknown key; known are {KNOWN_SESSION_KEYS}",
    ),
    ("policies.0.host", ["host-0"], 'policies[0].host: unknown key (did you mean "hosts"?)'),
    ("settings.cpu_treshold", 0.8, 'settings.cpu_treshold: unknown key (did you mean "cpu_threshold"?)'),
    ("high_availability.failures", 1, 'high_availability.failures: unknown key (did you mean "host_failures"?)'),
    ("high_availability.a\nb", 1, 'high_availability."a\\nb": unknown key; known are mode, host_failures'),
    ("high_availability.(list)", 1, 'high_availability."(list)": unknown key; known are mode, host_failures'),
    # missing keys
    ("name", GONE, "name: required key is missing"),
    ("time", GONE, "time: required key is missing"),
    ("hosts", GONE, "hosts: required key is missing"),
    ("hosts.1.memory_gib", GONE, "hosts[1].memory_gib: required key is missing"),
    ("hosts.0.gpus.0.id", GONE, "hosts[0].gpus[0].id: required key is missing"),
    ("vms.2.host", GONE, "vms[2].host: required key is missing"),
    ("vms.2.cpu_demand_cores", GONE, "vms[2].cpu_demand_cores: required key is missing"),
    ("vms.0.gpu.memory_gib", GONE, "vms[0].gpu.memory_gib: required key is missing"),
    ("volume_groups.0.sessions.0.controller", GONE, "volume_groups[0].sessions[0].controller: required key is missing"),
    ("policies.1.vms", GONE, "policies[1].vms: required key is missing"),
    ("policies.0.hosts", GONE, "policies[0].hosts: required key is missing (kind is vm-host-affinity)"),
    # demand: NaN, infinity, negative, no number
    ("vms.2.cpu_demand_cores", math.nan, "vms[2].cpu_demand_cores: must be a finite number, not NaN"),
    ("vms.2.cpu_demand_cores", math.inf, "vms[2].cpu_demand_cores: must be a finite number, not Infinity"),
    ("vms.2.cpu_demand_cores", -1, "vms[2].cpu_demand_cores: must be 0 or more, not -1"),
    ("vms.2.cpu_demand_cores", "4", 'vms[2].cpu_demand_cores: must be a number or a list of numbers, not "4"'),
    ("vms.2.cpu_demand_cores", True, "vms[2].cpu_demand_cores: must be a number or a list of numbers, not true"),
    ("vms.2.cpu_demand_cores", None, "vms[2].cpu_demand_cores: must be a number or a list of numbers, not null"),
    (
        "vms.2.cpu_demand_cores",
        {"a": 1},
        "vms[2].cpu_demand_cores: must be a number or a list of numbers, not an object",
    ),
    ("vms.2.cpu_demand_cores", [], "vms[2].cpu_demand_cores: must be a list of at least 1 entry, not []"),
    ("vms.0.cpu_demand_cores.7", math.nan, "vms[0].cpu_demand_cores[7]: must be a finite number, not NaN"),
    ("vms.0.cpu_demand_cores.7", -math.inf, "vms[0].cpu_demand_cores[7]: must be a finite number, not -Infinity"),
    ("vms.0.cpu_demand_cores.7", -1.5, "vms[0].cpu_demand_cores[7]: must be 0 or more, not -1.5"),
    ("vms.0.cpu_demand_cores.7", "4", 'vms[0].cpu_demand_cores[7]: must be a number, not "4"'),
    ("vms.0.cpu_demand_cores.7", False, "vms[0].cpu_demand_cores[7]: must be a number, not false"),
    ("vms.0.cpu_demand_cores.7", None, "vms[0].cpu_demand_cores[7]: must be a number, not null"),
    ("vms.0.cpu_demand_cores.7", [1.0], "vms[0].cpu_demand_cores[7]: must be a number, not a list"),
    ("vms.1.storage_cpu_demand_cores.0", -1, "vms[1].storage_cpu_demand_cores[0]: must be 0 or more, not -1"),
    (
        "volume_groups.0.sessions.1.storage_cpu_demand_cores.2",
        math.nan,
        "volume_groups[0].sessions[1].storage_cpu_demand_cores[2]: must be a finite number, not NaN",
    ),
    # capacities and sizes
    ("hosts.0.cpu_cores", 0, "hosts[0].cpu_cores: must be above 0, not 0"),
    ("hosts.0.memory_gib", -1, "hosts[0].memory_gib: must be above 0, not -1"),
    ("hosts.0.storage_cpu_cores", 0.0, "hosts[0].storage_cpu_cores: must be above 0, not 0.0"),
    ("hosts.0.cpu_cores", math.nan, "hosts[0].cpu_cores: must be a finite number, not NaN"),
    ("hosts.0.cpu_cores", "40", 'hosts[0].cpu_cores: must be a number, not "40"'),
    ("hosts.0.cpu_cores", True, "hosts[0].cpu_cores: must be a number, not true"),
    ("hosts.0.gpus.0.memory_gib", 0, "hosts[0].gpus[0].memory_gib: must be above 0, not 0"),
    ("vms.0.vcpus", 0, "vms[0].vcpus: must be above 0, not 0"),
    ("vms.0.memory_gib", 0, "vms[0].memory_gib: must be above 0, not 0"),
    ("vms.0.gpu.memory_gib", -12, "vms[0].gpu.memory_gib: must be above 0, not -12"),
    # words and switches
    ("hosts.0.state", "Up", 'hosts[0].state: must be "up", "maintenance" or "down", not "Up"'),
    ("hosts.0.state", None, 'hosts[0].state: must be "up", "maintenance" or "down", not null'),
    ("vms.0.power", "running", 'vms[0].power: must be "on" or "off", not "running"'),
    ("vms.0.ha", "yes", 'vms[0].ha: must be true or false, not "yes"'),
    ("vms.1.overcommit", 1, "vms[1].overcommit: must be true or false, not 1"),
    (
        "policies.1.kind",
        "anti-affinity",
        'policies[1].kind: must be "vm-host-affinity", "vm-vm-anti-affinity" or "vm-vm-affinity", not "anti-affinity"',
    ),
    ("high_availability.mode", "on", 'high_availability.mode: must be "guaranteed" or "best-effort", not "on"'),
    ("high_availability.host_failures", 3, "high_availability.host_failures: must be 1 or 2, not 3"),
    ("high_availability.host_failures", True, "high_availability.host_failures: must be 1 or 2, not true"),
    ("name", "", 'name: must be text of at least 1 character, not ""'),
    ("name", 7, "name: must be text, not 7"),
    ("vms.0.id", "\ud800", 'vms[0].id: must be valid Unicode text, not "\\ud800"'),
    # lists and objects
    ("hosts", [], "hosts: must be a list of at least 1 entry, not []"),
    ("hosts", {"host-0": {}}, "hosts: must be a list, not an object"),
    ("hosts.0", "host-0", 'hosts[0]: must be an object, not "host-0"'),
    ("hosts.0.gpus", None, "hosts[0].gpus: must be a list, not null"),
    ("vms", None, "vms: must be a list, not null"),
    ("vms.1", None, "vms[1]: must be an object, not null"),
    ("vms.0.gpu", "A40", 'vms[0].gpu: must be an object, not "A40"'),
    ("settings", [], "settings: must be an object, not []"),
    ("policies.0.vms", "vm-0", 'policies[0].vms: must be a list, not "vm-0"'),
    ("policies.0.hosts", [], "policies[0].hosts: must be a list of at least 1 entry, not []"),
    # ids that are not there
    ("vms.1.host", "hots-1", f'vms[1].host: "hots-1" {NO_HOST} (did you mean "host-1"?)'),
    ("vms.1.host", "zzz", f'vms[1].host: "zzz" {NO_HOST}'),
    (
        "volume_groups.0.sessions.1.controller",
        "hst-2",
        f'volume_groups[0].sessions[1].controller: "hst-2" {NO_HOST} (did you mean "host-2"?)',
    ),
    ("policies.2.vms.1", "vm_1", 'policies[2].vms[1]: "vm_1" is no VM of this cluster (did you mean "vm-1"?)'),
    ("policies.0.hosts.1", "zzz", f'policies[0].hosts[1]: "zzz" {NO_HOST}'),
    # ids that are there twice
    ("hosts.2.id", "host-0", 'hosts[2].id: "host-0" is the id of hosts[0] already'),
    ("vms.1.id", "vm-0", 'vms[1].id: "vm-0" is the id of vms[0] already (on host-0 there, on host-1 here)'),
    ("vms.2.id", "vm-0", 'vms[2].id: "vm-0" is the id of vms[0] already'),
    ("hosts.0.gpus.1", GPU, 'hosts[0].gpus[1].id: "gpu-0" is the id of hosts[0].gpus[0] already'),
    ("volume_groups.1.id", "backup", 'volume_groups[1].id: "backup" is the id of volume_groups[0] already'),
    (
        "volume_groups.1.sessions.0.id",
        "backup-1",
        'volume_groups[1].sessions[0].id: "backup-1" is the id of volume_groups[0].sessions[1] already',
    ),
    ("policies.1.id", "licence", 'policies[1].id: "licence" is the id of policies[0] already'),
    ("policies.1.vms", ["vm-0", "vm-0"], 'policies[1].vms[1]: "vm-0" stands twice'),
    # keys that go with others
    ("policies.1.hosts", ["host-0"], "policies[1].hosts: has no meaning where kind is vm-vm-anti-affinity"),
    ("vms.1.memory_swap_gib", GONE, "vms[1].memory_swap_gib: required key is missing (overcommit is true)"),
    ("vms.0.memory_swap_gib", 1.5, "vms[0].memory_swap_gib: 1.5 is given, but overcommit is false"),
    ("vms.1.overcommit", False, "vms[1].memory_usage_gib: 8.0 is given, but overcommit is false"),
    ("vms.1.memory_swap_gib", -1, "vms[1].memory_swap_gib: must be 0 or more, not -1"),
    ("vms.1.memory_minimum_gib", 33, "vms[1].memory_minimum_gib: must be at most memory_gib (32), not 33"),
    # time
    ("time", "yesterday", f'{NO_TIME}, not "yesterday"'),
    ("time", "2026-02-30T00:00:00Z", f'{NO_TIME}, not "2026-02-30T00:00:00Z"'),
    ("time", "2026-01-01", f'{NO_TIME}, not "2026-01-01"'),
    ("time", "2026-01-01T12:00:00", 'time: "2026-01-01T12:00:00" has no UTC offset (such as Z or +01:00)'),
    ("time", 1767268800, "time: must be text, not 1767268800"),
    # settings
    ("settings.cpu_threshold", 0, "settings.cpu_threshold: must be above 0, not 0"),
    ("settings.cpu_threshold", 85, "settings.cpu_threshold: must be at most 1, not 85"),
    ("settings.storage_cpu_threshold", math.nan, "settings.storage_cpu_threshold: must be a finite number, not NaN"),
    ("settings.trend_window_seconds", 0, "settings.trend_window_seconds: must be above 0, not 0"),
    ("settings.observation_seconds", -1, "settings.observation_seconds: must be 0 or more, not -1"),
    ("settings.session_move_cost_gib", "1", 'settings.session_move_cost_gib: must be a number, not "1"'),
]


@pytest.mark.parametrize(("path", "value", "sentence"), BAD_SNAPSHOTS, ids=[f"{p}={v!r}" for p, v, _ in BAD_SNAPSHOTS])
def test_a_bad_snapshot_is_told_in_one_sentence(path: str, value: object, sentence: str) -> None:
    assert sentence_of(changed(EVERYTHING, path, value)) == sentence


def test_a_misspelt_required_key_is_told_as_such_and_not_as_missing() -> None:
    document = changed(changed(EVERYTHING, "hosts.1.cpu_cores", GONE), "hosts.1.cpu_cors", 40)
    assert sentence_of(document) == 'hosts[1].cpu_cors: unknown key (did you mean "cpu_cores"?)'


def test_a_number_too_large_for_a_float(tmp_path: Path) -> None:
    path = tmp_path / "web.json"
    path.write_text(json.dumps(EVERYTHING).replace("512.5", "1e999"))
    assert sentence_of(None, path) == "hosts[2].memory_gib: must be a finite number, not Infinity"


def test_a_long_value_is_cut() -> None:
    sentence = sentence_of(changed(EVERYTHING, "vms.0.host", "h" * 10_000))
    assert len(sentence) < 120
    assert sentence.startswith('vms[0].host: "hhhh')


# Bad plans: what is changed in PLAN, and the sentence

BAD_PLANS: list[tuple[str, object, str]] = [
    ("format", "quell.cluster/1", 'format: must be "quell.plan/1", not "quell.cluster/1"'),
    ("format", GONE, 'format: required key is missing (must be "quell.plan/1")'),
    ("cluster", GONE, "cluster: required key is missing"),
    ("status", GONE, "status: required key is missing"),
    (
        "status",
        "done",
        'status: must be "planned", "no-contention", "refused", "observing", "placed" or "rejected", not "done"',
    ),
    ("moves", {}, "moves: must be a list, not {}"),
    ("moves.0.kind", "host", 'moves[0].kind: must be "vm" or "session", not "host"'),
    ("moves.0.source", GONE, "moves[0].source: required key is missing"),
    ("moves.0.sources", "a", 'moves[0].sources: unknown key (did you mean "source"?)'),
    ("moves.1.target", None, "moves[1].target: must be text, not null"),
    ("moves.1.cost_gib", -1, "moves[1].cost_gib: must be 0 or more, not -1"),
    ("moves.1.cost_gib", math.nan, "moves[1].cost_gib: must be a finite number, not NaN"),
    ("moves.1.cost_gib", "1", 'moves[1].cost_gib: must be a number, not "1"'),
    (
        "contentions.0.kind",
        "memory",
        'contentions[0].kind: must be "cpu", "storage-cpu", "memory-swap" or "maintenance", not "memory"',
    ),
    ("contentions.0.utilization", math.inf, "contentions[0].utilization: must be a finite number, not Infinity"),
    ("contentions.1.swap", 1, 'contentions[1].swap: unknown key (did you mean "swap_gib"?)'),
    ("resizes.0.memory_gib", -1, "resizes[0].memory_gib: must be 0 or more, not -1"),
    ("resizes.0.gib", 1, "resizes[0].gib: unknown key; known are vm, host, memory_gib"),
    ("cost_gib", True, "cost_gib: must be a number, not true"),
    ("solve_seconds", -1, "solve_seconds: must be 0 or more, not -1"),
    ("proven", "yes", 'proven: must be true or false, not "yes"'),
]


@pytest.mark.parametrize(("path", "value", "sentence"), BAD_PLANS, ids=[f"{p}={v!r}" for p, v, _ in BAD_PLANS])
def test_a_bad_plan_is_told_in_one_sentence(tmp_path: Path, path: str, value: object, sentence: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(changed(PLAN, path, value)))
    with pytest.raises(DocumentError) as caught:
        read_plan(file)
    assert str(caught.value) == f"{file}: {sentence}"
