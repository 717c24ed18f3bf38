"""`quell bundle`: figures get into the bundle that they are of, and into no other; what a bundle says of itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quell.agents.bundle import MAX_BUNDLE_BYTES, load_bundle, shipped_bundle
from quell.agents.suites import with_suite
from quell.env.model.errors import QuellError
from quell.env.world.rounds import EpisodeResult
from quell.experiments.bundle_origin import bundles_of, check_same
from quell.experiments.bundle_text import bundle_text
from quell.experiments.compare import compare
from quell.experiments.terminal import console
from quell.experiments.training_spread import spread_document
from tests.command_line import run_cli

EXAMPLE = Path(__file__).parents[2] / "examples" / "three-hosts.json"
Results = dict[str, list[EpisodeResult]]
MANIFEST = load_bundle(shipped_bundle()).manifest
ORIGIN = {
    "kind": "policy",
    "variant": None,
    "weights_sha256": MANIFEST.weights_sha256,
    "forecaster_sha256": MANIFEST.forecaster.weights_sha256 if MANIFEST.forecaster else None,
}
SUITE = {
    "workload": "bitbrains:deep/in/some/folder/bitbrains.parquet",
    "part": "test",
    "hosts": [8, 16],
    "vms_per_host": 15,
    "load": [0.6, 0.75],
    "has_rules": True,
    "scenario": "ha",
    "episodes": 20,
    "seed": 1,
    "redraws": 0,
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the shipped bundle."""
    return Path(shutil.copy(shipped_bundle(), tmp_path / "policy.quell"))


