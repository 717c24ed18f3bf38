"""Scenarios: what an episode contains besides demand, placement rules and sessions.

A scenario has a name that people type, or is drawn anew for every episode (`mixed`). What it asks for is drawn from
generators of its own, so that one ingredient never changes what is drawn for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from enum import IntEnum
from types import MappingProxyType

import numpy as np

from ..model.errors import QuellError

MOST_HA_FAILURES = 2  # of the contract
MOST_EVENTS = 6  # failures, maintenances and volume groups a day: with more a day is nothing else

# Of `mixed`: each ingredient is there by itself, so that 53 % of episodes have none or one of the six besides HA.
MIXED_HA_SHARES = (0.5, 0.4, 0.1)  # of episodes reserve for no, one and two host failures; assumed
MIXED_SHARE = 0.25  # of episodes have an ingredient; assumed
MIXED_OVERCOMMIT = (0.65, 0.80)  # of VMs, from and to; hosts are then overbooked by 12 to 29 % (see overcommit)
MIXED_GPU_HOSTS = (0.25, 0.75)  # of hosts
MIXED_CHURN = (0.1, 0.4)  # of VMs
MIXED_EVENTS = (1, 2)  # a day


class Stream(IntEnum):
    """What has a random number generator of its own; the numbers are part of what a seed means."""

    SCENARIO = 1
    GPUS = 2
    CHURN = 3
    OVERCOMMIT = 4
    ACCIDENTS = 5
    AVAILABILITY = 6
    SESSIONS = 7
    BATCHES = 8


def stream(seed: int, which: Stream) -> np.random.Generator:
    """The generator of one ingredient of an episode, independent of the others and of `default_rng(seed)`."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(which,)))


@dataclass(frozen=True)
class Scenario:
    """What an episode contains.

    Attributes:
        ha_failures: host failures that memory is reserved for; 0 is best effort, 2 is the most.
        overcommit_share: share of VMs whose memory is overcommitted, 0 to 1.
        gpu_host_share: share of hosts that have GPUs, 0 to 1.
        churn_share: VMs that arrive during the day as a share of those there at its start, 0 to 1; as many leave.
        failures: host failures a day.
        maintenances: hosts that are taken out of service, a day.
        volume_group_events: volume groups created during the day.
    """

    ha_failures: int = 0
    overcommit_share: float = 0.0
    gpu_host_share: float = 0.0
    churn_share: float = 0.0
    failures: int = 0
    maintenances: int = 0
    volume_group_events: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, float):
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                    raise QuellError(f"scenario, {field.name}: {value!r} is not a share from 0 to 1")
                continue
            most = MOST_HA_FAILURES if field.name == "ha_failures" else MOST_EVENTS
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
                raise QuellError(f"scenario, {field.name}: {value!r} is not a whole number from 0 to {most}")


PLAIN = "plain"
MIXED = "mixed"
HA = "ha"
SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        PLAIN: Scenario(),
        HA: Scenario(ha_failures=1),
        "overcommit": Scenario(overcommit_share=0.7),
        "gpu": Scenario(gpu_host_share=0.5),
        "churn": Scenario(churn_share=0.3, volume_group_events=1),
        "failures": Scenario(ha_failures=1, failures=2),
        "maintenance": Scenario(maintenances=2),
    }
)
SCENARIO_NAMES = (*SCENARIOS, MIXED)


def check_scenario_name(name: str) -> None:
    """Raises unless there is a scenario of this name.

    Raises:
        QuellError: there is none; the nearest name is suggested.
    """
    if name not in SCENARIO_NAMES:
        near = get_close_matches(name, SCENARIO_NAMES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(SCENARIO_NAMES)}"
        raise QuellError(f"scenario {name!r} is unknown; {hint}")


def scenario_of(scenario: str | Scenario, seed: int) -> Scenario:
    """What the episode of a seed contains: what the name stands for, or a draw of the seed where it is `mixed`.

    Raises:
        QuellError: the name is unknown.
    """
    if isinstance(scenario, Scenario):
        return scenario
    check_scenario_name(scenario)
    return draw_mixed(stream(seed, Stream.SCENARIO)) if scenario == MIXED else SCENARIOS[scenario]


def draw_mixed(rng: np.random.Generator) -> Scenario:
    """Each ingredient there or not, by itself, and how much of it: see the constants of `mixed` in this module."""
    is_there = rng.random(6) < MIXED_SHARE
    events = rng.integers(MIXED_EVENTS[0], MIXED_EVENTS[1] + 1, size=3) * is_there[3:]
    return Scenario(
        ha_failures=int(rng.choice(MOST_HA_FAILURES + 1, p=MIXED_HA_SHARES)),
        overcommit_share=float(rng.uniform(*MIXED_OVERCOMMIT) * is_there[0]),
        gpu_host_share=float(rng.uniform(*MIXED_GPU_HOSTS) * is_there[1]),
        churn_share=float(rng.uniform(*MIXED_CHURN) * is_there[2]),
        failures=int(events[0]),
        maintenances=int(events[1]),
        volume_group_events=int(events[2]),
    )
