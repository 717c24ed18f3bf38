"""The vector env as Stable-Baselines3 wants it: a `VecEnv` whose masks cost no round trip per cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from ..env.gym.vector_env import ClusterVectorEnv, Observations

MASKS = "action_masks"
"""What sb3-contrib asks a `VecEnv` for, as an attribute first and then as a method."""


class ClusterVecEnv(VecEnv):
    """Clusters that are stepped in one compiled call, for `MaskablePPO`.

    Where a day is over, `infos` hold the `terminal_observation` and `TimeLimit.truncated`, so that the value of what
    would have come counts; otherwise they are empty: what `ClusterVectorEnv` tells is in `told`.

    Args:
        clusters: the vector env.

    Attributes:
        told: the infos of the last step, an array each.
    """

    def __init__(self, clusters: ClusterVectorEnv) -> None:
        self.clusters = clusters
        self.told: dict[str, Any] = {}
        self._actions: npt.NDArray[np.int64] | None = None
        self.render_mode = None
        observations, actions = clusters.single_observation_space, clusters.single_action_space
        assert isinstance(actions, spaces.Discrete)
        super().__init__(clusters.num_envs, observations, actions)

    def reset(self) -> VecEnvObs:
        """Begins days on all clusters; with the seeds given to `seed`, once."""
        seeds = [seed for seed in self._seeds if seed is not None]
        observations, self.told = self.clusters.reset(seed=seeds if len(seeds) == self.num_envs else None)
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return _copies(observations)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Remembers the actions for `step_wait`."""
        self._actions = np.asarray(actions, dtype=np.int64)

    def step_wait(self) -> VecEnvStepReturn:
        """One step of all clusters."""
        assert self._actions is not None
        observations, rewards_E, _, truncated_E, self.told = self.clusters.step(self._actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for e in np.flatnonzero(truncated_E).tolist():
            infos[e] = {"TimeLimit.truncated": True, "terminal_observation": self.told["final_obs"][e]}
        return _copies(observations), rewards_E.astype(np.float32), truncated_E.copy(), infos

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """`action_masks`: the rows of the wanted clusters; there is no other method.

        Raises:
            AttributeError: another method is called.
        """
        if method_name != MASKS:
            raise AttributeError(f"clusters have no method {method_name!r}; there is {MASKS}")
        masks_ES = self.clusters.action_masks()
        return [masks_ES[e] for e in self._get_indices(indices)]

    def has_attr(self, attr_name: str) -> bool:
        """Whether clusters have such an attribute: the masks."""
        return attr_name in (MASKS, "render_mode")

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the wanted clusters.

        Raises:
            AttributeError: clusters do not have it.
        """
        if attr_name != "render_mode":
            raise AttributeError(f"clusters have no attribute {attr_name!r}; there is render_mode")
        return [None for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Nothing can be set.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"{attr_name!r} of single clusters cannot be set")

    def env_is_wrapped(self, wrapper_class: type, indices: VecEnvIndices = None) -> list[bool]:
        """Clusters have no wrappers."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Nothing is drawn."""
        return [None] * self.num_envs

    def close(self) -> None:
        """Nothing is open."""


def _copies(observations: Observations) -> VecEnvObs:
    """Observations that stay as they are in the next step: SB3 stores them after it."""
    return {key: np.array(values) for key, values in observations.items()}
