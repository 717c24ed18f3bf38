"""A policy can be exported wherever Quell is installed, with git or without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch as th

from quell.agents.bundle import load_bundle
from quell.agents.config import TrainConfig
from quell.agents.network import CandidateScorer
from quell.agents.train import TrainedPolicy
from quell.env.gym.features import SCHEMA
from quell.experiments import training


def test_an_installed_quell_that_lies_in_no_repository_exports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(training, "git_commit", lambda: None)
    th.manual_seed(0)
    config = TrainConfig()
    policy = TrainedPolicy(CandidateScorer(len(SCHEMA.candidate), len(SCHEMA.context), config.width), config, {})
    training.export_policy(policy, tmp_path / "policy.quell", {})
    assert load_bundle(tmp_path / "policy.quell").manifest.git_commit == training.NO_COMMIT
