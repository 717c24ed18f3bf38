"""The exported policy, reading side: one `.quell` file with the network and what one must know about it.

A bundle is a zip of members stored without compression: `policy.onnx`, the network with its feature scaling,
`manifest.json` (see `manifest.py`), and where the manifest speaks of one, the forecaster in `forecaster.onnx`. Loading
checks everything before the first real decision: the zip, the manifest, the checksums, the features that the policy and
the forecaster were trained on, the networks' inputs and outputs, and a trial run. Whatever is wrong raises
`BundleError`, one sentence. Serving needs numpy and onnxruntime only; `export.py` is the writing side.

Shapes: B observations, S = K + 1 slots (slot 0 is *stop*), F candidate features, C context features.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from ..env.gym.schema import FeatureSchema
from .forecaster import FORECASTER_MEMBER, Forecaster, open_forecaster
from .manifest import MANIFEST_MEMBER, Manifest, check_schema, format_manifest, parse_manifest, refusal

WEIGHTS_MEMBER = "policy.onnx"
SHIPPED_NAME = "shipped.quell"
MAX_BUNDLE_BYTES = 1024**2  # of one that is written
MAX_MEMBER_BYTES = 16 * 1024**2  # of one that is read; a policy of 10 k parameters takes less than 0.1 MB
INPUTS = ("candidates", "context", "mask")
OUTPUTS = ("logits", "value")

# What zipfile raises on broken bytes; NotImplementedError and UnicodeDecodeError are among these by inheritance.
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, LookupError)

Array = NDArray[np.float32]


class Scores(NamedTuple):
    """What the policy says: `logits`, shape (S,) or (B, S), and `value`, shape () or (B,)."""

    logits: Array
    value: Array


class Bundle:
    """A checked policy, ready to score; `load_bundle` makes it. It can be pickled to another process.

    Args:
        manifest: its manifest.
        path: where it came from, for messages.
        weights: bytes of `policy.onnx`.
        session: onnxruntime's session over these bytes.
        forecaster: the one in the bundle, None where there is none.
    """

    def __init__(
        self,
        manifest: Manifest,
        path: Path,
        weights: bytes,
        session: onnxruntime.InferenceSession,
        forecaster: Forecaster | None = None,
    ) -> None:
        self.manifest = manifest
        self.path = path
        self.forecaster = forecaster
        self._weights = weights
        self._session = session

    def __reduce__(self) -> tuple[Callable[..., Bundle], tuple[Manifest, Path, bytes, Forecaster | None]]:
        return _open_bundle, (self.manifest, self.path, self._weights, self.forecaster)

    def score(self, candidates: ArrayLike, context: ArrayLike, mask: ArrayLike) -> Scores:
        """Scores the candidates of one observation, or of a batch of them.

        Args:
            candidates: features of the candidates, slot 0 first; shape (S, F) or (B, S, F).
            context: features of the cluster; shape (C,) or (B, C).
            mask: 1 or True = allowed, slot 0 always; shape (S,) or (B, S).

        Returns:
            Logits, -1e8 where masked, and the value of the situation.

        Raises:
            ValueError: the arrays do not fit the schema or each other, slot 0 is masked, or a feature of an allowed
                candidate or of the context is not finite.
            BundleError: the policy gives scores that are not finite.
        """
        candidates_BSF = np.asarray(candidates, dtype=np.float32)
        context_BC = np.asarray(context, dtype=np.float32)
        mask_BS = np.asarray(mask, dtype=np.float32)
        is_single = candidates_BSF.ndim == 2
        if is_single:
            candidates_BSF, context_BC, mask_BS = candidates_BSF[None], context_BC[None], mask_BS[None]
        _check_features(candidates_BSF, context_BC, mask_BS, self.manifest.feature_schema)
        scores = self._run(candidates_BSF, context_BC, mask_BS)
        return Scores(scores.logits[0], scores.value[0, ...]) if is_single else scores

    @property
    def slots(self) -> int:
        """K, the length of the shortlist it was trained on."""
        return self.manifest.shortlist_size

    def logits(self, candidates: Array, context: Array, mask: NDArray[np.bool_]) -> Array:
        """The score of each slot; shape (S,)."""
        return self.score(candidates, context, mask).logits

    def _run(self, candidates_BSF: Array, context_BC: Array, mask_BS: Array) -> Scores:
        """Runs the network on a batch and refuses answers of a wrong shape or that are no finite numbers."""
        inputs = dict(zip(INPUTS, (candidates_BSF, context_BC, mask_BS), strict=True))
        try:
            logits_BS, value_B = self._session.run(list(OUTPUTS), inputs)
        except Exception as fault:  # onnxruntime's errors have no base class of their own
            raise refusal(self.path, f"{WEIGHTS_MEMBER} cannot be run: {_first_line(fault)}") from fault
        if logits_BS.shape != mask_BS.shape or value_B.shape != mask_BS.shape[:1]:
            found = f"logits of shape {logits_BS.shape} and values of shape {value_B.shape}"
            raise refusal(self.path, f"{WEIGHTS_MEMBER} answers a mask of shape {mask_BS.shape} with {found}")
        if not (np.isfinite(logits_BS).all() and np.isfinite(value_B).all()):
            raise refusal(self.path, f"{WEIGHTS_MEMBER} gives scores that are not finite")
        return Scores(logits_BS, value_B)


def load_bundle(path: Path | str, expected_schema: FeatureSchema | None = None) -> Bundle:
    """Reads a bundle and checks it.

    Args:
        path: the `.quell` file.
        expected_schema: the features this Quell computes; None accepts any (to look at a bundle, not to serve it).

    Raises:
        BundleError: the file cannot be read, or is no whole, untouched bundle of this version for these features.
    """
    path = Path(path)
    return parse_bundle(read_bundle(path), path, expected_schema)


def read_bundle(path: Path) -> bytes:
    """The bytes of a bundle, none of them looked at yet.

    Raises:
        BundleError: the file cannot be read, or is longer than a bundle can be.
    """
    try:
        size = path.stat().st_size
        if size > 2 * MAX_MEMBER_BYTES:
            raise refusal(path, f"is {size} bytes long, more than a bundle can be")
        return path.read_bytes()
    except OSError as fault:
        raise refusal(path, f"cannot be read: {fault.strerror}") from fault


def parse_bundle(content: bytes, path: Path, expected_schema: FeatureSchema | None = None) -> Bundle:
    """`load_bundle` on bytes already read; `path` is for messages only."""
    members = _read_members(content, path)
    manifest = parse_manifest(members[MANIFEST_MEMBER], path)
    sha256 = hashlib.sha256(members[WEIGHTS_MEMBER]).hexdigest()
    if sha256 != manifest.weights_sha256:
        sums = f"its SHA-256 is {sha256[:12]}..., the manifest says {manifest.weights_sha256[:12]}..."
        raise refusal(path, f"{WEIGHTS_MEMBER} has been changed: {sums}")
    if expected_schema is not None:
        check_schema(manifest.feature_schema, expected_schema, path)
    if (manifest.forecaster is not None) != (FORECASTER_MEMBER in members):
        has = "lacks" if manifest.forecaster is not None else "holds"
        raise refusal(path, f"{has} {FORECASTER_MEMBER}, unlike its {MANIFEST_MEMBER} says")
    forecaster = None
    if manifest.forecaster is not None:
        forecaster = open_forecaster(manifest.forecaster, path, members[FORECASTER_MEMBER])
    return _open_bundle(manifest, path, members[WEIGHTS_MEMBER], forecaster)


def with_manifest(content: bytes, manifest: Manifest, path: Path) -> bytes:
    """The same bundle with another manifest; its networks stay as they are, byte for byte.

    Args:
        content: of a bundle that `parse_bundle` takes.
        manifest: the new one, sealed here; it must fit the networks.
        path: for messages.

    Raises:
        BundleError: the manifest does not fit, or the bundle would be longer than `MAX_BUNDLE_BYTES`.
    """
    sealed = format_manifest(manifest, path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as new:
        for member in old.infolist():
            info = zipfile.ZipInfo(member.filename, member.date_time)
            info.create_system, info.external_attr = member.create_system, member.external_attr
            new.writestr(info, sealed if member.filename == MANIFEST_MEMBER else old.read(member))
    changed = buffer.getvalue()
    if len(changed) > MAX_BUNDLE_BYTES:
        raise refusal(path, f"would be {len(changed)} bytes long, at most {MAX_BUNDLE_BYTES} are written")
    parse_bundle(changed, path)
    return changed


def shipped_bundle() -> Path:
    """Where the bundle that comes with Quell is; whether it is there shows when it is loaded."""
    return Path(__file__).with_name(SHIPPED_NAME)


def _read_members(content: bytes, path: Path) -> dict[str, bytes]:
    """The members of the zip, by name."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            names = [info.filename for info in archive.infolist()]
            wanted = (WEIGHTS_MEMBER, MANIFEST_MEMBER, *({FORECASTER_MEMBER} & infos.keys()))
            for name in wanted:
                if names.count(name) != 1:
                    raise refusal(path, f"holds {name} {names.count(name)} times instead of once")
            for name, info in infos.items():
                if name not in wanted:
                    raise refusal(path, f"holds {name!r}, which belongs in no bundle")
                # Sizes are judged before anything is unpacked; what is not compressed cannot swell either.
                if info.file_size > MAX_MEMBER_BYTES:
                    raise refusal(path, f"{name} is {info.file_size} bytes long, at most {MAX_MEMBER_BYTES} are read")
                if info.compress_type != zipfile.ZIP_STORED:
                    raise refusal(path, f"{name} is compressed; the members of a bundle are not")
            return {name: archive.read(info) for name, info in infos.items()}
    except _ZIP_FAULTS as fault:
        raise refusal(path, f"is no whole zip file: {_first_line(fault)}") from fault


