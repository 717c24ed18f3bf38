"""What the forecaster sees of a movable: its last 24 hours, free of scale.

A VM of 0.1 cores and one of 30 that behave alike look alike: every figure is the logarithm of a ratio to the mean of
the day, so what is learned on some VMs serves for others. Numpy only; training and serving share it.
Shapes: N rows (a VM's CPU, or a movable's storage), T samples of a minute, S = 288 blocks of 5 minutes, F features.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..env.world.trace import Float32Array, hold_over_gaps

BLOCK_MINUTES = 5
DAY_BLOCKS = 288
HOUR_BLOCKS = 12
RUN_BLOCKS = 72  # the longest run of the present level that is told apart
RUN_BAND = 0.25  # of the present level: what counts as the same level
LOG_FLOOR = 0.05  # of the day's mean, added before the logarithm: less is idle
LEAST_SCALE_CORES = 1e-6
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.975)  # of the day

FEATURES = (
    *(f"block_{5 * (b + 1)}_minutes_ago" for b in range(12)),
    *(f"hour_before_quarter_{i + 1}" for i in range(4)),
    *(f"yesterday_coming_quarter_{i + 1}" for i in range(4)),
    *(f"day_quantile_{q:g}" for q in QUANTILES),
    "day_maximum",
    "day_roughness",
    "hour_deviation",
    "day_deviation",
    "run_length",
    "high_share",
    "is_storage",
)


def day_blocks(samples_NT: npt.NDArray) -> Float32Array:
    """Means of the 5-minute blocks of the last 24 hours, oldest first, cores; shape (N, S).

    The last block ends with the last sample. A block of which samples are missing is the mean of the others; one of
    which all are missing repeats the block before it (the first ones, the block after). Where telemetry is shorter than
    a day, the oldest block stands for the time before; a row without any sample counts as 0.
    """
    recent_NT = samples_NT[:, -DAY_BLOCKS * BLOCK_MINUTES :]
    N, T = recent_NT.shape
    lead = -T % BLOCK_MINUTES
    if lead:  # the oldest sample fills its block up
        recent_NT = np.pad(recent_NT, ((0, 0), (lead, 0)), mode="edge")
    by_block_NBT = recent_NT.reshape(N, -1, BLOCK_MINUTES)
    # Slice by slice: numpy sums five long columns much faster than many groups of five.
    blocks_NB = sum((by_block_NBT[:, :, t].astype(np.float32) for t in range(1, BLOCK_MINUTES)), by_block_NBT[:, :, 0])
    blocks_NB = np.asarray(blocks_NB, dtype=np.float32) / np.float32(BLOCK_MINUTES)
    has_gap_N = ~np.isfinite(blocks_NB).all(axis=1)
    if has_gap_N.any():
        blocks_NB[has_gap_N] = _without_gaps(by_block_NBT[has_gap_N].astype(np.float32))
    missing = DAY_BLOCKS - blocks_NB.shape[1]
    return np.pad(blocks_NB, ((0, 0), (missing, 0)), mode="edge") if missing else blocks_NB


def features_of(day_NS: Float32Array, *, is_storage: bool) -> tuple[Float32Array, Float32Array]:
    """The features of each row, and the scale that its forecast is in.

    Args:
        day_NS: blocks of the last 24 hours, cores, >= 0; shape (N, S).
        is_storage: whether the rows are storage demand.

    Returns:
        Features, shape (N, F), and the mean of the day, cores, > 0, shape (N,).
    """
    N = len(day_NS)
    scale_N = np.maximum(day_NS.mean(axis=1), np.float32(LEAST_SCALE_CORES))
    hour_NB, coming_NB = day_NS[:, -HOUR_BLOCKS:], day_NS[:, :HOUR_BLOCKS]
    before_NB = day_NS[:, -2 * HOUR_BLOCKS : -HOUR_BLOCKS]
    sorted_NS = np.sort(day_NS, axis=1)
    ratios_NF = np.concatenate(
        [
            hour_NB[:, ::-1],
            before_NB.reshape(N, 4, 3).mean(axis=2),
            coming_NB.reshape(N, 4, 3).mean(axis=2),
            sorted_NS[:, [int(q * (DAY_BLOCKS - 1)) for q in QUANTILES]],
            sorted_NS[:, -1:],
            np.abs(np.diff(day_NS, axis=1)).mean(axis=1, keepdims=True),
            hour_NB.std(axis=1, keepdims=True),
            day_NS.std(axis=1, keepdims=True),
        ],
        axis=1,
    )
    middle_N = (sorted_NS[:, -1] + sorted_NS[:, DAY_BLOCKS // 2]) / 2
    others = (_run_length(day_NS, scale_N), (day_NS > middle_N[:, None]).mean(axis=1), np.full(N, float(is_storage)))
    features_NF = np.concatenate([np.log(ratios_NF / scale_N[:, None] + LOG_FLOOR), np.stack(others, axis=1)], axis=1)
    return features_NF.astype(np.float32), scale_N.astype(np.float32)


def _run_length(day_NS: Float32Array, scale_N: Float32Array) -> npt.NDArray[np.floating]:
    """Logarithm of how many blocks the present level has lasted, up to `RUN_BLOCKS`; shape (N,)."""
    recent_NB, now_N1 = day_NS[:, : -RUN_BLOCKS - 1 : -1], day_NS[:, -1:]
    is_near_NB = np.abs(recent_NB - now_N1) < RUN_BAND * np.maximum(now_N1, 0.2 * scale_N[:, None])
    run_N = np.where(is_near_NB.all(axis=1), RUN_BLOCKS, is_near_NB.argmin(axis=1))
    return np.asarray(np.log1p(run_N))


def _without_gaps(by_block_NBT: Float32Array) -> Float32Array:
    """Block means without what is missing; empty blocks are held over; shape (N, B)."""
    is_there_NBT = np.isfinite(by_block_NBT)
    count_NB = is_there_NBT.sum(axis=2)
    blocks_NB = np.where(is_there_NBT, by_block_NBT, 0.0).sum(axis=2) / np.maximum(count_NB, 1)
    return hold_over_gaps(np.where(count_NB > 0, blocks_NB, np.nan).astype(np.float32))
