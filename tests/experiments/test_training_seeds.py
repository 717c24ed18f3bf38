"""`quell train --seeds` with a training that takes no time: which bundles there are, what is told, what stays."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch as th

from quell.agents.bundle import load_bundle
from quell.agents.config import TrainConfig
from quell.agents.manifest import Manifest
from quell.agents.network import CandidateScorer
from quell.agents.train import TrainedPolicy, TrainObserver
from quell.env.gym.features import SCHEMA
from quell.env.model.errors import QuellError
from quell.env.world.split import TracePart
from quell.experiments import training
from quell.experiments.training_seeds import seed_output, seeds_of, train_seeds
from tests.command_line import run_cli

Written = dict[str, Mapping[str, Any]]


@pytest.mark.parametrize(
    ("text", "seeds"), [("1-5", (1, 2, 3, 4, 5)), ("7", (7,)), ("1,4,9", (1, 4, 9)), ("1-3, 8", (1, 2, 3, 8))]
)
def test_seeds_are_numbers_and_ranges(text: str, seeds: tuple[int, ...]) -> None:
    assert seeds_of(text) == seeds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must be whole numbers and ranges"),
        ("1-", "must be whole numbers and ranges"),
        ("one", "must be whole numbers and ranges"),
        ("5-1", "the range must rise, and 5 is more than 1"),
        ("1-3,2", "2 stands there twice"),
        ("1-2000", "more than 500 trainings"),
        ("9999999999", "is more than 4294967295"),
    ],
)
def test_what_are_no_seeds(text: str, told: str) -> None:
    with pytest.raises(QuellError, match=told):
        seeds_of(text)


def test_each_seed_has_a_bundle_of_its_own() -> None:
    assert seed_output("out/my.policy.quell", 12) == "out/my.policy.seed-12.quell"


@pytest.fixture
def store(new_store: Path, tmp_path: Path) -> str:
    """A store that is there already."""
    shutil.copy(new_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def train_cli(store: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The exit code of `quell train --output OUTPUT ARGUMENTS` on that store."""
    return lambda output, *arguments: run_cli(
        monkeypatch, "train", *arguments, "--output", str(output), "--store", store
    )


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Trainings that are over at once, costing a hundredth of their seed; the function says which seed a signal stops.

    It is Ctrl-C unless another is named, and comes after there is a policy unless `is_early`.
    """
    stopped: dict[int, tuple[int, bool]] = {}

    def stop(seed: int, number: int = signal.SIGINT, *, is_early: bool = False) -> None:
        stopped[seed] = number, is_early

    def train(first: TracePart, second: TracePart, config: TrainConfig, observer: TrainObserver) -> TrainedPolicy:
        th.manual_seed(config.seed)
        scorer = CandidateScorer(len(SCHEMA.candidate), len(SCHEMA.context), width=1)
        figures = {"validation_cost_ratio": config.seed / 100, "validation_moved_gib": 1.0}
        policy = TrainedPolicy(scorer, config, figures)
        number, is_early = stopped.get(config.seed, (0, False))
        if not is_early:
            observer.best(policy)
        if number:
            signal.raise_signal(number)
        return policy

    def export(scorer: CandidateScorer, path: Path, fields: Any, forecaster: object) -> Manifest:
        told = {"training": fields.training, "metrics": fields.metrics}
        path.write_text(json.dumps(told))
        return Manifest(**vars(fields), weights_sha256="0" * 64)

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(training, "export_bundle", export)
    return stop


def test_there_is_one_bundle_for_each_seed_and_the_spread_is_told(
    instant: object, train_cli: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    output = str(tmp_path / "policy.quell")
    assert train_cli(output, "--seeds", "1-3", "--set", "ppo_updates=0", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [policy["seed"] for policy in document["policies"]] == [1, 2, 3]
    files = [tmp_path / f"policy.seed-{seed}.quell" for seed in (1, 2, 3)]
    assert [policy["bundle"] for policy in document["policies"]] == [str(file) for file in files]
    assert document["validation_cost_ratio"] == pytest.approx(
        {"mean": 0.02, "low": 0.01, "high": 0.03, "standard_deviation": 0.01}
    )
    written = [json.loads(file.read_text())["training"] for file in files]
    assert [told["seed"] for told in written] == [1, 2, 3]
    assert {(told["preset"], *told["set"], told["ppo_updates"]) for told in written} == {("quick", "ppo_updates", 0)}
    assert not Path(output).exists()


def test_after_ctrl_c_what_is_finished_stays_and_the_rest_is_named(
    instant: Callable[..., None], train_cli: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    instant(2)
    output = str(tmp_path / "policy.quell")
    assert train_cli(output, "--seeds", "1-3") == 130
    told = capsys.readouterr().err
    first, second = tmp_path / "policy.seed-1.quell", tmp_path / "policy.seed-2.quell"
    assert f"finished: {first}; to train the rest: --seeds 2,3" in told
    assert "interrupted" not in json.loads(first.read_text())["metrics"]
    assert json.loads(second.read_text())["metrics"]["interrupted"] is True
    assert not (tmp_path / "policy.seed-3.quell").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_stopped_leaves_its_best_policy(
    number: int,
    code: int,
    instant: Callable[..., None],
    train_cli: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    """After SIGTERM, as service managers send it, 26 updates of PPO were lost."""
    instant(1, number)
    output = tmp_path / "policy.quell"
    assert train_cli(output) == code
    assert json.loads(output.read_text())["metrics"]["interrupted"] is True
    assert capsys.readouterr().err.endswith(f"training was interrupted; the best policy so far is in {output}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_early_says_that_nothing_was_written(
    number: int,
    instant: Callable[..., None],
    train_cli: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    instant(1, number, is_early=True)
    output = tmp_path / "policy.quell"
    assert train_cli(output) in (130, 143)
    told = f"training was interrupted before it had a policy; {output} was not written\n"
    assert capsys.readouterr().err.endswith(told) and not output.exists()


def test_ctrl_c_while_a_bundle_is_written_does_not_cost_the_training(
    instant: object, train_cli: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = training.export_bundle

    def interrupted(*arguments: Any) -> Manifest:
        signal.raise_signal(signal.SIGINT)
        return write(*arguments)

    monkeypatch.setattr(training, "export_bundle", interrupted)
    output = tmp_path / "policy.quell"
    assert train_cli(output) == 130
    assert "interrupted" not in json.loads(output.read_text())["metrics"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--seed", "1", "--seeds", "1-3"], "--seed 1 and --seeds 1-3: give one of them"),
        (["--seeds", "1-3", "--output", "policy.txt"], "--output policy.seed-1.txt: the name must end in .quell"),
        (["--seeds", "1-3", "--output", "nowhere/policy.quell"], "nowhere/policy.seed-1.quell cannot be written"),
        (["--set", "round=1"], "did you mean rounds"),
    ],
)
def test_bad_options_are_told_before_any_work(
    asked: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(monkeypatch, "train", *asked) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and told in printed.err and printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_trainings_one_after_another_are_those_that_stand_alone(store: str, tmp_path: Path) -> None:
    """What one training leaves behind in the process does not reach the next."""
    tiny = ("days=2", "fit_steps=40", "forecast_steps=0", "ppo_updates=0", "validation_episodes=1", "hosts=3,4")
    command = training.TrainCommand("synthetic", None, 5, "", "cpu", store, "plain", settings=(*tiny, "workers=0"))
    train_seeds(replace(command, output=str(tmp_path / "many.quell")), [4, 5], is_text=False)
    training.train_and_export(replace(command, output=str(tmp_path / "alone.quell")), is_text=False)
    sums = [load_bundle(tmp_path / name).manifest.weights_sha256 for name in ("many.seed-5.quell", "alone.quell")]
    assert sums[0] == sums[1]