def _open_bundle(manifest: Manifest, path: Path, weights: bytes, forecaster: Forecaster | None = None) -> Bundle:
    """A bundle over a network that fits the manifest and has passed a trial run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a network this small loses time to threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is told by the exception, not on stderr
    try:
        session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except Exception as fault:  # onnxruntime's errors have no base class of their own
        raise refusal(path, f"{WEIGHTS_MEMBER} is no network that can be run: {_first_line(fault)}") from fault
    _check_signature(session, manifest.feature_schema, path)
    bundle = Bundle(manifest, path, weights, session, forecaster)
    # A bad network should fail here and not in service; two sizes show that neither of them is built in.
    rng = np.random.default_rng(0)
    for batch, slots in ((1, 2), (3, 7)):
        candidates_BSF = rng.standard_normal((batch, slots, len(manifest.feature_schema.candidate)), dtype=np.float32)
        context_BC = rng.standard_normal((batch, len(manifest.feature_schema.context)), dtype=np.float32)
        bundle._run(candidates_BSF, context_BC, np.ones((batch, slots), dtype=np.float32))
    return bundle


def _check_signature(session: onnxruntime.InferenceSession, schema: FeatureSchema, path: Path) -> None:
    """Refuses a network whose inputs or outputs are not those of a policy with this schema."""
    wanted_axes: dict[str, list[int | None]] = {  # None: the axis must be free
        "candidates": [None, None, len(schema.candidate)],
        "context": [None, len(schema.context)],
        "mask": [None, None],
        "logits": [None, None],
        "value": [None],
    }
    for side, wanted, ports in (("inputs", INPUTS, session.get_inputs()), ("outputs", OUTPUTS, session.get_outputs())):
        names = tuple(port.name for port in ports)
        if sorted(names) != sorted(wanted):
            raise refusal(path, f"{WEIGHTS_MEMBER} has the {side} {', '.join(names)} instead of {', '.join(wanted)}")
        for port in ports:
            axes = [axis if isinstance(axis, int) else None for axis in port.shape]
            if port.type != "tensor(float)" or axes != wanted_axes[port.name]:
                shapes = f"{port.type} {_axes_text(axes)} instead of tensor(float) {_axes_text(wanted_axes[port.name])}"
                raise refusal(path, f"{WEIGHTS_MEMBER}: {port.name} is {shapes} (* is any size)")


def _check_features(candidates_BSF: Array, context_BC: Array, mask_BS: Array, schema: FeatureSchema) -> None:
    """Refuses arrays that do not fit, and features that are no finite numbers: clipping would hide them."""
    batch, slots = mask_BS.shape if mask_BS.ndim == 2 else (0, 0)
    wanted = (batch, slots, len(schema.candidate)), (batch, len(schema.context))
    if min(batch, slots) < 1 or (candidates_BSF.shape, context_BC.shape) != wanted:
        found = f"{candidates_BSF.shape}, {context_BC.shape} and {mask_BS.shape}"
        features = f"{len(schema.candidate)} candidate and {len(schema.context)} context features"
        raise ValueError(f"candidates, context and mask have shapes {found}, which do not fit {features}")
    allowed_BS = mask_BS > 0.5
    if not allowed_BS[:, 0].all():
        raise ValueError("the mask forbids slot 0 (stop), which is always allowed")
    for names, features_NF in ((schema.candidate, candidates_BSF[allowed_BS]), (schema.context, context_BC)):
        broken_F = ~np.isfinite(features_NF).all(axis=0)
        if broken_F.any():
            raise ValueError(f"feature {names[int(broken_F.argmax())]!r} is not finite")


def _axes_text(axes: list[int | None]) -> str:
    return f"({', '.join('*' if axis is None else str(axis) for axis in axes)})"


def _first_line(fault: Exception) -> str:
    """The first line of an exception's text, cut to a readable length."""
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0][:200]
