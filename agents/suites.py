"""Figures of suites that travel with a bundle: `metrics.suites` of its manifest, by the name of the suite.

What stands there is JSON that the command line puts together; here it is only kept, beside the networks it is about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .bundle import parse_bundle, with_manifest
from .manifest import Manifest, refusal

SUITES_KEY = "suites"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


def suites_of(manifest: Manifest, path: Path) -> dict[str, Mapping[str, Any]]:
    """The recorded suites by name; empty where none is recorded.

    Raises:
        BundleError: what stands there is of another form.
    """
    suites = manifest.metrics.get(SUITES_KEY, {})
    if not isinstance(suites, Mapping) or not all(isinstance(figures, Mapping) for figures in suites.values()):
        raise refusal(path, f"metrics.{SUITES_KEY} must be an object of objects")
    return dict(suites)


def with_suite(
    content: bytes, path: Path, name: str, figures: Mapping[str, Any], *, may_replace: bool = False
) -> bytes:
    """A bundle with the figures of one suite more; its networks and the rest of its manifest stay as they are.

    Args:
        content: the bundle.
        path: for messages.
        name: of the suite.
        figures: JSON.
        may_replace: whether figures of that name may be there already.

    Raises:
        BundleError: it is no whole bundle, the name cannot be one or is taken, or the figures are too long.
    """
    if _NAME.fullmatch(name) is None:
        raise refusal(
            path, f"no suite can be called {name!r}: 1 to 60 letters, digits, dots, dashes, underscores; no sign first"
        )
    manifest = parse_bundle(content, path).manifest
    suites = suites_of(manifest, path)
    if name in suites and not may_replace:
        raise refusal(path, f"figures of a suite {name!r} are recorded already; --replace puts new ones in their place")
    metrics = {**manifest.metrics, SUITES_KEY: {**suites, name: dict(figures)}}
    return with_manifest(content, replace(manifest, metrics=metrics), path)
