"""`quell audits`: what was done to clusters and why, one JSON record a line, and what a person asks of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..env.model.errors import QuellError
from ..env.model.files import write_atomically
from ..env.world.audit import OPERATIONS, AuditRecord, audit_records
from ..env.world.rounds import EpisodeResult

Moment = datetime | time
"""A point in time, or a time of day on every day; UTC."""

LAST_OF_DAY = time(23, 59, 59, 999999)
ALLOWED = {"str": str, "datetime": str, "int": int, "float": int | float, "float | None": int | float | None}
"""What JSON must hold for a field of `AuditRecord` of each type."""


@dataclass(frozen=True)
class AuditFilter:
    """Which records to show; None and "" for no condition.

    Attributes:
        operation: one of `OPERATIONS`.
        since, until: earliest and latest time, both included.
        planner: who planned.
        id: the VM, session or host.
    """

    operation: str = ""
    since: Moment | None = None
    until: Moment | None = None
    planner: str = ""
    id: str = ""

    def keeps(self, record: AuditRecord) -> bool:
        """Whether a record meets all conditions."""
        named = ((self.operation, record.operation), (self.planner, record.planner), (self.id, record.id))
        return (
            all(wanted in ("", found) for wanted, found in named)
            and (self.since is None or _is_from(record.time, self.since))
            and (self.until is None or _is_up_to(record.time, self.until))
        )


def make_filter(operation: str, since: str, until: str, planner: str, vm: str) -> AuditFilter:
    """A filter from the options of the command line, each "" where it is not given.

    Raises:
        QuellError: an operation or a time is none, or nothing could lie between the times.
    """
    if operation and operation not in OPERATIONS:
        near = get_close_matches(operation, OPERATIONS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(OPERATIONS)}"
        raise QuellError(f"--operation {operation!r} is unknown; {hint}")
    first = _moment("--since", since, time.min) if since else None
    last = _moment("--until", until, LAST_OF_DAY) if until else None
    if type(first) is type(last) and first is not None and first > last:  # type: ignore[operator]
        raise QuellError(f"--since {since} is after --until {until}: nothing lies between them")
    return AuditFilter(operation, first, last, planner, vm)


def write_audits(path: Path, results: Mapping[str, Sequence[EpisodeResult]]) -> None:
    """Writes the records of all days of all planners, one JSON object a line.

    Args:
        path: the file; its folder must exist.
        results: days by the name of the planner that stands in tables.

    Raises:
        StoreError: the file cannot be written.
    """
    days = [replace(result, planner=name) for name, days in results.items() for result in days]
    lines = [
        json.dumps(record_document(record), allow_nan=False) + "\n" for day in days for record in audit_records(day)
    ]
    write_atomically(path, "".join(lines))


def read_audits(path: Path) -> tuple[AuditRecord, ...]:
    """The records of a file, in its order.

    Raises:
        QuellError: the file cannot be read, or a line is cut short or no audit record.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise QuellError(
            f"{path}: there is no such file; `quell run` and `quell simulate --audits` write one"
        ) from None
    except OSError as error:
        raise QuellError(f"{path} cannot be read: {error.strerror or error}") from None
    return tuple(_parsed(path, i, line) for i, line in enumerate(lines, start=1) if line or i < len(lines))


def record_document(record: AuditRecord) -> dict[str, Any]:
    """A record as a JSON object; its time in RFC 3339."""
    moment = record.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return asdict(record) | {"time": moment}


def audits_text(records: Sequence[AuditRecord]) -> str:
    """The records as a table, one line each; the cluster stands there where there is more than one."""
    has_many = len({record.cluster for record in records}) > 1
    header = ("time", "operation", "planner", "plan", "what", "from", "to", "GiB", "seconds", "outcome", "effective")
    rows = [(*header, *(("cluster",) if has_many else ()), "why")]
    for record in records:
        cells = (
            f"{record.time.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            record.operation,
            record.planner,
            str(record.plan or ""),
            record.id,
            record.source,
            record.target,
            f"{record.cost_gib:.2f}" if record.cost_gib else "",
            f"{record.duration_seconds:.0f}",
            record.outcome,
            "" if record.effectiveness is None else f"{record.effectiveness:.0%}",
        )
        why = "; ".join(part for part in (record.cause, record.detail) if part)
        rows.append((*cells, *((record.cluster,) if has_many else ()), why))
    return _aligned(rows, right={header.index(name) for name in ("plan", "GiB", "seconds", "effective")})


def _aligned(rows: Sequence[Sequence[str]], right: Iterable[int]) -> str:
    """Rows of cells as lines with columns; those in `right` stand to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _moment(option: str, text: str, time_of_date: time) -> Moment:
    """The time an option names; a bare date is that day at `time_of_date`."""
    for parse in (date.fromisoformat, time.fromisoformat, datetime.fromisoformat):
        try:
            found = parse(text)
        except ValueError:
            continue
        if isinstance(found, datetime):
            return found.replace(tzinfo=found.tzinfo or UTC)
        if isinstance(found, date):
            return datetime.combine(found, time_of_date, UTC)
        if found.tzinfo is None:
            return found
    raise QuellError(f"{option} {text!r} is no time; write 2026-01-01T12:00, 2026-01-01 or 12:00 (UTC)")


def _is_from(moment: datetime, first: Moment) -> bool:
    """Whether a record is not earlier than a bound."""
    return moment >= first if isinstance(first, datetime) else moment.time() >= first


def _is_up_to(moment: datetime, last: Moment) -> bool:
    """Whether a record is not later than a bound."""
    return moment <= last if isinstance(last, datetime) else moment.time() <= last


def _parsed(path: Path, number: int, line: bytes) -> AuditRecord:
    """The record of a line."""
    try:
        document = json.loads(line)
        if not isinstance(document, dict) or document.keys() != {field.name for field in fields(AuditRecord)}:
            raise ValueError
        for field in fields(AuditRecord):
            _check(document[field.name], str(field.type))
        moment = datetime.fromisoformat(document["time"])
        if moment.tzinfo is None:
            raise ValueError
        return AuditRecord(**document | {"time": moment.astimezone(UTC)})
    except (ValueError, OverflowError, RecursionError):
        raise QuellError(f"{path}, line {number}: cut short, or no audit record") from None


def _check(value: Any, kind: str) -> None:
    """Raises ValueError or OverflowError where a value of a line is not of a kind, cannot be printed or is endless."""
    if not isinstance(value, ALLOWED[kind]) or isinstance(value, bool):
        raise ValueError
    if isinstance(value, str):
        value.encode()
    elif value is not None and not math.isfinite(value):
        raise ValueError
