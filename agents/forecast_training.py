"""Training of the forecaster: pinball loss on the demand of the coming hour, VMs weighted by their size.

One network for CPU and storage, told apart by a flag. Torch lives here only; `forecaster.py` is the serving side.
Shapes: N examples, F features, W windows, Q levels, B = 12 blocks of the coming hour.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch as th
import torch.nn.functional as nn

from ..env.world.shapes import Draw, cpu_shape, storage_shape
from ..env.world.split import TracePart
from ..env.world.trace import Float32Array
from .forecast_features import DAY_BLOCKS, FEATURES, HOUR_BLOCKS, LOG_FLOOR, features_of

LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
WINDOWS_MINUTES = (15, 30, 60)
WINDOW_BLOCKS = tuple(minutes // 5 for minutes in WINDOWS_MINUTES)
WIDTH = 64
EXAMPLE_STRIDE_BLOCKS = 5  # between examples of a VM; prime to 12, so that all minutes of the hour come
BATCH = 1024
LEARNING_RATE = 2e-3  # falls to 0 in a straight line
WEIGHT_DECAY = 1e-4
GRADIENT_LIMIT = 1.0
MOST_WEIGHT = 8.0  # of a VM, in mean VMs
CLIP_DEVIATIONS = 5.0  # features further out than this are cut
LOG_RANGE = (-8.0, 6.0)  # of a quantile over the day's mean
DEFAULT_STEPS = 16_000


class Examples(NamedTuple):
    """Features (N, F), demand of the coming hour over the scale (N, B), and weight of each example (N,)."""

    features_NF: th.Tensor
    coming_NB: th.Tensor
    weight_N: th.Tensor

    def at(self, index_N: th.Tensor) -> Examples:
        """Some of them."""
        return Examples(*(part[index_N] for part in self))


class QuantileNetwork(th.nn.Module):
    """Features to quantiles over the day's mean: increments above the lowest are positive, so none ever cross."""

    mean_F: th.Tensor
    deviation_F: th.Tensor

    def __init__(self, features: int = len(FEATURES), width: int = WIDTH) -> None:
        super().__init__()
        self.first = th.nn.Linear(features, width)
        self.second = th.nn.Linear(width, width)
        self.last = th.nn.Linear(width, len(WINDOW_BLOCKS) * len(LEVELS))
        self.register_buffer("mean_F", th.zeros(features))
        self.register_buffer("deviation_F", th.ones(features))

    def forward(self, features_NF: th.Tensor) -> th.Tensor:
        """Quantiles over the day's mean, >= -LOG_FLOOR, ascending; shape (N, W, Q)."""
        scaled_NF = ((features_NF - self.mean_F) / self.deviation_F).clamp(-CLIP_DEVIATIONS, CLIP_DEVIATIONS)
        hidden = nn.silu(self.second(nn.silu(self.first(scaled_NF))))
        raw_NWQ = self.last(hidden).reshape(-1, len(WINDOW_BLOCKS), len(LEVELS))
        steps_NWQ = th.cat([raw_NWQ[:, :, :1], nn.softplus(raw_NWQ[:, :, 1:])], dim=2)
        return th.exp(th.cumsum(steps_NWQ, dim=2).clamp(*LOG_RANGE)) - LOG_FLOOR


@dataclass(frozen=True, eq=False)
class TrainedForecaster:
    """A trained network, how it was made, and how well it does on VMs and days it has not seen."""

    network: QuantileNetwork
    training: dict[str, Any]
    metrics: dict[str, Any]


def train_forecaster(
    train_part: TracePart,
    validation_part: TracePart,
    seed: int,
    *,
    steps: int = DEFAULT_STEPS,
    seconds: float | None = None,
) -> TrainedForecaster:
    """Trains on one part and judges on the other; the same seed and steps give the same network.

    Args:
        train_part: VMs and days to learn from.
        validation_part: VMs and days for the figures; nothing is chosen by them.
        seed: of the weights, the batches and the storage demand where a trace has none.
        steps: of the optimizer.
        seconds: ends the training earlier, and then it is not the same again; None: no limit.
    """
    threads = th.get_num_threads()
    th.set_num_threads(1)
    try:
        started = time.perf_counter()
        network, done = _fit(examples_of(train_part, seed), seed, steps, seconds)
        training: dict[str, Any] = {"seed": seed, "steps": done, "seconds": round(time.perf_counter() - started, 1)}
        training |= {"width": WIDTH, "batch": BATCH, "workload": train_part.trace.name}
        return TrainedForecaster(network, training, figures(network, validation_part, seed))
    finally:
        th.set_num_threads(threads)


def examples_of(part: TracePart, seed: int) -> Examples:
    """Every active VM of the part on each of its days, CPU and storage."""
    parts = [_examples(part, seed, is_storage=is_storage) for is_storage in (False, True)]
    return Examples(*(th.cat(tensors) for tensors in zip(*parts, strict=True)))


