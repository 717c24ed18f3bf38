"""Clusters of a suite whose size and load are one value or are drawn, each from a range that people type as FROM-TO."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..env.model.errors import QuellError
from ..env.world.scenario import PLAIN, check_scenario_name
from ..env.world.workload import ClusterSpec

SIZE_STREAM = 101  # of an episode's seed: far from the streams that the world draws from
LEAST_HOSTS, MOST_HOSTS = 2, 10_000
MOST_VMS_PER_HOST = 1_000
LEAST_LOAD, MOST_LOAD = 0.05, 0.95

WHOLE = r"[0-9]{1,9}"
DECIMAL = r"[0-9]{0,9}(?:[0-9]|\.[0-9]{1,17})"


@dataclass(frozen=True)
class ClusterMix:
    """What clusters to draw. Ranges include both ends and are drawn from evenly.

    Attributes:
        hosts: number of hosts, from and to.
        vms_per_host: VMs per host, from and to.
        load: mean CPU utilization of the cluster over the day, from and to.
        scenario: name of what else there is.
    """

    hosts: tuple[int, int] = (8, 8)
    vms_per_host: tuple[int, int] = (15, 15)
    load: tuple[float, float] = (0.65, 0.65)
    scenario: str = PLAIN

    @staticmethod
    def of(hosts: str, vms_per_host: str, load: str, scenario: str) -> ClusterMix:
        """The mix that people type, each range as `FROM-TO` or one value.

        Raises:
            QuellError: one is no range, or goes beyond what can be built; or the scenario is unknown.
        """
        check_scenario_name(scenario)
        return ClusterMix(
            _whole_range("--hosts", hosts, LEAST_HOSTS, MOST_HOSTS),
            _whole_range("--vms-per-host", vms_per_host, 1, MOST_VMS_PER_HOST),
            _range("--load", load, LEAST_LOAD, MOST_LOAD, DECIMAL, "a number"),
            scenario,
        )

    @property
    def single(self) -> ClusterSpec | None:
        """The only cluster there is; None where something is drawn."""
        if any(low < high for low, high in (self.hosts, self.vms_per_host, self.load)):
            return None
        return self._spec(self.hosts[0], self.vms_per_host[0], self.load[0])

    def draws(self, seed: int) -> Iterator[ClusterSpec]:
        """Sizes and loads for the episode of a seed, one draw after another, from a generator of their own."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SIZE_STREAM,)))
        while True:
            hosts = int(rng.integers(self.hosts[0], self.hosts[1] + 1))
            vms_per_host = int(rng.integers(self.vms_per_host[0], self.vms_per_host[1] + 1))
            yield self._spec(hosts, vms_per_host, float(rng.uniform(*self.load)))

    def _spec(self, hosts: int, vms_per_host: int, load: float) -> ClusterSpec:
        return ClusterSpec(hosts, vms_per_host, load, scenario=self.scenario)

    def document(self) -> dict[str, Any]:
        """The mix as documents tell it: a range as [from, to], one value as itself."""
        ranges = {"hosts": self.hosts, "vms_per_host": self.vms_per_host, "load": self.load}
        told: dict[str, Any] = {key: low if low == high else [low, high] for key, (low, high) in ranges.items()}
        return told | {"has_rules": True, "scenario": self.scenario}


def _whole_range(option: str, text: str, least: int, most: int) -> tuple[int, int]:
    """A range of whole numbers."""
    low, high = _range(option, text, least, most, WHOLE, "a whole number")
    return int(low), int(high)


def _range(option: str, text: str, least: float, most: float, number: str, what: str) -> tuple[float, float]:
    """Both ends of `FROM-TO`, the same twice where there is one number.

    Raises:
        QuellError: the text is no range, its ends are in the wrong order, or one lies beyond the limits.
    """
    match = re.fullmatch(rf"\s*({number})\s*(?:-\s*({number})\s*)?", text)
    if match is None:
        raise QuellError(f"{option} {text!r}: must be {what} or a range FROM-TO, from {least:g} to {most:,g}")
    low, high = float(match[1]), float(match[2] or match[1])
    if low > high:
        raise QuellError(f"{option} {text!r}: the range must rise, and {low:g} is more than {high:g}")
    for end in (low, high):
        if not least <= end <= most:
            raise QuellError(f"{option} {text!r}: {end:,g} is not from {least:g} to {most:,g}")
    return low, high
