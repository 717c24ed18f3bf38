"""`quell bundle record`: figures of `quell evaluate` go into the manifest of the bundle that they are of.

They must be of these very networks: the document names the SHA-256 of every bundle that took part. What is kept is the
suite, the interquartile means and intervals of all planners, and how the bundle's own differs from each reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..agents.bundle import parse_bundle, read_bundle
from ..agents.manifest import BUNDLE_SUFFIX, Manifest
from ..agents.suites import with_suite
from ..env.model.errors import DocumentError, QuellError
from ..env.model.files import write_atomically
from .bundle_origin import origin_of
from .figures_document import FiguresReader, read_figures
from .legible import legible_words

SHOWN_DIGITS = 12  # of a SHA-256


@dataclass(frozen=True)
class RecordAsked:
    """What `quell bundle record` was asked.

    Attributes:
        bundle: the bundle.
        figures: a document of `quell evaluate --output`.
        name: of the suite.
        output: where the bundle with the figures goes; None: in the place of the old one.
        may_replace: whether figures of that name may be recorded already.
    """

    bundle: Path
    figures: Path
    name: str
    output: Path | None = None
    may_replace: bool = False


def record_figures(asked: RecordAsked) -> dict[str, Any]:
    """Records figures in a bundle; returns what was recorded and where.

    Raises:
        QuellError: bundle or figures cannot be read or do not belong together, the name is taken, or the file cannot
            be written; nothing is written then.
    """
    output = asked.output or asked.bundle
    if output.suffix != BUNDLE_SUFFIX:
        raise QuellError(f"--output {output}: the name must end in {BUNDLE_SUFFIX}")
    content = read_bundle(asked.bundle)
    manifest = parse_bundle(content, asked.bundle).manifest
    document = read_figures(asked.figures)
    figures = kept_figures(document, planner_of(document, manifest, asked), asked.figures)
    changed = with_suite(content, asked.bundle, asked.name, figures, may_replace=asked.may_replace)
    write_atomically(output, changed)
    return {"bundle": str(output), "bytes": len(changed), "suite": asked.name, "figures": figures}


def planner_of(document: Mapping[str, Any], manifest: Manifest, asked: RecordAsked) -> str:
    """The planner of a document that is the bundle's policy with nothing left out.

    Raises:
        DocumentError: there is none.
    """
    wanted = origin_of(manifest)
    for name, origin in document["bundles"].items():
        if origin == wanted and name in document["planners"]:
            return str(name)
    told = [legible_words(f"{name} ({_shown(origin)})") for name, origin in document["bundles"].items()]
    raise DocumentError(
        f"{asked.figures}: holds no figures of the policy in {asked.bundle} ({_shown(wanted)}), "
        f"but of {', '.join(told) or 'no bundle at all'}"
    )


def kept_figures(document: Mapping[str, Any], planner: str, path: Path) -> dict[str, Any]:
    """What of a document is recorded.

    Args:
        document: the figures.
        planner: the bundle's.
        path: of the document, for errors.

    Raises:
        DocumentError: a figure is missing or is none.
    """
    reader = FiguresReader(document, path)
    kept = {
        "planner": planner,
        "suite": reader.suite() | reader.trace_days(),
        "made_with": reader.made_with(),
        "planners": reader.planners(),
        "reference": reader.reference(),
        "against": reader.against(planner),
    }
    spread = reader.spread(planner)
    return kept if spread is None else kept | {"spread": spread}


def _shown(origin: Any) -> str:
    """The origin of figures as people read it."""
    if not isinstance(origin, dict):
        return "unknown"
    sums = [("weights", origin.get("weights_sha256")), ("forecaster", origin.get("forecaster_sha256"))]
    words = [f"{what} {str(digits)[:SHOWN_DIGITS]}" for what, digits in sums if digits]
    parts = [str(origin[key]) for key in ("kind", "variant") if origin.get(key) not in (None, "policy")]
    return ", ".join([*words, *parts])
