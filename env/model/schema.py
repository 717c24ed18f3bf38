"""The shape of the two JSON documents, and the one sentence that tells what is wrong with a file.

This is an untrusted edge, so pydantic stands here and only here. What a document means is for `snapshot.py`.
"""

from __future__ import annotations

import json
import math
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .cluster import Settings
from .contention import ContentionKind
from .errors import DocumentError

CLUSTER_FORMAT = "quell.cluster/1"
PLAN_FORMAT = "quell.plan/1"
MAX_BYTES = 512 * 1024 * 1024  # a snapshot of 4,000 VMs with a day of samples is a tenth of it


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return value


Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, AfterValidator(_finite), Field(gt=0)]
NotNegative = Annotated[float, AfterValidator(_finite), Field(ge=0)]
Share = Annotated[float, AfterValidator(_finite), Field(gt=0, le=1)]
Samples = NotNegative | Annotated[list[NotNegative], Field(min_length=1)]


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=True)


class GpuDocument(Document):
    id: Name
    model: Name
    memory_gib: Positive


class GpuProfileDocument(Document):
    model: Name
    memory_gib: Positive


class HostDocument(Document):
    id: Name
    cpu_cores: Positive
    memory_gib: Positive
    storage_cpu_cores: Positive
    gpus: list[GpuDocument] = []
    state: Literal["up", "maintenance", "down"] = "up"


class VmDocument(Document):
    id: Name
    vcpus: Positive
    memory_gib: Positive
    host: Name | None
    power: Literal["on", "off"] = "on"
    cpu_demand_cores: Samples
    storage_cpu_demand_cores: Samples
    overcommit: bool = False
    memory_usage_gib: NotNegative | None = None
    memory_swap_gib: NotNegative | None = None
    memory_minimum_gib: NotNegative | None = None
    gpu: GpuProfileDocument | None = None
    ha: bool = True


class SessionDocument(Document):
    id: Name
    controller: Name
    storage_cpu_demand_cores: Samples


class VolumeGroupDocument(Document):
    id: Name
    sessions: list[SessionDocument] = []


class PolicyDocument(Document):
    id: Name
    kind: Literal["vm-host-affinity", "vm-vm-anti-affinity", "vm-vm-affinity"]
    vms: Annotated[list[Name], Field(min_length=1)]
    hosts: Annotated[list[Name], Field(min_length=1)] | None = None


class HighAvailabilityDocument(Document):
    mode: Literal["guaranteed", "best-effort"] = "best-effort"
    host_failures: Literal[1, 2] = 1


class SettingsDocument(Document):
    cpu_threshold: Share = Settings.cpu_threshold
    storage_cpu_threshold: Share = Settings.storage_cpu_threshold
    trend_window_seconds: Positive = Settings.trend_window_seconds
    contention_period_seconds: Positive = Settings.contention_period_seconds
    memory_period_seconds: Positive = Settings.memory_period_seconds
    observation_seconds: NotNegative = Settings.observation_seconds
    session_move_cost_gib: NotNegative = Settings.session_move_cost_gib
    solve_limit_seconds: Positive = Settings.solve_limit_seconds


class ClusterDocument(Document):
    format: Literal["quell.cluster/1"]
    name: Name
    time: str
    settings: SettingsDocument = SettingsDocument()
    hosts: Annotated[list[HostDocument], Field(min_length=1)]
    vms: list[VmDocument] = []
    volume_groups: list[VolumeGroupDocument] = []
    policies: list[PolicyDocument] = []
    high_availability: HighAvailabilityDocument = HighAvailabilityDocument()


class ContentionDocument(Document):
    kind: ContentionKind = Field(strict=False)
    host: Name
    utilization: NotNegative | None = None
    threshold: NotNegative | None = None
    swap_gib: NotNegative | None = None


class MoveDocument(Document):
    kind: Literal["vm", "session"]
    id: Name
    source: Name
    target: Name
    cost_gib: NotNegative
    reason: str = ""


