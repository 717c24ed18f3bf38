"""`quell bundle show`: what a bundle says about itself, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from ..agents.bundle import load_bundle
from ..agents.manifest import BUNDLE_FORMAT, ForecasterFields, Manifest, format_manifest
from ..agents.suites import suites_of
from .legible import legible
from .training_spread import spread_sentence

UNKNOWN = "not recorded"
SHOWN_DIGITS = 12  # of a SHA-256


def manifest_document(path: Path) -> dict[str, Any]:
    """The manifest of a bundle as it stands in the file.

    Raises:
        BundleError: the bundle cannot be read, or is not whole.
    """
    return dict(json.loads(format_manifest(load_bundle(path).manifest, path)))


def bundle_text(path: Path) -> Table:
    """Format, features, training, validation, forecaster and recorded suites, a row each.

    Raises:
        BundleError: the bundle cannot be read, or is not whole.
    """
    manifest = load_bundle(path).manifest
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for what, text in _rows(manifest, path):
        table.add_row(what, legible(text))
    return table


def _rows(manifest: Manifest, path: Path) -> Iterator[tuple[str, str]]:
    """What there is to tell, and the words for it."""
    schema = manifest.feature_schema
    yield "bundle", f"{path}, {path.stat().st_size / 1000:,.0f} kB, {BUNDLE_FORMAT}"
    yield (
        "policy",
        f"sha256 {manifest.weights_sha256[:SHOWN_DIGITS]}; schema {schema.version}: {len(schema.candidate)} features "
        f"of each candidate, {len(schema.context)} of the cluster; up to {manifest.shortlist_size} candidates",
    )
    commit, dash, state = manifest.git_commit.partition("-")
    made_by = f"Quell {manifest.quell_version}, commit {commit[:SHOWN_DIGITS]}{dash}{state}"
    yield "made", f"{manifest.created} by {made_by}"
    yield "training", _training(manifest.training, manifest.metrics)
    yield "validation", _validation(manifest.training, manifest.metrics)
    yield "forecaster", "none" if manifest.forecaster is None else _forecaster(manifest.forecaster)
    suites = suites_of(manifest, path)
    for name, figures in suites.items():
        for i, line in enumerate(_suite(figures)):
            yield "" if i else f"suite {name}", line
    if not suites:
        yield "suites", "none recorded"


def _training(training: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Preset, seed, budget, workload, and what was set beside the preset."""
    told = {
        "preset": training.get("preset", UNKNOWN),
        "seed": training.get("seed", UNKNOWN),
        "budget": _budget(training),
        "device": training.get("device", UNKNOWN),
        "workload": metrics.get("workload", UNKNOWN),
        "scenario": training.get("scenario", UNKNOWN),
    }
    text = ", ".join(f"{what} {value}" for what, value in told.items())
    settings = training.get("set")
    if isinstance(settings, list) and settings:
        text += f"; set {', '.join(f'{key}={training.get(key)}' for key in settings)}"
    return f"{text}; interrupted before its end" if metrics.get("interrupted") else text


def _budget(training: Mapping[str, Any]) -> str:
    """What decided how long the training took."""
    days, updates, seconds = (training.get(name) for name in ("days", "ppo_updates", "budget_seconds"))
    if isinstance(days, int) and isinstance(updates, int):
        return f"{days} days and {updates} updates"
    return f"{seconds / 60:g} minutes" if isinstance(seconds, int | float) else UNKNOWN


