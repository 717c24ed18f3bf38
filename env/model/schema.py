"""The shape of the two JSON documents, and the one sentence that tells what is wrong with a file.

This is an untrusted edge, so pydantic stands here and only here. What a document means is for `snapshot.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError

from .cluster import Settings
from .contention import ContentionKind
from .errors import DocumentError

CLUSTER_FORMAT = "quell.cluster/1"
PLAN_FORMAT = "quell.plan/1"
MAX_BYTES = 512 * 1024 * 1024  # a snapshot of 4,000 VMs with a day of samples is a tenth of it


NUMBER, LIST = "(number)", "(list)"  # pydantic puts these into the location of an error inside `Samples`


def _no_boolean(value: object) -> object:
    """Lets everything but true and false pass; to Python, true is 1."""
    if isinstance(value, bool):
        raise ValueError("must be 1 or 2")
    return value


Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
SampleList = Annotated[list[NotNegative], Field(min_length=1)]
Samples = Annotated[
    Annotated[NotNegative, Tag(NUMBER)] | Annotated[SampleList, Tag(LIST)],
    Discriminator(lambda value: LIST if isinstance(value, list) else NUMBER),
]


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


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
    host_failures: Annotated[Literal[1, 2], BeforeValidator(_no_boolean)] = 1


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
    vm: Name | None = None
    target: Name | None = None
    contentions: list[ContentionDocument] = []
    moves: list[MoveDocument] = []
    cost_gib: NotNegative = 0.0
    proven: bool | None = None
    resizes: list[ResizeDocument] = []
    solve_seconds: NotNegative = 0.0


def read_json(path: Path) -> object:
    """The JSON of a file; duplicate keys are refused, because one of the two would be ignored."""

    def no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DocumentError(f"{path}: key {show(twice)} stands twice in one object")
        return dict(pairs)

    try:
        if path.stat().st_size > MAX_BYTES:
            raise DocumentError(f"{path}: {path.stat().st_size:,} bytes, more than the {MAX_BYTES:,} allowed")
        text = path.read_bytes().decode("utf-8-sig")
        if not text.strip():
            raise DocumentError(f"{path}: the file is empty")
        return json.loads(text, object_pairs_hook=no_duplicates)
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        fault = error.msg[0].lower() + error.msg[1:].removesuffix(" at")
        raise DocumentError(f"{path}: not JSON: {fault} at line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DocumentError(f"{path}: not UTF-8: byte {byte:#04x} at position {error.start}") from None
    except RecursionError:
        raise DocumentError(f"{path}: lists and objects are nested too deeply") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise DocumentError(f"{path}: a number has too many digits") from None


D = TypeVar("D", bound=Document)
Fault = Mapping[str, Any]  # one error of pydantic: loc, type, msg, input, ctx


def parse(model: type[D], expected_format: str, raw: object, where: str) -> D:
    """Checks a document against its model; the first error becomes one sentence."""
    if not isinstance(raw, dict):
        raise DocumentError(f"{where}: must be a JSON object ({expected_format}), not {show(raw)}")
    if "format" not in raw:
        raise DocumentError(f"{where}: format: required key is missing (must be {show(expected_format)})")
    if raw["format"] != expected_format:
        raise DocumentError(f"{where}: format: must be {show(expected_format)}, not {show(raw['format'])}")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise DocumentError(f"{where}: {_sentence(model, error.errors())}") from None


_ALLOWED = {
    "greater_than": "above {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than_equal": "at most {le:g}",
    "finite_number": "a finite number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text of at least 1 character",
    "string_unicode": "valid Unicode text",
    "list_type": "a list",
    "too_short": "a list of at least 1 entry",
    "model_type": "an object",
    "literal_error": "{expected}",
    "enum": "{expected}",
}
"""What is allowed, in words, by the type of pydantic's error; braces take pydantic's figures."""


def _sentence(model: type[Document], errors: Sequence[Fault]) -> str:
    """The first of pydantic's errors: key's path, what is allowed, the value."""
    error = _misspelt(errors) or errors[0]
    loc, kind, value = error["loc"], error["type"], error["input"]
    if kind == "extra_forbidden":
        unknown, known = str(loc[-1]), _known_keys(model, loc[:-1])
        near = get_close_matches(unknown, known, n=1)
        hint = f" (did you mean {show(near[0])}?)" if near else f"; known are {', '.join(known)}"
        parent = key_path(loc[:-1])
        return f"{parent + '.' if parent else ''}{_plain(unknown)}: unknown key{hint}"
    if kind == "missing":
        return f"{key_path(loc)}: required key is missing"
    if kind == "value_error":
        return f"{key_path(loc)}: {error['ctx']['error']}, not {show(value)}"
    allowed = _ALLOWED[kind].format(**error.get("ctx", {})).replace("'", '"') if kind in _ALLOWED else error["msg"]
    if kind == "float_type" and loc[-1] == NUMBER:
        allowed = "a number or a list of numbers"
    return f"{key_path(loc) or 'document'}: must be {allowed}, not {show(value)}"


def _misspelt(errors: Sequence[Fault]) -> Fault | None:
    """The unknown key that was meant to be the required one the first error misses."""
    if errors[0]["type"] != "missing":
        return None
    loc = errors[0]["loc"]
    unknown = [e for e in errors if e["type"] == "extra_forbidden" and e["loc"][:-1] == loc[:-1]]
    return next((e for e in unknown if get_close_matches(str(e["loc"][-1]), [str(loc[-1])])), None)


def key_path(loc: tuple[int | str, ...]) -> str:
    """A location as people write it: vms[3].cpu_demand_cores[7]."""
    path = ""
    for key in loc:
        if isinstance(key, int):
            path += f"[{key}]"
        elif key not in (NUMBER, LIST):
            path += f".{key}" if path else key
    return path


def _plain(key: str) -> str:
    """A key nobody knows, as it may stand in a path: quoted where it is no word, cut where it is long."""
    return key if re.fullmatch(r"[\w-]{1,60}", key, re.ASCII) else show(key)


def _known_keys(model: type[Document], loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the object that a location leads to."""
    schema = model.model_json_schema()
    node: dict[str, Any] = schema
    for key in (None, *loc):
        if key is not None:
            node = node["items"] if isinstance(key, int) else node["properties"][key]
        for option in node.get("anyOf", []):
            node = option if "$ref" in option else node
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return list(node["properties"])


def show(value: object) -> str:
    """A value as it stands in an error: as JSON, short."""
    if isinstance(value, list | dict) and value:
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
