"""Policies made by hand, in the place of exported ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from quell.agents.bundle import Bundle, Scores
from quell.agents.planner import LearnedPlanner
from quell.env.gym.features import SCHEMA


@dataclass(frozen=True)
class StubBundle:
    """A policy that scores by a function of candidates and mask."""

    rule: Callable[[np.ndarray, np.ndarray], np.ndarray]

    @property
    def manifest(self) -> Any:
        """What the planner asks of it."""
        return SimpleNamespace(shortlist_size=64)

    def score(self, candidates: np.ndarray, context: np.ndarray, mask: np.ndarray) -> Scores:
        """Scores by the rule; the critic knows nothing."""
        assert candidates.shape == (65, len(SCHEMA.candidate)) and context.shape == (len(SCHEMA.context),)
        return Scores(self.rule(candidates, mask).astype(np.float32), np.zeros((), dtype=np.float32))


def make_learned(rule: Callable[[np.ndarray, np.ndarray], np.ndarray], **arguments: Any) -> LearnedPlanner:
    """The learned planner with such a policy."""
    return LearnedPlanner(cast(Bundle, StubBundle(rule)), **arguments)