def _examples(part: TracePart, seed: int, *, is_storage: bool) -> Examples:
    """The examples of one kind; the weight of a VM is its size in mean VMs."""
    rng = np.random.default_rng(seed)
    features, coming, scales = [], [], []
    for day in part.days:
        vms = part.active_vms(day)
        draw = Draw(vms, np.full(len(vms), day))
        shape = storage_shape(rng, part.trace, draw) if is_storage else cpu_shape(part.trace, draw)
        demand_VS: Float32Array = shape.astype(np.float32)
        for now in range(DAY_BLOCKS, 2 * DAY_BLOCKS - HOUR_BLOCKS, EXAMPLE_STRIDE_BLOCKS):
            features_VF, scale_V = features_of(demand_VS[:, now - DAY_BLOCKS : now], is_storage=is_storage)
            features.append(features_VF)
            coming.append(demand_VS[:, now : now + HOUR_BLOCKS] / scale_V[:, None])
            scales.append(scale_V)
    scale_N = np.concatenate(scales)
    # After an idle day demand can be many times the day's mean: a loss in cores, not in ratios, keeps that in place.
    weight_N = np.minimum(scale_N / scale_N.mean(), MOST_WEIGHT)
    arrays = (np.concatenate(features), np.concatenate(coming), weight_N)
    return Examples(*(th.from_numpy(np.asarray(array, dtype=np.float32)) for array in arrays))


def _fit(examples: Examples, seed: int, steps: int, seconds: float | None) -> tuple[QuantileNetwork, int]:
    """The trained network, and the steps it took."""
    th.manual_seed(seed)
    generator = th.Generator().manual_seed(seed)
    network = QuantileNetwork()
    network.mean_F.copy_(examples.features_NF.mean(dim=0))
    network.deviation_F.copy_(examples.features_NF.std(dim=0) + 1e-3)
    optimizer = th.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    started, step, done = time.perf_counter(), 0, 0.0
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - done) + 1e-5
        batch = examples.at(th.randint(len(examples.weight_N), (BATCH,), generator=generator))
        loss = (pinball_N(network(batch.features_NF), batch.coming_NB) * batch.weight_N).mean()
        optimizer.zero_grad()
        loss.backward()
        th.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_LIMIT)
        optimizer.step()
        step += 1
        done = step / steps if seconds is None else max(step / steps, (time.perf_counter() - started) / seconds)
    return network.eval(), step


def pinball_N(quantiles_NWQ: th.Tensor, coming_NB: th.Tensor) -> th.Tensor:
    """Pinball loss of each example, mean over windows, levels and the blocks of each window; shape (N,)."""
    level_Q = th.tensor(LEVELS)
    losses = []
    for w, blocks in enumerate(WINDOW_BLOCKS):
        error_NBQ = coming_NB[:, :blocks, None] - quantiles_NWQ[:, None, w]
        losses.append(th.maximum(level_Q * error_NBQ, (level_Q - 1) * error_NBQ).mean(dim=(1, 2)))
    return th.stack(losses).mean(dim=0)


def figures(network: QuantileNetwork, part: TracePart, seed: int) -> dict[str, Any]:
    """How well a network does on a part, per kind, against the empirical quantiles of the last hour."""
    told: dict[str, Any] = {"part": part.name}
    for kind, is_storage in (("cpu", False), ("storage", True)):
        examples = _examples(part, seed, is_storage=is_storage)
        with th.no_grad():
            quantiles_NWQ = network(examples.features_NF)
        hour_NB = th.exp(examples.features_NF[:, :HOUR_BLOCKS]) - LOG_FLOOR
        hour_NWQ = th.quantile(hour_NB, th.tensor(LEVELS), dim=1).T[:, None].expand(-1, len(WINDOW_BLOCKS), -1)
        losses = {
            name: float((pinball_N(q, examples.coming_NB) * examples.weight_N).mean())
            for name, q in (("pinball", quantiles_NWQ), ("pinball_last_hour", hour_NWQ))
        }
        told[kind] = {**{name: round(loss, 5) for name, loss in losses.items()}, "examples": len(examples.weight_N)}
        told[kind]["coverage"] = _coverage(quantiles_NWQ, examples.coming_NB)
    return told


def _coverage(quantiles_NWQ: th.Tensor, coming_NB: th.Tensor) -> dict[str, list[float]]:
    """Share of blocks at or below each level's quantile, by window."""
    return {
        f"{minutes}_minutes": [
            round(float((coming_NB[:, :blocks] <= quantiles_NWQ[:, w, q, None]).float().mean()), 4)
            for q in range(len(LEVELS))
        ]
        for w, (minutes, blocks) in enumerate(zip(WINDOWS_MINUTES, WINDOW_BLOCKS, strict=True))
    }
