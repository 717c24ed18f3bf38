"""MaskablePPO from a policy that is good already, without destroying it.

An untrained critic makes PPO unlearn a clone, so the critic is fitted alone on a rollout that serves for nothing else:
advantages are worked out while a rollout is collected, those of the first one by a critic that knows nothing. The
critic reads the scorer's embedding without shaping it (`network.py`), and its loss is weighed low, so that clipping the
gradients' common norm does not cut the policy's to a few percent. Updates stop at a small divergence, and the caller
validates after each and keeps what is best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch as th
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger

from ..baseline.placement import place_with_room
from ..env.gym.generator import Generator
from ..env.gym.vector_env import ClusterVectorEnv
from ..env.gym.view import Outlook
from .config import TrainConfig
from .network import CandidateScorer, ScorerPolicy
from .vec_env import ClusterVecEnv

CRITIC_EPOCHS = 20
CRITIC_LEARNING_RATE = 1e-3
CLIP_RANGE = 0.1
CRITIC_WEIGHT = 0.01  # of its loss; returns are not scaled, and Adam does not mind
ENVS = 16


class _StopInTime(BaseCallback):
    """Ends a rollout when there is no time left."""

    def __init__(self, is_time_up: Callable[[], bool]) -> None:
        super().__init__()
        self._is_time_up = is_time_up

    def _on_step(self) -> bool:
        return not self._is_time_up()


def improve(
    scorer: CandidateScorer,
    generator: Generator,
    config: TrainConfig,
    device: th.device,
    is_time_up: Callable[[], bool],
    outlook: Outlook | None = None,
) -> Iterator[tuple[CandidateScorer, dict[str, float]]]:
    """PPO updates, one after another, each with its figures, until the time or the number of updates is used up.

    Args:
        scorer: where to start; it is copied.
        generator: draws the episodes.
        config: the hyperparameters.
        device: where to compute.
        is_time_up: whether to stop.
        outlook: forecasts demand of the hour to come; None: the last hour stands for it.
    """
    envs = ClusterVecEnv(ClusterVectorEnv(generator, ENVS, slots=config.slots, placer=place_with_room, outlook=outlook))
    model = MaskablePPO(
        ScorerPolicy,
        envs,
        learning_rate=config.ppo_learning_rate,
        n_steps=config.ppo_rollout // ENVS,
        batch_size=config.ppo_batch_size,
        n_epochs=config.ppo_epochs,
        gamma=config.ppo_gamma,
        clip_range=CLIP_RANGE,
        vf_coef=CRITIC_WEIGHT,
        target_kl=config.ppo_kl,
        policy_kwargs={"width": config.width},
        seed=config.seed,
        device=device,
    )
    policy: ScorerPolicy = model.policy  # type: ignore[assignment]
    policy.scorer.load_state_dict(scorer.state_dict())
    policy.to(device)
    model.set_logger(Logger(folder=None, output_formats=[]))
    _, callback = model._setup_learn(total_timesteps=10**9, callback=CallbackList([_StopInTime(is_time_up)]))

    def collect() -> bool:
        return model.collect_rollouts(envs, callback, model.rollout_buffer, model.n_steps, use_masking=True)

    if config.ppo_updates == 0 or is_time_up() or not collect():
        return
    _fit_critic(model)
    update = 0
    while update != config.ppo_updates and not is_time_up() and collect():
        model.train()
        yield policy.scorer, _figures(model)
        update += 1


def _fit_critic(model: MaskablePPO) -> None:
    """Fits the value head to the returns of the rollout; everything else stays as it is."""
    policy: ScorerPolicy = model.policy  # type: ignore[assignment]
    scorer = policy.scorer
    parameters = [*scorer.value_hidden.parameters(), *scorer.value.parameters()]
    optimizer = th.optim.Adam(parameters, lr=CRITIC_LEARNING_RATE)
    for _ in range(CRITIC_EPOCHS):
        for batch in model.rollout_buffer.get(model.batch_size):
            values = policy.predict_values(batch.observations).flatten()
            loss = th.nn.functional.mse_loss(values, batch.returns)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _figures(model: MaskablePPO) -> dict[str, float]:
    """What an update has shown."""
    recorded = model.logger.name_to_value
    names = {
        "train/approx_kl": "divergence_kl",
        "train/explained_variance": "explained_variance",
        "train/value_loss": "value_loss",
        "train/policy_gradient_loss": "policy_loss",
    }
    figures = {shown: float(recorded[name]) for name, shown in names.items() if name in recorded}
    figures["step_reward"] = float(np.mean(model.rollout_buffer.rewards))
    return figures
