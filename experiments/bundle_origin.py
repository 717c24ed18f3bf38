"""Which bundle each planner of a comparison comes from: what ties figures to the weights that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..env.model.errors import QuellError
from .planners import bundle_path, is_forecast, split_variant
from .simulation import shown_names

if TYPE_CHECKING:
    from ..agents.manifest import Manifest


def origin_of(manifest: Manifest, kind: str = "policy", variant: str = "") -> dict[str, Any]:
    """What ties the figures of a planner to its bundle.

    Args:
        manifest: of the bundle.
        kind: `policy`, or `forecast`: the tuned rule on the bundle's forecaster.
        variant: the part of the planner that is alone or left out; empty for the whole.
    """
    return {
        "kind": kind,
        "variant": variant or None,
        "weights_sha256": manifest.weights_sha256,
        "forecaster_sha256": manifest.forecaster.weights_sha256 if manifest.forecaster else None,
    }


def bundles_of(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The bundle behind each planner that has one, by the name that stands in tables.

    Raises:
        QuellError: a bundle cannot be trusted.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, told in shown_names(names).items():
        path = bundle_path(name)
        if path is None:
            continue
        from ..agents.bundle import load_bundle  # here, so that rules do not wait for onnxruntime

        kind = "forecast" if is_forecast(name) else "policy"
        found[told] = origin_of(load_bundle(path).manifest, kind, split_variant(name)[1])
    return found


def check_same(names: Sequence[str], before: dict[str, dict[str, Any]]) -> None:
    """Refuses figures of a bundle that was replaced while they were made: nobody could say what they are of.

    Raises:
        QuellError: one was.
    """
    for told, now in bundles_of(names).items():
        if now != before[told]:
            raise QuellError(f"planner {told!r}: its bundle was replaced while it was evaluated; evaluate it again")
