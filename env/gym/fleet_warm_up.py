"""Compiles the kernels of the world and of the vector env, or loads them where they are compiled already.

Compiling takes a minute or two, once; `python -m quell.env.gym.fleet_warm_up` does it before anybody waits for it.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from .cluster_env import ClusterEnv
from .generator import ToyGenerator
from .vector_env import ClusterVectorEnv


@cache
def warm_up_envs() -> None:
    """Takes a step of each env on the toy; once a process."""
    env = ClusterEnv(ToyGenerator())
    env.reset(seed=0)
    env.step(1)
    many = ClusterVectorEnv(ToyGenerator(), 2)
    many.reset(seed=0)
    many.step(np.array([1, 0]))


if __name__ == "__main__":
    warm_up_envs()
