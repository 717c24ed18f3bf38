"""What a training depends on, beside its data."""

from __future__ import annotations

from dataclasses import dataclass

from ..env.model.errors import QuellError
from ..env.world.scenario import MIXED, PLAIN, check_scenario_name
from .network import DEFAULT_WIDTH


@dataclass(frozen=True)
class TrainConfig:
    """Everything a training depends on, beside its data.

    Attributes:
        seed: of everything drawn.
        budget_seconds: wall-clock time for all of it; where `days` and `ppo_updates` are given it decides nothing, so
            that the same seed gives the same policy however fast the machine is.
        device: `cpu`, `cuda`, or `auto` (cuda where there is one).
        slots: K, length of the shortlist.
        width: of the network's layers.
        hosts, vms_per_host, load: ranges of the clusters trained on.
        scenario: what happens on them and on the validation days, by name.
        forecast_share: share of the budget for training the forecaster, at most.
        forecast_steps: optimizer steps of the forecaster, at most; 0: the policy goes without one.
        collect_share: share of the budget for collecting days.
        imitation_share: share by whose end collecting, fitting and validating must be done; PPO gets the rest.
        hindsight: weight of what the future of a training day shows in the labels, against the lookahead's judgement,
            0 to 1.
        rounds: how often data are collected and fitted; from the second on the student plays a part of the days.
        days: days to collect at most, over all rounds; None: as many as fit the budget.
        fit_steps, batch_size, learning_rate: of the fit in each round.
        workers: processes that play days; 0: none, the training's own process plays them.
        validation_episodes, validation_hosts, validation_vms_per_host, validation_load: the fixed validation days.
        ppo_learning_rate, ppo_batch_size, ppo_epochs, ppo_rollout, ppo_gamma, ppo_kl: of MaskablePPO.
        ppo_updates: updates at most; None: as many as fit the budget.
    """

    seed: int = 1
    budget_seconds: float = 300.0
    device: str = "cpu"
    slots: int = 64
    width: int = DEFAULT_WIDTH
    hosts: tuple[int, int] = (4, 12)
    vms_per_host: tuple[int, int] = (10, 15)
    load: tuple[float, float] = (0.55, 0.75)
    scenario: str = PLAIN
    forecast_share: float = 0.15
    forecast_steps: int = 16_000
    collect_share: float = 0.3
    imitation_share: float = 0.7
    hindsight: float = 0.0
    rounds: int = 2
    days: int | None = None
    fit_steps: int = 1200
    batch_size: int = 256
    learning_rate: float = 2e-3
    workers: int = 2
    validation_episodes: int = 8
    validation_hosts: int = 8
    validation_vms_per_host: int = 15
    validation_load: float = 0.65
    ppo_learning_rate: float = 1e-4
    ppo_batch_size: int = 512
    ppo_epochs: int = 4
    ppo_rollout: int = 4096
    ppo_gamma: float = 0.95
    ppo_kl: float = 0.02
    ppo_updates: int | None = None

    @property
    def days_per_round(self) -> int | None:
        """Days to collect in each round; None: as many as fit the budget."""
        return None if self.days is None else max(1, self.days // self.rounds)

    @property
    def work_count(self) -> int | None:
        """Days and updates in all, where numbers of both are given and the budget decides nothing; else None."""
        if self.days_per_round is None or self.ppo_updates is None:
            return None
        return self.rounds * self.days_per_round + self.ppo_updates

    def __post_init__(self) -> None:
        """Check what a person may have typed."""
        check_scenario_name(self.scenario)
        if not self.budget_seconds > 0:
            raise QuellError(f"training budget: {self.budget_seconds:g} seconds is not above 0")


PRESETS: dict[str, TrainConfig] = {
    "quick": TrainConfig(budget_seconds=300, scenario=MIXED),
    "standard": TrainConfig(
        budget_seconds=3600,
        hosts=(4, 16),
        scenario="ha",
        rounds=3,
        days=99,
        ppo_updates=6,
        validation_episodes=12,
        validation_hosts=12,
        validation_load=0.68,
    ),
}
"""Configurations by name; `standard` gives the same policy however fast the machine is: 8 minutes on two cores."""
