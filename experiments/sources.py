"""Where the days of a suite come from: a part of a trace on clusters built for it, or one day built by hand."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Protocol

from ..env.model.errors import QuellError
from ..env.world.skew import NAME as SKEW
from ..env.world.skew import VMS_OF_HOSTS, skew_episode
from ..env.world.split import TracePart
from ..env.world.workload import ClusterSpec, Episode, build_episode
from .cluster_mix import ClusterMix

DRAWS = 20  # of size and load, before a day is said to give no cluster


@dataclass(frozen=True, eq=False)
class DrawnDay:
    """An episode, and how many draws of size and load were thrown away before one went together."""

    episode: Episode
    redraws: int = 0


class EpisodeSource(Protocol):
    """Gives the episode of a seed, always the same one."""

    @property
    def part_name(self) -> str:
        """Part of the trace, as documents call it."""

    def draw(self, seed: int) -> DrawnDay:
        """The episode of a seed."""

    def cluster_document(self) -> dict[str, Any]:
        """What the clusters are like: hosts, vms_per_host, load (each a value or [from, to]) and scenario."""


@dataclass(frozen=True)
class TraceDays:
    """Days of one part of a trace on clusters of one size: the seed draws day, cluster and scenario."""

    part: TracePart
    spec: ClusterSpec

    @property
    def part_name(self) -> str:
        """Name of the part."""
        return self.part.name

    def draw(self, seed: int) -> DrawnDay:
        """The episode of a seed."""
        return DrawnDay(build_episode(self.part, self.spec, seed))

    def cluster_document(self) -> dict[str, Any]:
        """The one size there is."""
        return asdict(self.spec)


@dataclass(frozen=True)
class MixedDays:
    """Days of one part of a trace on clusters of several sizes and loads, which the seed draws as well."""

    part: TracePart
    mix: ClusterMix

    @property
    def part_name(self) -> str:
        """Name of the part."""
        return self.part.name

    def draw(self, seed: int) -> DrawnDay:
        """The episode of a seed: the first draw of size and load that goes together with its day.

        Raises:
            QuellError: none of `DRAWS` does.
        """
        failure: QuellError | None = None
        for redraws, spec in enumerate(islice(self.mix.draws(seed), DRAWS)):
            try:
                return DrawnDay(build_episode(self.part, spec, seed), redraws)
            except QuellError as error:
                failure = error
        raise QuellError(f"episode with seed {seed}: none of {DRAWS} draws gave a cluster; the last one: {failure}")

    def cluster_document(self) -> dict[str, Any]:
        """The ranges."""
        return self.mix.document()


@dataclass(frozen=True)
class SkewDays:
    """The three hosts of the first ADS document at 50, 5 and 5 %: the same day whatever the seed."""

    part_name: str = SKEW
    spec: ClusterSpec = ClusterSpec(hosts=3, vms_per_host=sum(VMS_OF_HOSTS) // 3, load=0.2, has_rules=False)

    def draw(self, seed: int) -> DrawnDay:
        """The day, named by the seed."""
        return DrawnDay(skew_episode(seed))

    def cluster_document(self) -> dict[str, Any]:
        """Its only cluster."""
        return asdict(self.spec)


def days_of(part: TracePart, mix: ClusterMix) -> TraceDays | MixedDays:
    """Days of a part on the clusters of a mix."""
    return TraceDays(part, mix.single) if mix.single else MixedDays(part, mix)
