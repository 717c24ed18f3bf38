"""Estimates of the demand to come, per movable: what a rule that relieves hosts decides on.

Rules R1-R9 are judged by the trend estimate, whatever a planner believes; these say where it looks for trouble.
Shapes besides those of the model: J = CPU, STORAGE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..env.gym.look_arrays import BLOCK_MINUTES, BLOCKS
from ..env.gym.view import recent_blocks
from ..env.model.cluster import Array, Cluster

DemandEstimate = Callable[[Cluster], Array]
"""Cluster -> estimated CPU and storage demand of each movable, cores, finite, 0 where it is off; shape (M, J)."""


@dataclass(frozen=True)
class RecentQuantile:
    """A quantile of the 5-minute blocks of the last minutes.

    Attributes:
        quantile: 0 to 1.
        window_minutes: how far back it looks; a multiple of 5, at most 60.
    """

    quantile: float
    window_minutes: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.quantile <= 1:
            raise ValueError(f"quantile is {self.quantile}; it must lie in 0..1")
        if self.window_minutes % BLOCK_MINUTES or not BLOCK_MINUTES <= self.window_minutes <= BLOCKS * BLOCK_MINUTES:
            raise ValueError(f"window_minutes is {self.window_minutes}; it must be a multiple of 5, from 5 to 60")

    def __call__(self, cluster: Cluster) -> Array:
        """The estimate; shape (M, J)."""
        inventory = cluster.inventory
        blocks = self.window_minutes // BLOCK_MINUTES
        estimate_MJ = np.zeros((inventory.movable_count, 2))
        for j, samples_NT in enumerate((cluster.cpu_samples_VT, cluster.storage_samples_MT)):
            blocks_NB = recent_blocks(samples_NT)[:, -blocks:]
            estimate_MJ[: len(blocks_NB), j] = np.quantile(blocks_NB, self.quantile, axis=1)
        return np.where(inventory.is_on_M[:, None], estimate_MJ, 0.0)
