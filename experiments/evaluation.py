"""Suites: the same seeded episodes under several planners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..baseline.ads import Ads
from ..baseline.mode import Mode
from ..baseline.nothing import Nothing
from ..baseline.placement import place_with_room
from ..env.model.placement import place
from ..env.model.planner import Planner
from ..env.world.rounds import EpisodeResult, run_episode
from ..env.world.waiting import Placer
from ..env.world.workload import Episode
from .planners import PlannerFactory
from .sources import EpisodeSource

SEEDS_PER_SUITE = 100_000  # suites with different seeds share no episode


@dataclass(frozen=True)
class Suite:
    """Episodes of one source: which ones is fixed by the seed alone.

    Attributes:
        source: where they come from.
        episodes: how many, >= 1.
        seed: of the suite, >= 0.
    """

    source: EpisodeSource
    episodes: int
    seed: int

    def build(self) -> Iterator[Episode]:
        """The episodes, one after another."""
        for i in range(self.episodes):
            yield self.source.episode(self.seed * SEEDS_PER_SUITE + i)


def placer_of(planner: Planner) -> Placer:
    """Who places VMs that arrive: others are rearranged to make room, but where nothing is to be moved at all."""
    is_still = isinstance(planner, Nothing) or (isinstance(planner, Ads) and planner.mode is Mode.DISABLED)
    return place if is_still else place_with_room


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
            planner = factory(episode)
            result = run_episode(episode, planner, placer=placer_of(planner))
            results[name].append(result)
            if on_episode is not None:
                on_episode(name, result)
    return results
