"""Suites: the same seeded episodes under several planners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..env.world.rounds import EpisodeResult, run_episode
from ..env.world.split import TracePart
from ..env.world.workload import ClusterSpec, Episode, build_episode
from .planners import PlannerFactory

SEEDS_PER_SUITE = 100_000  # suites with different seeds share no episode


@dataclass(frozen=True)
class Suite:
    """Episodes drawn from one part of a trace: which ones is fixed by the seed alone.

    Attributes:
        part: the VMs and days they may use.
        spec: size and load of the clusters.
        episodes: how many, >= 1.
        seed: of the suite, >= 0.
    """

    part: TracePart
    spec: ClusterSpec
    episodes: int
    seed: int

    def build(self) -> Iterator[Episode]:
        """The episodes, one after another."""
        for i in range(self.episodes):
            yield build_episode(self.part, self.spec, self.seed * SEEDS_PER_SUITE + i)


def evaluate(
    suite: Suite,
    planners: dict[str, PlannerFactory],
    on_episode: Callable[[str, EpisodeResult], None] | None = None,
) -> dict[str, list[EpisodeResult]]:
    """Every planner through every episode of the suite; results paired by position.

    Args:
        suite: the episodes.
        planners: factory per name; the name stands in the results.
        on_episode: called after each episode of each planner.
    """
    results: dict[str, list[EpisodeResult]] = {name: [] for name in planners}
    for episode in suite.build():
        for name, factory in planners.items():
            result = run_episode(episode, factory(episode))
            results[name].append(result)
            if on_episode is not None:
                on_episode(name, result)
    return results
