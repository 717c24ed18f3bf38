"""Policies made by hand, in the place of exported ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from quell.agents.lookahead import Quantiles
from quell.agents.planner import LearnedPlanner, Proposal
from quell.env.gym.features import SCHEMA


@dataclass(frozen=True)
class StubPolicy:
    """A policy that scores by a function of candidates and mask."""

    rule: Callable[[np.ndarray, np.ndarray], np.ndarray]
    forecaster: Quantiles | None = None

    slots: int = 64

    def logits(self, candidates: np.ndarray, context: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Scores by the rule."""
        assert candidates.shape == (65, len(SCHEMA.candidate)) and context.shape == (len(SCHEMA.context),)
        return self.rule(candidates, mask).astype(np.float32)


def make_learned(rule: Callable[[np.ndarray, np.ndarray], np.ndarray], **arguments: Any) -> LearnedPlanner:
    """The learned planner with such a policy, which has the say alone unless told otherwise."""
    arguments.setdefault("proposals", (Proposal.POLICY,))
    return LearnedPlanner(StubPolicy(rule), **arguments)
