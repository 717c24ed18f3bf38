"""Where the days of a suite come from: a part of a trace on clusters built for it, or one day built by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..env.world.skew import NAME as SKEW
from ..env.world.skew import VMS_OF_HOSTS, skew_episode
from ..env.world.split import TracePart
from ..env.world.workload import ClusterSpec, Episode, build_episode


class EpisodeSource(Protocol):
    """Gives the episode of a seed, always the same one."""

    @property
    def part_name(self) -> str:
        """Part of the trace, as documents call it."""

    @property
    def spec(self) -> ClusterSpec:
        """What the clusters are like."""

    def episode(self, seed: int) -> Episode:
        """The episode of a seed."""


@dataclass(frozen=True)
class TraceDays:
    """Days of one part of a trace: the seed draws day, cluster and scenario."""

    part: TracePart
    spec: ClusterSpec

    @property
    def part_name(self) -> str:
        """Name of the part."""
        return self.part.name

    def episode(self, seed: int) -> Episode:
        """The episode of a seed."""
        return build_episode(self.part, self.spec, seed)


@dataclass(frozen=True)
class SkewDays:
    """The three hosts of the first ADS document at 50, 5 and 5 %: the same day whatever the seed."""

    part_name: str = SKEW
    spec: ClusterSpec = ClusterSpec(hosts=3, vms_per_host=sum(VMS_OF_HOSTS) // 3, load=0.2, has_rules=False)

    def episode(self, seed: int) -> Episode:
        """The day, named by the seed."""
        return skew_episode(seed)
