"""Bundles on the reading side: a good one scores, and whatever is wrong with one is refused in a sentence."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from quell.agents.bundle import MAX_MEMBER_BYTES, Bundle, Scores, load_bundle, parse_bundle
from quell.agents.manifest import Manifest, format_manifest
from quell.env.gym.schema import FeatureSchema
from quell.env.model.errors import BundleError

SCHEMA = FeatureSchema(version="1", candidate=("gain", "cost_gib"), context=("utilization",))
HERE = Path("policy.quell")


def make_network(
    *,
    weights: tuple[float, ...] = (2.0, -1.0),
    context_features: int = 1,
    slots: int | str = "slots",
    mask_type: int = TensorProto.FLOAT,
    value_name: str = "value",
    value_input: str = "context",
    value_axis: int = 1,
) -> bytes:
    """A network simple enough to score by hand: logits = candidates . weights, value = mean of the context."""
    batch = "batch"
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["candidates", "weights"], ["logits"]),
            helper.make_node("Cast", ["mask"], ["unused"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", [value_input, "axis"], [value_name], keepdims=0),
        ],
        "by_hand",
        [
            helper.make_tensor_value_info("candidates", TensorProto.FLOAT, [batch, slots, len(weights)]),
            helper.make_tensor_value_info("context", TensorProto.FLOAT, [batch, context_features]),
            helper.make_tensor_value_info("mask", mask_type, [batch, slots]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, slots]),
            helper.make_tensor_value_info(value_name, TensorProto.FLOAT, ["values"]),
        ],
        [
            numpy_helper.from_array(np.array(weights, np.float32), "weights"),
            numpy_helper.from_array(np.array([value_axis], np.int64), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def make_manifest(weights: bytes, schema: FeatureSchema = SCHEMA) -> Manifest:
    return Manifest(
        feature_schema=schema,
        shortlist_size=64,
        created="2026-01-31T12:00:00Z",
        quell_version="0.1.0",
        git_commit="0123abc",
        training={"seed": 7, "hidden": (32, 32)},
        metrics={"regret_closed": 0.25},
        weights_sha256=hashlib.sha256(weights).hexdigest(),
    )


def make_zip(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=compression)
    return buffer.getvalue()


def make_bundle(weights: bytes | None = None, manifest: bytes | None = None) -> bytes:
    """A good bundle, but for the parts given."""
    weights = make_network() if weights is None else weights
    manifest = format_manifest(make_manifest(weights), HERE) if manifest is None else manifest
    return make_zip([("manifest.json", manifest), ("policy.onnx", weights)])


def make_document(**changes: Any) -> dict[str, Any]:
    """A good manifest as JSON, with some keys changed (`...` takes one away) and the seal made good again."""
    document = json.loads(format_manifest(make_manifest(make_network()), HERE)) | changes
    document = {key: value for key, value in document.items() if value is not ...}
    if "manifest_sha256" not in changes:
        rest = {key: value for key, value in document.items() if key != "manifest_sha256"}
        canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
        document["manifest_sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    return document


def with_manifest(**changes: Any) -> Callable[[], bytes]:
    return lambda: make_bundle(manifest=json.dumps(make_document(**changes)).encode())


def with_manifest_text(old: str, new: str) -> Callable[[], bytes]:
    """A manifest edited by hand, its seal left as it was."""
    return lambda: make_bundle(manifest=json.dumps(make_document()).replace(old, new, 1).encode())


def with_network(**changes: Any) -> Callable[[], bytes]:
    return lambda: make_bundle(weights=make_network(**changes))


def with_zip(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> Callable[[], bytes]:
    return lambda: make_zip(list(members), compression)


def encrypted_by_its_flags() -> bytes:
    content = bytearray(make_bundle())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    content[content.rindex(b"PK\x03\x04") + 6] |= 1
    return bytes(content)


class TestGoodBundle:
    def test_scores_one_observation(self, tmp_path: Path) -> None:
        (tmp_path / "policy.quell").write_bytes(make_bundle())
        bundle = load_bundle(tmp_path / "policy.quell", SCHEMA)
        logits, value = bundle.score([[0, 0], [1, 0], [1, 3]], [0.5], [1, 1, 0])
        np.testing.assert_array_equal(logits, [0, 2, -1])
        assert value.shape == () and float(value) == 0.5

    def test_scores_a_batch_as_it_scores_each(self) -> None:
        bundle = parse_bundle(make_bundle(), HERE)
        rng = np.random.default_rng(0)
        candidates, context = rng.normal(size=(5, 9, 2)), rng.normal(size=(5, 1))
        logits, value = bundle.score(candidates, context, np.ones((5, 9), bool))
        for i in range(5):
            one = bundle.score(candidates[i], context[i], np.ones(9, np.int8))
            np.testing.assert_allclose(one.logits, logits[i], rtol=1e-6)
            np.testing.assert_allclose(one.value, value[i], rtol=1e-6)

    def test_manifest_comes_back_as_written(self) -> None:
        manifest = parse_bundle(make_bundle(), HERE).manifest
        assert manifest.feature_schema == SCHEMA
        assert manifest.shortlist_size == 64 and manifest.created == "2026-01-31T12:00:00Z"
        assert manifest.training == {"seed": 7, "hidden": [32, 32]} and manifest.metrics == {"regret_closed": 0.25}

    def test_goes_to_another_process_by_pickle(self) -> None:
        bundle = parse_bundle(make_bundle(), HERE)
        copy: Bundle = pickle.loads(pickle.dumps(bundle))
        assert copy.manifest == bundle.manifest and copy.path == bundle.path
        ours, theirs = (each.score([[0, 0], [1, 1]], [0], [1, 1]) for each in (bundle, copy))
        np.testing.assert_array_equal(ours.logits, theirs.logits)

    def test_serving_imports_no_training_library(self, tmp_path: Path) -> None:
        (tmp_path / "policy.quell").write_bytes(make_bundle())
        program = (
            "import sys\n"
            "from quell.agents.bundle import load_bundle\n"
            f"print(load_bundle({str(tmp_path / 'policy.quell')!r}).score([[0, 0], [1, 0]], [0.5], [1, 1]).logits)\n"
            "print(sorted({'torch', 'stable_baselines3', 'sb3_contrib', 'gymnasium', 'mlflow'} & set(sys.modules)))\n"
        )
        answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
        assert answer.stdout.splitlines() == ["[0. 2.]", "[]"], answer.stderr


class TestWrongFeatures:
    @pytest.mark.parametrize(
        ("candidates", "context", "mask", "message"),
        [
            (np.zeros((3, 5)), [0], [1, 1, 1], "do not fit 2 candidate and 1 context"),
            (np.zeros((3, 2)), [0, 0], [1, 1, 1], "do not fit"),
            (np.zeros((3, 2)), [0], [1, 1], "do not fit"),
            (np.zeros((0, 2)), [0], [], "do not fit"),
            (np.zeros(2), [0], [1], "do not fit"),
            (np.zeros((3, 2)), [0], [0, 1, 1], "forbids slot 0"),
            ([[0, 0], [0, np.nan]], [0], [1, 1], "'cost_gib' is not finite"),
            ([[0, 0], [0, 0]], [np.inf], [1, 1], "'utilization' is not finite"),
        ],
    )
    def test_are_the_callers_mistake(self, candidates: Any, context: Any, mask: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            parse_bundle(make_bundle(), HERE).score(candidates, context, mask)

    def test_scores_that_overflow_are_refused(self) -> None:
        bundle = parse_bundle(make_bundle(), HERE)
        with pytest.raises(BundleError, match="not finite"):
            bundle.score([[0.0, 0.0], [3e38, 0.0]], [0], [1, 1])


NETWORK, MANIFEST = make_network(), json.dumps(make_document()).encode()

REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    # --- the file
    "empty": (lambda: b"", "is no whole zip file"),
    "not a zip": (lambda: b"weights" * 1000, "is no whole zip file"),
    "cut in the middle": (lambda: make_bundle()[: len(make_bundle()) // 2], "is no whole zip file"),
    "last byte missing": (lambda: make_bundle()[:-1], "is no whole zip file"),
    "bit flipped in the network": (
        lambda: make_bundle().replace(b"by_hand", b"by_hanf"),
        "is no whole zip file: Bad CRC",
    ),
    "encrypted": (encrypted_by_its_flags, "is no whole zip file"),
    "no network": (with_zip(("manifest.json", MANIFEST)), "holds policy.onnx 0 times"),
    "no manifest": (with_zip(("policy.onnx", NETWORK)), "holds manifest.json 0 times"),
    "two networks": (
        with_zip(("manifest.json", MANIFEST), ("policy.onnx", NETWORK), ("policy.onnx", NETWORK)),
        "holds policy.onnx 2 times",
    ),
    "a stranger": (
        with_zip(("manifest.json", MANIFEST), ("policy.onnx", NETWORK), ("setup.py", b"")),
        "holds 'setup.py', which belongs in no bundle",
    ),
    "zip bomb": (
        with_zip(
            ("policy.onnx", bytes(MAX_MEMBER_BYTES + 1)), ("manifest.json", MANIFEST), compression=zipfile.ZIP_DEFLATED
        ),
        "policy.onnx is 16777217 bytes long",
    ),
    "compressed": (
        with_zip(("manifest.json", MANIFEST), ("policy.onnx", NETWORK), compression=zipfile.ZIP_DEFLATED),
        "manifest.json is compressed",
    ),
    # --- the manifest
    "manifest no JSON": (lambda: make_bundle(manifest=b"{'format': 1}"), "manifest.json is no valid JSON"),
    "manifest no UTF-8": (lambda: make_bundle(manifest=b'{"format": "\xff"}'), "manifest.json is no valid JSON"),
    "manifest a list": (lambda: make_bundle(manifest=b"[]"), r"manifest.json must be an object, not \[\]"),
    "manifest too deep": (lambda: make_bundle(manifest=b'{"a":' * 100_000), "manifest.json is no valid JSON"),
    "manifest with a key twice": (with_manifest_text("{", '{"format": "x", '), "the key 'format' stands twice"),
    "manifest with NaN": (with_manifest_text("0.25", "NaN"), "'NaN' is no finite number"),
    "manifest with an overflow": (with_manifest_text("0.25", "1e999"), "'1e999' is no finite number"),
    "a version to come": (with_manifest(format="quell.bundle/2"), "format is 'quell.bundle/2', this Quell reads"),
    "no version": (with_manifest(format=...), "format is None"),
    "missing key": (with_manifest(git_commit=...), "lacks the key git_commit"),
    "no seal": (with_manifest(manifest_sha256=...), "lacks the key manifest_sha256"),
    "unknown key": (with_manifest(author="me"), "has the unknown key 'author'"),
    "metrics made better": (with_manifest_text("0.25", "0.95"), "manifest.json has been changed"),
    "feature renamed": (with_manifest_text("cost_gib", "cost_mib"), "manifest.json has been changed"),
    "other weights named": (with_manifest(weights_sha256="0" * 64), "policy.onnx has been changed"),
    "other weights inside": (
        lambda: make_bundle(weights=make_network(weights=(2.0, -0.5)), manifest=MANIFEST),
        "policy.onnx has been changed: its SHA-256 is",
    ),
    # --- the network
    "no ONNX": (lambda: make_bundle(weights=b"\x00" * 64), "is no network that can be run"),
    "empty network": (lambda: make_bundle(weights=b""), "is no network that can be run"),
    "too many candidate features": (
        with_network(weights=(1.0, 1.0, 1.0)),
        r"candidates is .* \(\*, \*, 3\) instead of",
    ),
    "too many context features": (with_network(context_features=2), r"context is .* \(\*, 2\) instead of"),
    "a fixed number of slots": (with_network(slots=65), r"candidates is .* \(\*, 65, 2\) instead of"),
    "a mask of another type": (with_network(mask_type=TensorProto.BOOL), r"mask is tensor\(bool\)"),
    "an output of another name": (with_network(value_name="worth"), "has the outputs logits, worth instead of"),
    "one value for all": (with_network(value_axis=0), r"value is tensor\(float\) \(1\) instead of"),
    "a value for each slot": (with_network(value_input="mask", value_axis=0), r"values of shape \(2,\)"),
    "a NaN among the weights": (with_network(weights=(1.0, float("nan"))), "scores that are not finite"),
    "an infinite weight": (with_network(weights=(1.0, float("inf"))), "scores that are not finite"),
}

WRONG_VALUES: dict[str, tuple[Any, str]] = {
    "feature_schema": ([], "an object"),
    "shortlist_size": ("64", "a whole number"),
    "created": ("yesterday", "an RFC 3339 time"),
    "quell_version": (1, "text"),
    "git_commit": (None, "text"),
    "training": ("PPO", "an object"),
    "metrics": ([1], "an object"),
    "weights_sha256": ("abc", "64 hexadecimal digits"),
    "manifest_sha256": (5, "64 hexadecimal digits"),
}


def assert_one_sentence(error: BundleError) -> None:
    text = str(error)
    assert text.startswith(f"bundle {HERE}: ") and "\n" not in text and len(text) < 400


class TestBadBundle:
    @pytest.mark.parametrize("fault", REFUSED)
    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_is_refused_in_one_sentence(self, fault: str) -> None:
        make, message = REFUSED[fault]
        with pytest.raises(BundleError, match=message) as refused:
            parse_bundle(make(), HERE, SCHEMA)
        assert_one_sentence(refused.value)

    def test_every_key_of_the_manifest_has_a_wrong_value_below(self) -> None:
        assert {*WRONG_VALUES, "format"} == make_document().keys()

    @pytest.mark.parametrize("key", WRONG_VALUES)
    def test_a_manifest_value_of_the_wrong_kind_is_named(self, key: str) -> None:
        value, wanted = WRONG_VALUES[key]
        with pytest.raises(BundleError, match=f"{key} must be {wanted}.*, not") as refused:
            parse_bundle(with_manifest(**{key: value})(), HERE)
        assert_one_sentence(refused.value)

    @pytest.mark.parametrize("size", [0, -1, 65_537, True, 64.0])
    def test_shortlist_size_is_a_reasonable_whole_number(self, size: Any) -> None:
        with pytest.raises(BundleError, match="shortlist_size must be a whole number from 1 to 65536"):
            parse_bundle(with_manifest(shortlist_size=size)(), HERE)

    @pytest.mark.parametrize("time", ["2026-01-31", "2026-01-31T12:00:00", "2026-13-31T12:00:00Z", "2026-W05-6T12:00Z"])
    def test_created_is_a_time_with_its_zone(self, time: str) -> None:
        with pytest.raises(BundleError, match="created must be an RFC 3339 time"):
            parse_bundle(with_manifest(created=time)(), HERE)

    @pytest.mark.parametrize(
        ("schema", "message"),
        [
            ({"version": "1", "candidate": ["gain"]}, "lacks the key feature_schema.context"),
            ({"version": "1", "candidate": ["gain"], "context": ["x"], "more": 1}, "unknown key 'feature_schema.more'"),
            ({"version": 1, "candidate": ["gain"], "context": ["x"]}, "feature_schema.version must be text"),
            ({"version": "1", "candidate": ["a", "a"], "context": ["x"]}, "feature_schema.candidate must be a list"),
            ({"version": "1", "candidate": [], "context": ["x"]}, "feature_schema.candidate must be a list"),
            ({"version": "1", "candidate": ["gain"], "context": [2]}, "feature_schema.context must be a list"),
        ],
    )
    def test_a_wrong_feature_schema_is_named(self, schema: dict[str, Any], message: str) -> None:
        with pytest.raises(BundleError, match=message):
            parse_bundle(with_manifest(feature_schema=schema)(), HERE)

    @pytest.mark.parametrize(
        ("expected", "message"),
        [
            (FeatureSchema("2", SCHEMA.candidate, SCHEMA.context), r"feature_schema.version is '1', .* computes '2'"),
            (FeatureSchema("1", ("gain", "cost"), SCHEMA.context), r"candidate\[1\] is 'cost_gib', .* computes 'cost'"),
            (FeatureSchema("1", ("cost_gib", "gain"), SCHEMA.context), r"candidate\[0\] is 'gain', .* 'cost_gib'"),
            (FeatureSchema("1", ("gain",), SCHEMA.context), r"candidate\[1\] is 'cost_gib', .* computes None"),
            (FeatureSchema("1", SCHEMA.candidate, ("utilization", "hour")), r"context\[1\] is None, .* 'hour'"),
        ],
    )
    def test_features_this_quell_does_not_compute_are_refused(self, expected: FeatureSchema, message: str) -> None:
        with pytest.raises(BundleError, match=message):
            parse_bundle(make_bundle(), HERE, expected)

    def test_files_that_cannot_be_read_are_refused(self, tmp_path: Path) -> None:
        long = tmp_path / "long.quell"
        with long.open("wb") as file:
            file.truncate(3 * MAX_MEMBER_BYTES)
        for path, message in (
            (tmp_path / "missing.quell", "cannot be read: No such file"),
            (tmp_path, "cannot be read: Is a directory"),
            (long, "is 50331648 bytes long"),
        ):
            with pytest.raises(BundleError, match=message):
                load_bundle(path)


@functools.cache
def good_bundle() -> tuple[bytes, Scores]:
    content = make_bundle()
    return content, parse_bundle(content, HERE).score([[0, 0], [1, 2], [3, 1]], [0.5], [1, 1, 1])


class TestDamage:
    @given(st.integers(0, len(good_bundle()[0]) - 1), st.integers(1, 255))
    def test_one_changed_byte_is_refused_or_changes_nothing(self, position: int, change: int) -> None:
        content, expected = good_bundle()
        damaged = bytearray(content)
        damaged[position] ^= change
        try:
            bundle = parse_bundle(bytes(damaged), HERE, SCHEMA)
        except BundleError as error:
            assert_one_sentence(error)
        else:
            scores = bundle.score([[0, 0], [1, 2], [3, 1]], [0.5], [1, 1, 1])
            np.testing.assert_array_equal(scores.logits, expected.logits)
            np.testing.assert_array_equal(scores.value, expected.value)

    @given(st.integers(0, len(good_bundle()[0]) - 1))
    def test_a_bundle_cut_anywhere_is_refused(self, length: int) -> None:
        with pytest.raises(BundleError):
            parse_bundle(good_bundle()[0][:length], HERE)

    @given(st.binary(max_size=300))
    def test_any_bytes_for_a_network_are_refused(self, weights: bytes) -> None:
        with pytest.raises(BundleError):
            parse_bundle(make_bundle(weights=weights), HERE)


class TestFormatManifest:
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32(1), {1, 2}, Path("x")])
    def test_names_what_is_no_json(self, value: Any) -> None:
        good = make_manifest(make_network())
        manifest = Manifest(**{**vars(good), "metrics": {"cost": value}})
        with pytest.raises(BundleError, match="metrics.cost is no JSON value"):
            format_manifest(manifest, HERE)

    def test_refuses_to_write_what_it_would_refuse_to_read(self) -> None:
        good = make_manifest(make_network())
        with pytest.raises(BundleError, match="shortlist_size must be"):
            format_manifest(Manifest(**{**vars(good), "shortlist_size": 0}), HERE)

    def test_keys_that_are_numbers_keep_the_seal_whole(self) -> None:
        good = make_manifest(make_network())
        manifest = Manifest(**{**vars(good), "training": {10: "a", 9: "b"}})
        assert parse_bundle(make_bundle(manifest=format_manifest(manifest, HERE)), HERE).manifest.training == {
            "9": "b",
            "10": "a",
        }
