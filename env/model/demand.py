"""From samples to estimated demand: what planners decide on.

The documents say that demand of the last 10 minutes goes through a smoothing that keeps a sudden spike (a boot storm)
from skewing decisions, and leave the smoothing open. Ours is the median over the trend window: a spike shorter than
half the window leaves it as it was, whatever its height, and a demand held for the whole window is returned exactly.
A planner may bring an estimator of its own (a quantile, a forecast): anything of the type `Estimator`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .cluster import Array

Estimator = Callable[[Array, int], Array]
"""(samples of shape (N, T) with NaN where missing, window in minutes) -> estimate of shape (N,)."""


def trend_estimate(samples_NT: Array, window_minutes: int) -> Array:
    """Median of the samples inside the trend window; shape (N,).

    Where a list is shorter than the window, its own samples decide; a lone number is the estimate itself.

    Args:
        samples_NT: demand, one sample a minute, newest last, NaN where there is none; shape (N, T), T >= 1.
        window_minutes: length of the trend window, >= 1.
    """
    return quantile_estimate(samples_NT, window_minutes, 0.5)


def quantile_estimate(samples_NT: Array, window_minutes: int, quantile: float) -> Array:
    """A quantile of the samples inside the window; shape (N,)."""
    recent_NT = samples_NT[:, -max(1, window_minutes) :]
    if recent_NT.shape[1] == 1:
        return recent_NT[:, 0].copy()
    if np.isnan(recent_NT).any():
        return np.asarray(np.nanquantile(recent_NT, quantile, axis=1))
    if quantile == 0.5:
        return np.asarray(np.median(recent_NT, axis=1))
    return np.asarray(np.quantile(recent_NT, quantile, axis=1))
