"""What a bundle says about its policy: which features it reads, where it comes from, how well it did.

The manifest is JSON. It holds the SHA-256 of the network beside it and a seal, the SHA-256 of the rest of the manifest.
They find damage and careless edits; they are no signature, so a bundle is worth as much trust as the place it is from.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from ..env.gym.schema import FeatureSchema
from ..env.model.errors import BundleError

BUNDLE_FORMAT = "quell.bundle/1"
BUNDLE_SUFFIX = ".quell"
MANIFEST_MEMBER = "manifest.json"
MAX_SHORTLIST_SIZE = 65_536
_SEAL_KEY = "manifest_sha256"
_FORECASTER_KEY = "forecaster"


@dataclass(frozen=True)
class ManifestFields:
    """What whoever exports a policy says about it.

    Attributes:
        feature_schema: the features it was trained on.
        shortlist_size: K, moves put before it in training, stop not counted.
        created: RFC 3339 time of the export.
        quell_version: version of Quell that trained it.
        git_commit: commit that trained it.
        training: configuration of the training, free-form JSON.
        metrics: results of the evaluation, free-form JSON.
    """

    feature_schema: FeatureSchema
    shortlist_size: int
    created: str
    quell_version: str
    git_commit: str
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class ForecasterFields:
    """What the manifest says about the forecaster in the bundle.

    Attributes:
        features: names of what it reads.
        levels: of its quantiles, ascending, 0..1.
        windows_minutes: that its quantiles are about, each from now on, ascending.
        training: how it was trained, free-form JSON.
        metrics: how well it does on VMs and days it has not seen, free-form JSON.
        weights_sha256: SHA-256 of `forecaster.onnx` in hexadecimal.
    """

    features: tuple[str, ...]
    levels: tuple[float, ...]
    windows_minutes: tuple[int, ...]
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]
    weights_sha256: str


@dataclass(frozen=True)
class Manifest(ManifestFields):
    """The manifest of a bundle: the fields above, the SHA-256 of `policy.onnx`, and the forecaster if there is one."""

    weights_sha256: str
    forecaster: ForecasterFields | None = None


def refusal(path: Path, reason: str) -> BundleError:
    """The error that refuses the bundle at `path`."""
    return BundleError(f"bundle {path}: {reason}")


def format_manifest(manifest: Manifest, path: Path) -> bytes:
    """The manifest as JSON, with its format and its seal, checked as if it were read.

    Raises:
        BundleError: a field is not as specified, or `training` or `metrics` hold what is no JSON, such as NaN.
    """
    _check_free_form(manifest, "", path)
    if manifest.forecaster is not None:
        _check_free_form(manifest.forecaster, f"{_FORECASTER_KEY}.", path)
    schema = manifest.feature_schema
    fields = {key: value for key, value in vars(manifest).items() if key not in ("feature_schema", _FORECASTER_KEY)}
    if manifest.forecaster is not None:
        fields[_FORECASTER_KEY] = vars(manifest.forecaster)
    document = {
        "format": BUNDLE_FORMAT,
        "feature_schema": {"version": schema.version, "candidate": schema.candidate, "context": schema.context},
        **fields,
        "training": dict(manifest.training),
        "metrics": dict(manifest.metrics),
    }
    document = json.loads(json.dumps(document))  # so that the seal is over what a reader will see: lists, text keys
    document[_SEAL_KEY] = _seal(document)
    content = json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"
    parse_manifest(content, path)
    return content


def parse_manifest(content: bytes, path: Path) -> Manifest:
    """Reads a manifest: every key must be there, none may be unknown, and the seal must hold.

    Raises:
        BundleError: it is not so; the sentence names the key.
    """
    try:
        document = json.loads(
            content, object_pairs_hook=_unique_keys, parse_constant=_finite_number, parse_float=_finite_number
        )
    except (ValueError, RecursionError) as fault:
        raise refusal(path, f"{MANIFEST_MEMBER} is no valid JSON: {fault}") from fault
    if not isinstance(document, dict):
        raise refusal(path, f"{MANIFEST_MEMBER} must be an object, not {_shown(document)}")
    # The version comes first: of an unknown one nothing else can be judged.
    if document.get("format") != BUNDLE_FORMAT:
        raise refusal(path, f"format is {_shown(document.get('format'))}, this Quell reads {BUNDLE_FORMAT!r}")
    has_forecaster = _FORECASTER_KEY in document  # bundles without one are older, or of a policy that needs none
    _check_keys(document, {**_MANIFEST_KEYS, **(_FORECASTER_ENTRY if has_forecaster else {})}, "", path)
    _check_keys(document["feature_schema"], _SCHEMA_KEYS, "feature_schema.", path)
    if has_forecaster:
        _check_keys(document[_FORECASTER_KEY], _FORECASTER_KEYS, f"{_FORECASTER_KEY}.", path)
    seal = document.pop(_SEAL_KEY)
    if _seal(document) != seal:
        raise refusal(path, f"{MANIFEST_MEMBER} has been changed: {_SEAL_KEY} does not fit the rest of it")
    del document["format"]
    schema, forecaster = document.pop("feature_schema"), document.pop(_FORECASTER_KEY, None)
    names = FeatureSchema(schema["version"], tuple(schema["candidate"]), tuple(schema["context"]))
    return Manifest(feature_schema=names, forecaster=_forecaster_fields(forecaster), **document)


def _forecaster_fields(document: Mapping[str, Any] | None) -> ForecasterFields | None:
    """The checked entry of the forecaster, its lists as tuples."""
    if document is None:
        return None
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
    return ForecasterFields(**fields)


def _check_free_form(fields: ManifestFields | ForecasterFields, prefix: str, path: Path) -> None:
    """Refuses what is no JSON in the free-form groups, naming the key."""
    for group in ("training", "metrics"):
        for key, value in getattr(fields, group).items():
            try:
                json.dumps({key: value}, allow_nan=False)
            except (TypeError, ValueError, RecursionError) as fault:
                raise refusal(path, f"{prefix}{group}.{key} is no JSON value: {fault}") from fault


def check_schema(found: FeatureSchema, expected: FeatureSchema, path: Path) -> None:
    """Refuses a policy trained on other features than this Quell computes, naming the first difference.

    Raises:
        BundleError: the two differ.
    """
    if found == expected:
        return
    differences = [("version", found.version, expected.version)] if found.version != expected.version else []
    for group in ("candidate", "context"):
        theirs, ours = getattr(found, group), getattr(expected, group)
        pairs = zip(theirs + (None,) * len(ours), ours + (None,) * len(theirs), strict=True)
        differences += [(f"{group}[{i}]", a, b) for i, (a, b) in enumerate(pairs) if a != b]
    key, theirs, ours = differences[0]
    raise refusal(
        path, f"feature_schema.{key} is {_shown(theirs)}, this Quell computes {_shown(ours)}; train and export it again"
    )


def _check_keys(document: Mapping[str, Any], checks: _Checks, prefix: str, path: Path) -> None:
    """Refuses missing and unknown keys and wrong values, naming the key."""
    for key in checks:
        if key not in document:
            raise refusal(path, f"{MANIFEST_MEMBER} lacks the key {prefix}{key}")
    for key, value in document.items():
        if key not in checks:
            raise refusal(path, f"{MANIFEST_MEMBER} has the unknown key {_shown(prefix + key)}")
        is_right, wanted = checks[key]
        if not is_right(value):
            raise refusal(path, f"{MANIFEST_MEMBER}: {prefix}{key} must be {wanted}, not {_shown(value)}")


def _seal(document: Mapping[str, Any]) -> str:
    """SHA-256 of the document in its one canonical spelling: keys sorted, no blanks, ASCII."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different; JSON itself would let the last one win."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"the key {_shown(key)} stands twice")
        document[key] = value
    return document