@pytest.fixture
def document(many_results: Results) -> dict[str, Any]:
    """What `quell evaluate` would write of these results."""
    compared = compare(many_results, against=("ads", "forecast"), resamples=50)
    told = compared.to_json() | {"suite": SUITE, "made_with": {"quell_version": "0.1.0", "git_commit": "0123abc"}}
    return told | {"bundles": {"learned": ORIGIN, "forecast": ORIGIN | {"kind": "forecast"}}}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a document."""

    def write(document: Any) -> Path:
        path = tmp_path / "figures.json"
        path.write_text(json.dumps(document))
        return path

    return write


def test_the_policys_figures_are_recorded_and_shown(
    bundle: Path,
    document: dict[str, Any],
    write: Callable[[Any], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    figures = write(document | {"episode_days": ["2013-08-24", "2013-08-25"] * 10})
    assert run_cli(monkeypatch, "bundle", "record", str(bundle), str(figures), "--name", "other-days") == 0
    assert run_cli(monkeypatch, "bundle", "show", str(bundle), "--json") == 0
    manifest = json.loads(capsys.readouterr().out)
    assert (manifest["weights_sha256"], manifest["format"]) == (MANIFEST.weights_sha256, "quell.bundle/1")
    suite = manifest["metrics"]["suites"]["other-days"]
    assert suite["suite"]["workload"] == "bitbrains:bitbrains.parquet"  # of the path nothing but the name
    assert suite["against"] == {name: document["pairs"][name]["learned"] for name in ("ads", "forecast")}
    assert set(suite["planners"]) == set(document["planners"])
    own = document["planners"]["learned"]
    assert suite["planners"]["learned"] == {key: value for key, value in own.items() if key != "episodes"}
    assert bundle.stat().st_size < MAX_BUNDLE_BYTES
    assert run_cli(monkeypatch, "bundle", "show", str(bundle)) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "suite other-days 20 days built from 2 days of bitbrains:bitbrains.parquet, part test, 8 to 16 hosts" in shown
    )
    assert f"against ads ({document['planners']['ads']['cost_core_minutes']:,.0f}): -" in shown
    assert run_cli(monkeypatch, "plan", str(EXAMPLE), "--planner", str(bundle)) == 0


def test_another_output_leaves_the_bundle_as_it_is_and_keeps_the_spread(
    bundle: Path,
    document: dict[str, Any],
    many_results: Results,
    write: Callable[[Any], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
) -> None:
    spread = spread_document(compare(many_results, resamples=20), ("learned", "tuned"))
    output = tmp_path / "recorded.quell"
    asked = [str(bundle), str(write(document | {"spread": spread})), "--name", "days", "--output", str(output)]
    assert run_cli(monkeypatch, "bundle", "record", *asked) == 0
    assert bundle.read_bytes() == shipped_bundle().read_bytes()
    assert load_bundle(output).manifest.metrics["suites"]["days"]["spread"] == spread
    console.print(bundle_text(output))
    assert "Spread over 2 trainings: " in capsys.readouterr().out
    assert run_cli(monkeypatch, "bundle", "record", str(output), asked[1], "--name", "days") == 2
    assert run_cli(monkeypatch, "bundle", "record", str(output), asked[1], "--name", "days", "--replace") == 0


def _spoil(document: dict[str, Any], what: str) -> Any:
    match what:
        case "no object":
            return [document]
        case "quell simulate":
            return {"planners": {"ads": []}, "suite": {}}
        case "an older document":
            del document["bundles"]
        case "other weights":
            document["bundles"]["learned"] = ORIGIN | {"weights_sha256": "a" * 64}
        case "other forecaster":
            document["bundles"]["learned"] = ORIGIN | {"forecaster_sha256": "b" * 64}
        case "a part of it":
            document["bundles"] = {"learned@search": ORIGIN | {"variant": "search"}}
        case "its forecast only":
            del document["bundles"]["learned"]
        case "no bundle":
            document["bundles"] = {}
        case "a cost in words":
            document["planners"]["ads"]["cost_core_minutes"] = "much"
        case "an infinite cost":
            document["planners"]["learned"]["moved_gib"] = float("inf")
        case "no pair":
            del document["pairs"]["ads"]["learned"]
        case "half an interval":
            document["pairs"]["ads"]["learned"]["interval_percent"] = [1.0]
        case "a strange reference":
            document["against"] = "nobody"
        case "no seed":
            document["suite"] = {key: value for key, value in SUITE.items() if key != "seed"}
    return document


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("no object", "is no document of quell evaluate --output: it has no object 'suite'"),
        ("quell simulate", "it has no object 'pairs'"),
        ("an older document", "it has no object 'bundles'"),
        ("other weights", "but of learned (weights aaaaaaaaaaaa, forecaster"),
        ("other forecaster", "forecaster bbbbbbbbbbbb)"),
        ("a part of it", ", search)"),
        ("its forecast only", ", forecast)"),
        ("no bundle", "but of no bundle at all"),
        ("a cost in words", "planners.ads.cost_core_minutes is no finite number"),
        ("an infinite cost", "planners.learned.moved_gib is no finite number"),
        ("no pair", "pairs.ads.learned is no object"),
        ("half an interval", "pairs.ads.learned.interval_percent is no pair of low and high"),
        ("a strange reference", "against is none of the references"),
        ("no seed", "suite.seed is missing"),
    ],
)
def test_what_are_not_its_figures_is_told_and_nothing_is_written(
    what: str,
    told: str,
    bundle: Path,
    document: dict[str, Any],
    write: Callable[[Any], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    figures = write(_spoil(document, what))
    assert run_cli(monkeypatch, "bundle", "record", str(bundle), str(figures), "--name", "days") == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert str(figures) in printed.err and told in printed.err
    assert bundle.read_bytes() == shipped_bundle().read_bytes()
    assert {file.name for file in bundle.parent.iterdir()} == {"policy.quell", "figures.json"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["policy.quell", "nowhere.json", "--name", "days"], "nowhere.json cannot be read"),
        (["policy.quell", "policy.quell", "--name", "days"], "policy.quell is no valid JSON"),
        (["nowhere.quell", "figures.json", "--name", "days"], "bundle nowhere.quell: cannot be read"),
        (["figures.json", "figures.json", "--name", "days"], "the name must end in .quell"),
        (["policy.quell", "figures.json", "--name", "a b"], "no suite can be called 'a b'"),
        (["policy.quell", "figures.json", "--name", "days", "-o", "nowhere/a.quell"], "cannot be written"),
    ],
)
def test_files_that_do_not_serve(
    asked: list[str],
    told: str,
    bundle: Path,
    document: dict[str, Any],
    write: Callable[[Any], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    write(document)
    monkeypatch.chdir(bundle.parent)
    assert run_cli(monkeypatch, "bundle", "record", *asked) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and printed.count("\n") == 1 and told in printed
    assert bundle.read_bytes() == shipped_bundle().read_bytes()


def test_every_planner_with_a_bundle_is_tied_to_it(bundle: Path) -> None:
    name = str(bundle)
    told = bundles_of(["ads", name, f"{name}@search", f"forecast:{name}"])
    assert told == {
        "learned": ORIGIN,
        "learned@search": ORIGIN | {"variant": "search"},
        "forecast": ORIGIN | {"kind": "forecast"},
    }
    assert bundles_of(["none", "ads", "tuned"]) == {}
    assert bundles_of(["learned", "forecast"])["learned"] == ORIGIN


def test_a_bundle_that_was_replaced_meanwhile_spoils_the_figures(bundle: Path) -> None:
    before = bundles_of([str(bundle)])
    check_same([str(bundle)], before)
    with pytest.raises(QuellError, match="'learned': its bundle was replaced while it was evaluated"):
        check_same([str(bundle)], {"learned": ORIGIN | {"weights_sha256": "0" * 64}})


def test_a_suite_of_another_form_does_not_keep_the_rest_from_being_shown(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    bundle.write_bytes(with_suite(bundle.read_bytes(), bundle, "odd", {"planner": "\x1b[31m"}))
    console.print(bundle_text(bundle))
    told = capsys.readouterr().out
    assert "of another form than this Quell records" in told and "\x1b" not in told and "seed 1" in told
