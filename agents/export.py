"""The exported policy, writing side: a trained scorer becomes one `.quell` file; `bundle.py` is the reading side.

Same scorer, same manifest fields, same torch: same bytes. The file is written only after the reading side has accepted
it and onnxruntime has given the scores that torch gives.
"""

from __future__ import annotations

import copy
import hashlib
import io
import logging
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch as th
from google.protobuf.message import Message

from ..env.model.files import write_atomically
from .bundle import INPUTS, MAX_BUNDLE_BYTES, OUTPUTS, WEIGHTS_MEMBER, Bundle, parse_bundle
from .forecast_features import FEATURES
from .forecast_training import LEVELS, WINDOWS_MINUTES, QuantileNetwork, TrainedForecaster
from .forecaster import FORECASTER_MEMBER, INPUT, OUTPUT, Forecaster, open_forecaster
from .manifest import (
    BUNDLE_SUFFIX,
    MANIFEST_MEMBER,
    ForecasterFields,
    Manifest,
    ManifestFields,
    format_manifest,
    refusal,
)
from .network import CandidateScorer

MAX_PARITY_ERROR = 1e-4
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can tell: a fixed one keeps the bytes the same


def export_bundle(
    scorer: CandidateScorer,
    path: Path | str,
    manifest_fields: ManifestFields,
    forecaster: TrainedForecaster | None = None,
) -> Manifest:
    """Writes a scorer as a bundle.

    Args:
        scorer: the trained network; it is left as it is.
        path: the file to write, ending in `.quell`; an existing one is replaced.
        manifest_fields: what to say about the policy.
        forecaster: to go into the same bundle; None: none.

    Returns:
        The manifest as written.

    Raises:
        BundleError: the fields do not fit the network or the format, the scores are not finite, onnxruntime's scores
            differ from torch's by more than `MAX_PARITY_ERROR`, or the file would be longer than `MAX_BUNDLE_BYTES`.
        StoreError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix != BUNDLE_SUFFIX:
        raise refusal(path, f"its name must end in {BUNDLE_SUFFIX!r}")
    schema = manifest_fields.feature_schema
    widths = (scorer.candidate_features, scorer.context_features)
    if (len(schema.candidate), len(schema.context)) != widths:
        named = f"{len(schema.candidate)} candidate and {len(schema.context)} context features"
        raise refusal(path, f"feature_schema names {named}, the network reads {widths[0]} and {widths[1]}")

    scorer = copy.deepcopy(scorer).cpu().eval()
    weights = _onnx_bytes(scorer)
    members = {WEIGHTS_MEMBER: weights}
    manifest = Manifest(**vars(manifest_fields), weights_sha256=_sha256(weights))
    if forecaster is not None:
        members[FORECASTER_MEMBER] = _forecaster_bytes(forecaster.network)
        manifest = replace(manifest, forecaster=_forecaster_fields(forecaster, members[FORECASTER_MEMBER]))
    content = _zip_bytes({MANIFEST_MEMBER: format_manifest(manifest, path), **members})
    if len(content) > MAX_BUNDLE_BYTES:
        raise refusal(path, f"would be {len(content)} bytes long, at most {MAX_BUNDLE_BYTES} are written")
    bundle = parse_bundle(content, path, schema)
    _check_parity("scores", _parity_error(scorer, bundle), path)
    if forecaster is not None and bundle.forecaster is not None:
        _check_parity("quantiles", _forecaster_error(forecaster.network, bundle.forecaster), path)
    write_atomically(path, content)
    return manifest


def serve_forecaster(forecaster: TrainedForecaster) -> Forecaster:
    """The serving side of a forecaster that is in no bundle yet: what it says during training is what it will say."""
    weights = _forecaster_bytes(forecaster.network)
    return open_forecaster(_forecaster_fields(forecaster, weights), Path(FORECASTER_MEMBER), weights)


def _check_parity(what: str, error: float, path: Path) -> None:
    """Refuses a network that onnxruntime runs differently from torch."""
    if not error <= MAX_PARITY_ERROR:  # so turned, NaN is refused as well
        raise refusal(
            path, f"onnxruntime's {what} differ from torch's by {error:.2g}, at most {MAX_PARITY_ERROR} is fine"
        )


def _forecaster_fields(forecaster: TrainedForecaster, weights: bytes) -> ForecasterFields:
    """What the manifest says about a forecaster."""
    return ForecasterFields(
        FEATURES, LEVELS, WINDOWS_MINUTES, forecaster.training, forecaster.metrics, _sha256(weights)
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _onnx_bytes(scorer: CandidateScorer) -> bytes:
    """The scorer in ONNX, with free batch and slot axes."""
    batch, slots = 3, 5  # the exporter takes sizes of 0 and 1, and equal ones, for constants
    example = (
        th.zeros(batch, slots, scorer.candidate_features),
        th.zeros(batch, scorer.context_features),
        th.ones(batch, slots),
    )
    free_batch, free_slots = th.export.Dim("batch"), th.export.Dim("slots")
    axes: list[dict[int, Any]] = [{0: free_batch, 1: free_slots}, {0: free_batch}, {0: free_batch, 1: free_slots}]
    return _exported(scorer, example, INPUTS, OUTPUTS, axes)


def _forecaster_bytes(network: QuantileNetwork) -> bytes:
    """The forecaster in ONNX, with a free axis of rows."""
    example = (th.zeros(3, len(FEATURES)),)
    network = copy.deepcopy(network).cpu().eval()
    return _exported(network, example, (INPUT,), (OUTPUT,), [{0: th.export.Dim("rows")}])


def _exported(
    network: th.nn.Module,
    example: tuple[th.Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Sequence[dict[int, Any]],
) -> bytes:
    """A network in ONNX, without a trace of the machine that exported it.

    Args:
        network: on the CPU, in evaluation mode.
        example: one input each, of sizes that no constant could be taken for.
        inputs: names of the inputs.
        outputs: names of the outputs.
        axes: the free axes of each input.
    """
    with _silence(), th.no_grad():
        program = th.onnx.export(
            network,
            example,
            dynamo=True,
            verbose=False,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=tuple(axes),
        )
    assert program is not None
    model = program.model_proto
    _strip_notes(model)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _strip_notes(message: Message) -> None:
    """Removes documentation and metadata: the exporter notes stack traces, with the paths of this machine."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            for part in [value] if isinstance(value, Message) else value:
                _strip_notes(part)


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps the exporter's chatter, none of it about us, from the user's screen."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _zip_bytes(members: dict[str, bytes]) -> bytes:
    """A zip of these members, uncompressed, with nothing in it that depends on time or machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, date_time=_ZIP_EPOCH)
            info.create_system = 3  # Unix; the default differs between systems
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def _parity_error(scorer: CandidateScorer, bundle: Bundle) -> float:
    """Largest difference between torch's and onnxruntime's scores; relative to a score where that is above 1."""
    rng = np.random.default_rng(0)
    error = 0.0
    for batch, slots in ((1, 2), (2, bundle.manifest.shortlist_size + 1), (64, 33)):
        candidates_BSF = rng.standard_normal((batch, slots, scorer.candidate_features), dtype=np.float32)
        context_BC = rng.standard_normal((batch, scorer.context_features), dtype=np.float32)
        candidates_BSF = candidates_BSF * scorer.candidate_std.numpy() + scorer.candidate_mean.numpy()
        context_BC = context_BC * scorer.context_std.numpy() + scorer.context_mean.numpy()
        mask_BS = (rng.random((batch, slots)) < 0.7).astype(np.float32)
        mask_BS[:, 0] = 1.0
        with th.no_grad():
            expected = scorer(th.as_tensor(candidates_BSF), th.as_tensor(context_BC), th.as_tensor(mask_BS))
        found = bundle.score(candidates_BSF, context_BC, mask_BS)
        for ours, theirs in zip((part.numpy() for part in expected), found, strict=True):
            error = max(error, float((np.abs(ours - theirs) / np.maximum(1.0, np.abs(ours))).max()))
    return error


def _forecaster_error(network: QuantileNetwork, forecaster: Forecaster) -> float:
    """Largest difference between torch's and onnxruntime's quantiles; relative where a quantile is above 1."""
    network = copy.deepcopy(network).cpu().eval()
    rows_NF = np.random.default_rng(0).standard_normal((64, len(FEATURES)), dtype=np.float32)
    rows_NF = rows_NF * network.deviation_F.numpy() + network.mean_F.numpy()
    with th.no_grad():
        ours = network(th.as_tensor(rows_NF)).numpy()
    return float((np.abs(ours - forecaster.run(rows_NF)) / np.maximum(1.0, np.abs(ours))).max())
