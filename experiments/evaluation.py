"""Suites: the same seeded episodes under several planners, in this process or in several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import cache

from ..agents.processes import Workers
from ..baseline.ads import Ads
from ..baseline.mode import Mode
from ..baseline.nothing import Nothing
from ..baseline.placement import place_with_room
from ..baseline.warm_up import warm_up_planners
from ..env.model.errors import QuellError
from ..env.model.placement import place
from ..env.model.planner import Planner
from ..env.world.rounds import EpisodeResult, run_episode
from ..env.world.waiting import Placer
from ..env.world.workload import Episode
from .planners import PlannerFactory
from .sources import DrawnDay, EpisodeSource

SEEDS_PER_SUITE = 100_000  # suites with different seeds share no episode

Results = dict[str, list[EpisodeResult]]
PlannerMaker = Callable[[], dict[str, PlannerFactory]]
"""Makes the planners of a suite in whichever process plays it; picklable where there are several."""


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

    def day(self, i: int) -> DrawnDay:
        """Episode number i, from 0."""
        return self.source.draw(self.seed * SEEDS_PER_SUITE + i)

    def build(self) -> Iterator[Episode]:
        """The episodes, one after another."""
        for i in range(self.episodes):
            yield self.day(i).episode


@dataclass
class Played:
    """A suite, or the part of it that has been played.

    Attributes:
        results: of each planner, in the order of the episodes. Utilization by the minute is kept for the first episode
            alone: a hundred days of seven planners would fill the memory.
        redraws: how many draws of size and load were thrown away.
    """

    results: Results = field(default_factory=dict)
    redraws: int = 0

    def add(self, day: Played) -> None:
        """Takes over the days of another part."""
        for name, results in day.results.items():
            self.results.setdefault(name, []).extend(results)
        self.redraws += day.redraws


def placer_of(planner: Planner) -> Placer:
    """Who places VMs that arrive: others are rearranged to make room, but where nothing is to be moved at all."""
    is_still = isinstance(planner, Nothing) or (isinstance(planner, Ads) and planner.mode is Mode.DISABLED)
    return place if is_still else place_with_room


def play(episode: Episode, factory: PlannerFactory) -> EpisodeResult:
    """One episode under a fresh planner."""
    planner = factory(episode)
    return run_episode(episode, planner, placer=placer_of(planner))


def evaluate(
    suite: Suite,
    planners: dict[str, PlannerFactory],
    on_episode: Callable[[str, EpisodeResult], None] | None = None,
) -> Results:
    """Every planner through every episode of the suite; results paired by position.

    Args:
        suite: the episodes.
        planners: factory per name; the name stands in the results.
        on_episode: called after each episode of each planner.
    """
    return _play_here(suite, planners, on_episode).results


def play_suite(
    suite: Suite, make_planners: PlannerMaker, workers: int, on_done: Callable[[int], None] = lambda done: None
) -> Played:
    """Every planner through every episode of the suite, with the same results for any number of processes.

    Args:
        suite: the episodes.
        make_planners: gives the planners, by the names that stand in the results.
        workers: processes that play; with 1 it is this one.
        on_done: called with the episodes played so far, those of each planner counted.

    Raises:
        QuellError: a process was ended from outside.
    """
    if workers > 1:
        return _play_in_workers(suite, make_planners, workers, on_done)
    done = 0

    def count(name: str, result: EpisodeResult) -> None:
        nonlocal done
        done += 1
        on_done(done)

    return _play_here(suite, make_planners(), count)


def most_workers(episodes: int) -> int:
    """One for each core this process may use, but no more than there are episodes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, episodes))


def _play_here(
    suite: Suite,
    planners: dict[str, PlannerFactory],
    on_episode: Callable[[str, EpisodeResult], None] | None = None,
) -> Played:
    """The whole suite in this process."""
    _warm_up()
    played = Played()
    for i in range(suite.episodes):
        played.add(_play_day(suite, i, planners, on_episode))
    return played


def _play_day(
    suite: Suite,
    i: int,
    planners: dict[str, PlannerFactory],
    on_episode: Callable[[str, EpisodeResult], None] | None = None,
) -> Played:
    """Episode number i under every planner."""
    day = suite.day(i)
    played = Played(redraws=day.redraws)
    for name, factory in planners.items():
        result = play(day.episode, factory)
        played.results[name] = [result if i == 0 else replace(result, utilization_THK=result.utilization_THK[:0])]
        if on_episode is not None:
            on_episode(name, result)
    return played


@cache
def _warm_up() -> None:
    """Loads the compiled kernels before any planner is timed; once a process."""
    warm_up_planners()


# ---- in worker processes

_suite: Suite | None = None
_planners: dict[str, PlannerFactory] = {}


def _start_worker(suite: Suite, make_planners: PlannerMaker) -> None:
    """Gives a worker process what every day needs."""
    global _suite, _planners
    _suite, _planners = suite, make_planners()
    _warm_up()


def _work(i: int) -> Played:
    """Episode number i in a worker process."""
    assert _suite is not None
    return _play_day(_suite, i, _planners)


def _play_in_workers(suite: Suite, make_planners: PlannerMaker, workers: int, on_done: Callable[[int], None]) -> Played:
    """The whole suite in several processes; the results in the order of the episodes."""
    played, done = Played(), 0
    try:
        with Workers(workers, _start_worker, (suite, make_planners)) as pool:
            waiting: list[Future[Played]] = [pool.submit(_work, i) for i in range(suite.episodes)]
            for future in waiting:
                day = future.result()
                played.add(day)
                done += len(day.results)
                on_done(done)
    except BrokenProcessPool:
        raise QuellError(
            f"one of {workers} processes that played days was ended from outside (by a signal, or for lack of memory); "
            "--workers 1 plays them in a single process"
        ) from None
    return played
