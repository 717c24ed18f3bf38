"""Export: the bundle scores as the network did, is always the same, and is never written when something is wrong."""

from __future__ import annotations

import dataclasses
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

from quell.agents import export
from quell.agents.bundle import load_bundle
from quell.agents.export import export_bundle
from quell.agents.manifest import ManifestFields
from quell.agents.network import MASKED_LOGIT, CandidateScorer
from quell.env.gym.schema import FeatureSchema
from quell.env.model.errors import BundleError, StoreError

SCHEMA = FeatureSchema("1", candidate=("gain", "cost_gib", "relief", "node_score"), context=("utilization", "hour"))
FIELDS = ManifestFields(
    feature_schema=SCHEMA,
    shortlist_size=64,
    created="2026-01-31T12:00:00Z",
    quell_version="0.1.0",
    git_commit="0123abc",
    training={"seed": 7},
    metrics={"cost": 12.5},
)


def make_scorer(seed: int = 0) -> CandidateScorer:
    """A scorer with clearly different scores, and a feature scaling that shows when it is left out."""
    th.manual_seed(seed)
    scorer = CandidateScorer(len(SCHEMA.candidate), len(SCHEMA.context))
    with th.no_grad():
        scorer.logit.weight.normal_()
        scorer.stop_embedding.normal_()
        scorer.candidate_mean.copy_(th.tensor([5.0, -3.0, 0.0, 1.0]))
        scorer.candidate_std.copy_(th.tensor([2.0, 10.0, 0.1, 1.0]))
        scorer.context_mean.fill_(0.5)
    return scorer


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are many times slower when threads share them on a busy machine."""
    threads = th.get_num_threads()
    th.set_num_threads(1)
    yield
    th.set_num_threads(threads)


class Listener(logging.Handler):
    """Notes what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@pytest.fixture(scope="module")
def chatter() -> Listener:
    """What torch logs while `good` is exported: it says most the first time."""
    return Listener()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, chatter: Listener) -> Path:
    """A bundle of `make_scorer()`, exported once."""
    path = tmp_path_factory.mktemp("export") / "policy.quell"
    logging.getLogger("torch.onnx").addHandler(chatter)
    export_bundle(make_scorer(), path, FIELDS)
    logging.getLogger("torch.onnx").removeHandler(chatter)
    return path


class TestGoodExport:
    @pytest.mark.parametrize(("batch", "slots"), [(1, 1), (1, 65), (7, 9), (16, 200)])
    def test_bundle_scores_as_the_network_does(self, good: Path, batch: int, slots: int) -> None:
        rng = np.random.default_rng(slots)
        candidates = rng.normal(scale=5, size=(batch, slots, 4)).astype(np.float32)
        context = rng.normal(size=(batch, 2)).astype(np.float32)
        mask = rng.random((batch, slots)) < 0.6
        mask[:, 0] = True
        with th.no_grad():
            logits, value = make_scorer()(th.as_tensor(candidates), th.as_tensor(context), th.as_tensor(mask))
        scores = load_bundle(good, SCHEMA).score(candidates, context, mask)
        np.testing.assert_allclose(scores.logits, logits.numpy(), atol=1e-4)
        np.testing.assert_allclose(scores.value, value.numpy(), atol=1e-4)
        assert (scores.logits[~mask] == MASKED_LOGIT).all()

    def test_what_stands_in_masked_slots_does_not_matter(self, good: Path) -> None:
        candidates = np.random.default_rng(0).normal(size=(5, 4))
        filled = candidates.copy()
        filled[3] = np.nan
        scores = [load_bundle(good).score(array, [0, 0], [1, 1, 1, 0, 1]) for array in (candidates, filled)]
        np.testing.assert_array_equal(scores[0].logits, scores[1].logits)

    def test_manifest_says_what_was_told(self, good: Path) -> None:
        manifest = load_bundle(good).manifest
        own = ("weights_sha256", "forecaster")
        assert {key: value for key, value in vars(manifest).items() if key not in own} == vars(FIELDS)
        assert manifest.forecaster is None

    def test_same_network_gives_same_bytes_without_a_word(
        self,
        good: Path,
        chatter: Listener,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
        recwarn: pytest.WarningsRecorder,
    ) -> None:
        scorer = make_scorer()
        scorer.train()
        export_bundle(scorer, tmp_path / "again.quell", FIELDS)
        assert (tmp_path / "again.quell").read_bytes() == good.read_bytes()
        assert capfd.readouterr() == ("", "") and not list(recwarn) and chatter.heard == []
        assert scorer.training and all(parameter.requires_grad for parameter in scorer.parameters())

    def test_file_is_small_and_names_no_file_of_this_machine(self, good: Path) -> None:
        content = good.read_bytes()
        assert len(content) < 100_000
        assert b".py" not in content and str(Path(export.__file__).parent).encode() not in content


@pytest.fixture
def ready_network(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares a test the seconds torch takes to export: `make_scorer()` is at hand in ONNX."""
    with zipfile.ZipFile(good) as archive:
        weights = archive.read("policy.onnx")
    monkeypatch.setattr(export, "_onnx_bytes", lambda _: weights)


class TestRefusedExport:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"feature_schema": FeatureSchema("1", ("gain",), ("hour",))}, "names 1 candidate and 1 context features"),
            ({"metrics": {"cost": float("nan")}}, "metrics.cost is no JSON value"),
            ({"created": "today"}, "created must be an RFC 3339 time"),
            ({"training": {"notes": "x" * 2_000_000}}, "at most 1048576 are written"),
        ],
    )
    @pytest.mark.usefixtures("ready_network")
    def test_wrong_fields(self, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(BundleError, match=message):
            export_bundle(make_scorer(), tmp_path / "policy.quell", dataclasses.replace(FIELDS, **changes))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.usefixtures("ready_network")
    def test_scores_that_differ_from_the_networks(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="onnxruntime's scores differ from torch's by"):
            export_bundle(make_scorer(seed=1), tmp_path / "policy.quell", FIELDS)
        assert list(tmp_path.iterdir()) == []

    def test_a_network_broken_in_training_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "policy.quell"
        path.write_bytes(b"old")
        scorer = make_scorer()
        with th.no_grad():
            scorer.candidate_hidden.weight[0, 0] = float("nan")
        with pytest.raises(BundleError, match="gives scores that are not finite"):
            export_bundle(scorer, path, FIELDS)
        assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]

    def test_another_suffix(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="must end in '.quell'"):
            export_bundle(make_scorer(), tmp_path / "policy.zip", FIELDS)

    @pytest.mark.usefixtures("ready_network")
    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be written"):
            export_bundle(make_scorer(), tmp_path / "missing" / "policy.quell", FIELDS)
