"""A forecaster trained for a moment, and bundles that hold it."""

from __future__ import annotations

import functools
from pathlib import Path
from tempfile import TemporaryDirectory

import torch as th

from quell.agents.bundle import parse_bundle
from quell.agents.export import export_bundle
from quell.agents.forecast_training import TrainedForecaster, train_forecaster
from quell.agents.forecaster import Forecaster
from quell.agents.manifest import ManifestFields
from quell.agents.network import CandidateScorer
from quell.env.gym.features import SCHEMA
from quell.env.world.split import part
from quell.env.world.synthetic import synthetic_trace


@functools.cache
def quick_training(seed: int = 0) -> TrainedForecaster:
    """Thirty steps on a small synthetic trace."""
    trace = synthetic_trace(0, vms=40, days=4)
    return train_forecaster(part(trace, "train"), part(trace, "validation"), seed, steps=30)


def bundle_content(forecaster: TrainedForecaster | None) -> bytes:
    """A bundle of an untrained policy, with or without a forecaster; the same arguments give the same bytes."""
    th.manual_seed(0)
    scorer = CandidateScorer(len(SCHEMA.candidate), len(SCHEMA.context))
    fields = ManifestFields(SCHEMA, 64, "2026-01-31T12:00:00Z", "0.1.0", "0123abc", {}, {})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "made.quell"
        export_bundle(scorer, path, fields, forecaster)
        return path.read_bytes()


@functools.cache
def quick_content() -> bytes:
    """The bundle with the quick forecaster."""
    return bundle_content(quick_training())


def served() -> Forecaster:
    """The quick forecaster as it is served."""
    forecaster = parse_bundle(quick_content(), Path("quick.quell")).forecaster
    assert forecaster is not None
    return forecaster