class ResizeDocument(Document):
    vm: Name
    host: Name
    memory_gib: NotNegative


class PlanDocument(Document):
    format: Literal["quell.plan/1"]
    cluster: Name
    planner: str
    status: Literal["planned", "no-contention", "refused", "observing", "placed", "rejected"]
    reason: str = ""
    contentions: list[ContentionDocument] = []
    moves: list[MoveDocument] = []
    cost_gib: NotNegative = 0.0
    resizes: list[ResizeDocument] = []
    solve_seconds: NotNegative = 0.0


def read_json(path: Path) -> object:
    """The JSON of a file; duplicate keys are refused, because one of the two would be ignored."""

    def no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DocumentError(f"{path}: key {twice!r} stands twice in one object")
        return dict(pairs)

    try:
        if path.stat().st_size > MAX_BYTES:
            raise DocumentError(f"{path}: {path.stat().st_size:,} bytes, more than the {MAX_BYTES:,} allowed")
        return json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=no_duplicates)
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        raise DocumentError(f"{path}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DocumentError(f"{path}: not JSON: {error}") from None


D = TypeVar("D", bound=Document)


def parse(model: type[D], expected_format: str, raw: object, where: str) -> D:
    """Checks a document against its model; the first error becomes one sentence."""
    if not isinstance(raw, dict):
        raise DocumentError(f"{where}: a {expected_format} document is a JSON object, not {show(raw)}")
    if raw.get("format") != expected_format:
        raise DocumentError(f"{where}: format is {show(raw.get('format'))}, expected {expected_format!r}")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise DocumentError(f"{where}: {_sentence(model, error)}") from None


def _sentence(model: type[Document], error: ValidationError) -> str:
    """The most telling of pydantic's errors: key's path, what is wrong, the value."""
    errors = error.errors()
    # A value that fits neither a number nor a list gives one error per alternative; the deepest one tells most.
    first_key = errors[0]["loc"][: _stem(errors[0]["loc"])]
    chosen = max((e for e in errors if e["loc"][: len(first_key)] == first_key), key=lambda e: len(_keys(e["loc"])))
    path, kind = _path(chosen["loc"]), chosen["type"]
    if kind == "extra_forbidden":
        known = _known_keys(model, chosen["loc"][:-1])
        near = get_close_matches(str(chosen["loc"][-1]), known, n=1)
        return f"{path}: unknown key" + (f" (did you mean {near[0]!r}?)" if near else f"; known are {', '.join(known)}")
    if kind == "missing":
        return f"{path}: required key is missing"
    message = chosen["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if not message.startswith(("NaN", "inf")) else message
    return f"{path}: {show(chosen['input'])}: {message}"


def _keys(loc: tuple[int | str, ...]) -> list[int | str]:
    """A pydantic location without the names of union alternatives."""
    return [
        k for k in loc if isinstance(k, int) or ("[" not in k and k not in ("float", "list", "int", "function-after"))
    ]


def _stem(loc: tuple[int | str, ...]) -> int:
    """How many leading entries of a location are keys of the document."""
    return len(loc) if len(_keys(loc)) == len(loc) else next(i for i, k in enumerate(loc) if not _keys((k,)))


def _path(loc: tuple[int | str, ...]) -> str:
    """A location as people write it: vms[3].cpu_demand_cores[7]."""
    path = ""
    for key in _keys(loc):
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
    return path or "document"


def _known_keys(model: type[Document], loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the object that a location leads to."""
    schema = model.model_json_schema()
    node: dict[str, Any] = schema
    for key in [None, *_keys(loc)]:
        if key is not None:
            node = node.get("items", {}) if isinstance(key, int) else node.get("properties", {}).get(key, {})
        for option in node.get("anyOf", []):
            node = option if "$ref" in option else node
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return list(node.get("properties", {}))


def show(value: object) -> str:
    """A value as it stands in an error: short."""
    text = json.dumps(value, default=str) if not isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