def _validation(training: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """How the policy did on the days it was chosen by."""
    ratio, moved = metrics.get("validation_cost_ratio"), metrics.get("validation_moved_gib")
    if not isinstance(ratio, int | float) or not isinstance(moved, int | float):
        return UNKNOWN
    phase = "MaskablePPO" if metrics.get("best_is_from_ppo") else "imitation"
    text = f"{100 * ratio:.1f} % of the cost of doing nothing, {moved:,.0f} GiB moved a day; the best is from {phase}"
    if "hindsight" not in training:  # of the time when policies were judged as they are served
        return text
    served = metrics.get("served_cost_ratio")
    return f"the policy alone {text}" + (f"; as it is served {100 * served:.1f} %" if isinstance(served, float) else "")


def _forecaster(fields: ForecasterFields) -> str:
    """What it reads and says, and how much better than the last hour's own quantiles."""
    levels = f"{100 * fields.levels[0]:g} to {100 * fields.levels[-1]:g} %"
    windows = ", ".join(map(str, fields.windows_minutes))
    text = (
        f"sha256 {fields.weights_sha256[:SHOWN_DIGITS]}; {len(fields.features)} features, {len(fields.levels)} "
        f"quantiles ({levels}) of the coming {windows} minutes"
    )
    for kind in ("cpu", "storage"):
        told = fields.metrics.get(kind)
        losses = [told.get(key) for key in ("pinball", "pinball_last_hour")] if isinstance(told, Mapping) else []
        if len(losses) == 2 and all(isinstance(loss, int | float) for loss in losses):
            text += f"; {kind} pinball loss {losses[0]:.4f}, of the last hour {losses[1]:.4f}"
    return text


def _suite(figures: Mapping[str, Any]) -> list[str]:
    """One recorded suite: what was played, the policy's cost, and a line for each reference."""
    try:
        planner, planners = figures["planner"], figures["planners"]
        lines, main = [_days(figures["suite"]), _cost(planners[planner])], figures["reference"]
        for reference in sorted(figures["against"], key=lambda name: name != main):
            cost = planners[reference]["cost_core_minutes"]
            lines.append(f"against {reference} ({cost:,.0f}): {_difference(figures['against'][reference])}")
        return [*lines, spread_sentence(figures["spread"], main)] if "spread" in figures else lines
    except (KeyError, TypeError, ValueError, AttributeError):
        return ["of another form than this Quell records; --json shows it"]


def _days(suite: Mapping[str, Any]) -> str:
    """What was played."""
    size = f"{_range(suite['hosts'])} hosts with {_range(suite['vms_per_host'])} VMs each"
    of_days = f" built from {suite['trace_days']} days" if "trace_days" in suite else ""
    days = f"{suite['episodes']} days{of_days} of {suite['workload']}, part {suite['part']}"
    return f"{days}, {size}, load {_range(suite['load'])}, scenario {suite['scenario']}, seed {suite['seed']}"


def _cost(own: Mapping[str, Any]) -> str:
    """What the policy's days cost."""
    low, high = own["intervals"]["cost_core_minutes"]
    interval = "" if low is None else f" ({low:,.0f} to {high:,.0f})"
    cost = f"{own['cost_core_minutes']:,.0f} core-minutes a day{interval}"
    return f"{cost}, {own['moved_gib']:,.0f} GiB moved, {own['violations']} rules broken"


def _range(value: Any) -> str:
    """One value, or both ends of a range."""
    return f"{value[0]:g} to {value[1]:g}" if isinstance(value, list) else f"{value:g}"


def _by_day(pair: Mapping[str, Any]) -> str:
    """The interval where whole days of the trace are drawn; younger than some recorded figures."""
    low, high = pair.get("interval_by_day_percent", (None, None))
    return "" if low is None else f"; by trace day {low:+.1f} to {high:+.1f}"


def _difference(pair: Mapping[str, Any]) -> str:
    """A paired difference in words."""
    percent, (low, high) = pair["difference_percent"], pair["interval_percent"]
    text = "no difference in percent" if percent is None else f"{percent:+.1f} %"
    text += "" if low is None else f" ({low:+.1f} to {high:+.1f}{_by_day(pair)})"
    text += f", cheaper on {100 * pair['probability_of_improvement']:.0f} % of days"
    regret = pair["regret_closed"]
    return text if regret is None else f"{text}, regret closed {100 * regret:.0f} %"