def _finite_number(text: str) -> float:
    """A number of the document; refuses NaN, Infinity and what overflows to it."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{_shown(text)} is no finite number")
    return number


def _shown(value: object) -> str:
    """The value as it goes into a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _is_time(value: object) -> bool:
    """True for RFC 3339 only; `fromisoformat` alone would take week dates and more."""
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
    if not (isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII)):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_shortlist_size(value: object) -> bool:
    return type(value) is int and 1 <= value <= MAX_SHORTLIST_SIZE  # type(), because True is an int as well


def _are_names(value: object) -> bool:
    return isinstance(value, list) and value != [] and all(map(_is_text, value)) and len(set(value)) == len(value)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _are_levels(value: object) -> bool:
    is_list = isinstance(value, list) and len(value) >= 2 and all(type(level) is float for level in value)
    return is_list and all(a < b for a, b in pairwise([0.0, *cast(list[float], value), 1.0]))


def _are_windows(value: object) -> bool:
    is_list = isinstance(value, list) and value != [] and all(type(minutes) is int for minutes in value)
    return is_list and all(a < b for a, b in pairwise([0, *cast(list[int], value)]))


_Checks = Mapping[str, tuple[Callable[[object], bool], str]]
_MANIFEST_KEYS: _Checks = {
    "format": (_is_text, "text"),
    "feature_schema": (_is_object, "an object"),
    "shortlist_size": (_is_shortlist_size, f"a whole number from 1 to {MAX_SHORTLIST_SIZE}"),
    "created": (_is_time, "an RFC 3339 time"),
    "quell_version": (_is_text, "text"),
    "git_commit": (_is_text, "text"),
    "training": (_is_object, "an object"),
    "metrics": (_is_object, "an object"),
    "weights_sha256": (_is_sha256, "64 hexadecimal digits"),
    _SEAL_KEY: (_is_sha256, "64 hexadecimal digits"),
}
_SCHEMA_KEYS: _Checks = {
    "version": (_is_text, "text"),
    "candidate": (_are_names, "a list of different names"),
    "context": (_are_names, "a list of different names"),
}
_FORECASTER_ENTRY: _Checks = {_FORECASTER_KEY: (_is_object, "an object")}
_FORECASTER_KEYS: _Checks = {
    "features": (_are_names, "a list of different names"),
    "levels": (_are_levels, "a list of ascending numbers between 0 and 1"),
    "windows_minutes": (_are_windows, "a list of ascending whole numbers above 0"),
    "training": (_is_object, "an object"),
    "metrics": (_is_object, "an object"),
    "weights_sha256": (_is_sha256, "64 hexadecimal digits"),
}
