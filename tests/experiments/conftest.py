"""Results of episodes without a simulator: what a comparison, a plot or a report is fed with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from quell.env.model.cluster import Host, Inventory
from quell.env.model.plan import Move, MoveKind
from quell.env.world.costs import CostTerms
from quell.env.world.migration import MoveRecord, Outcome
from quell.env.world.rounds import EpisodeResult
from quell.experiments.store import open_store

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # some of these tests load MLflow themselves

HOSTS = 3

ResultBuilder = Callable[..., EpisodeResult]
SuiteBuilder = Callable[..., list[EpisodeResult]]


def make_result(
    cost: float = 100.0, seed: int = 1, planner: str = "ads", violations: int = 0, moves: int = 2, minutes: int = 1440
) -> EpisodeResult:
    """One episode: four fifths of the cost are overload, the rest is migration."""
    utilization_THK = np.full((minutes, HOSTS, 2), 0.5, dtype=np.float32)
    utilization_THK[minutes // 2 :, 0, 0] = 0.95
    log = tuple(
        MoveRecord(Move(MoveKind.VM, f"vm-{i}", "host-1", "host-2", 4.0), 3600.0 * i, 3600.0 * i + 30, Outcome.DONE)
        for i in range(moves)
    )
    costs = CostTerms(overload_core_minutes=0.8 * cost, migration_gib=0.2 * cost)
    return EpisodeResult(planner, seed, costs, moves, int(cost), violations, 0.5, utilization_THK, log)


def make_suite(costs: Sequence[float], planner: str = "ads", first_seed: int = 1) -> list[EpisodeResult]:
    """Episodes with these costs and seeds in a row."""
    return [make_result(cost, first_seed + i, planner, minutes=0) for i, cost in enumerate(costs)]


@pytest.fixture(scope="session")
def result() -> ResultBuilder:
    """Builds one episode's result."""
    return make_result


@pytest.fixture(scope="session")
def suite() -> SuiteBuilder:
    """Builds a planner's results from costs."""
    return make_suite


@pytest.fixture(scope="session")
def many_results() -> dict[str, list[EpisodeResult]]:
    """Seven planners over twenty episodes; each is some factor of ads, with noise."""
    generator = np.random.default_rng(7)
    base_E = generator.gamma(3.0, 1000.0, 20)
    factors = {
        "none": 3.0,
        "spread": 1.2,
        "ads": 1.0,
        "tuned": 0.8,
        "forecast": 0.7,
        "clairvoyant": 0.3,
        "learned": 0.6,
    }
    return {
        planner: make_suite((base_E * factor * generator.lognormal(0.0, 0.05, 20)).tolist(), planner)
        for planner, factor in factors.items()
    }


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as Quell makes it, to be copied: to make one takes more than a second."""
    path = tmp_path_factory.mktemp("store") / "deep" / "er" / "mlflow.db"
    path.parent.mkdir(parents=True)
    open_store(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def inventory() -> Inventory:
    """Hosts for the results' utilization."""
    return Inventory(tuple(Host(f"host-{h + 1}", 32.0, 256.0, 8.0) for h in range(HOSTS)))
