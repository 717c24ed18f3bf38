"""Learning from labels: days are played in worker processes, and the scorer learns to choose what is worth most.

The loss is the expected worth of the scorer's choice, exact because all slots are labelled, with a little entropy: a
policy gradient without noise. Of what the clairvoyant teacher's choices win on unseen days, students of 40,000 of its
decisions realised 56 % by it, 55 % by regression to the worth (squared error), 53 % (Huber) and 46 % by imitating a
softmax over worths.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import torch as th

from ..env.gym.generator import Generator
from .days import Behaviour, Decisions, Scores, play_day
from .network import CandidateScorer
from .processes import Workers

GRADIENT_NORM = 1.0
WARM_UP_SHARE = 0.2
LEAST_STEPS = 100
ENTROPY_WEIGHT = 0.1  # host-minutes per nat: keeps the policy from being surer than its data
WORTH_LIMIT = 100.0  # host-minutes; labels are clipped to it so that no freak minute rules the fit


# ---- many days, in worker processes

_generator: Generator | None = None
_behaviour = Behaviour()


def _start_worker(generator: Generator, behaviour: Behaviour) -> None:
    """Gives a worker process what every day needs."""
    global _generator, _behaviour
    _generator, _behaviour = generator, behaviour
    th.set_num_threads(1)


def _work(seed: int, student: CandidateScorer | None) -> Decisions:
    """One day in a worker process."""
    assert _generator is not None
    return _seeded_day(_generator, _behaviour, seed, student)


def _seeded_day(generator: Generator, behaviour: Behaviour, seed: int, student: CandidateScorer | None) -> Decisions:
    """The day that a seed stands for, whichever process plays it."""
    rng = np.random.default_rng(seed)
    return play_day(generator(rng), behaviour, scores_of(student) if student is not None else None, rng)


class Collector:
    """Plays days; a context manager, so that no process is left behind.

    Args:
        generator: draws the days' episodes; it must be picklable.
        behaviour: how they are played.
        workers: processes that play them; 0: this one.
    """

    def __init__(self, generator: Generator, behaviour: Behaviour, workers: int) -> None:
        self._generator, self._behaviour, self._workers = generator, behaviour, workers
        self._pool: Workers | None = None

    def __enter__(self) -> Collector:
        if self._workers:
            self._pool = Workers(self._workers, _start_worker, (self._generator, self._behaviour)).__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        if self._pool is not None:
            self._pool.__exit__(*how)

    def days(self, seeds: Iterator[int], student: CandidateScorer | None) -> Iterator[Decisions]:
        """Days, in the order of their seeds, until the caller has enough."""
        if self._pool is None:
            for seed in seeds:
                yield _seeded_day(self._generator, self._behaviour, seed, student)
            return
        waiting: list[Future[Decisions]] = []
        try:
            while True:
                while len(waiting) < self._workers + 1:
                    waiting.append(self._pool.submit(_work, next(seeds), student))
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def scores_of(scorer: CandidateScorer) -> Scores:
    """A scorer as a function of one observation."""
    scorer.eval()

    def scores(candidates_SF: np.ndarray, context_C: np.ndarray, mask_S: np.ndarray) -> np.ndarray:
        with th.no_grad():
            logits_BS, _ = scorer(
                th.from_numpy(candidates_SF)[None],
                th.from_numpy(context_C)[None],
                th.from_numpy(mask_S.astype(np.float32))[None],
            )
        return np.asarray(logits_BS[0].numpy())

    return scores


def _cycle(done: float) -> float:
    """Share of the highest learning rate when this share of the fit is done: a fifth of it up, a half cosine down."""
    if done < WARM_UP_SHARE:
        return max(done / WARM_UP_SHARE, 0.04)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))))


def expected_worth(logits: th.Tensor, worth: th.Tensor, mask: th.Tensor) -> th.Tensor:
    """Worth of a choice drawn from softmax(logits), plus the entropy bonus; shape (B,)."""
    log_probability = th.log_softmax(logits, dim=1)
    probability = log_probability.exp()
    entropy = -(probability * log_probability.masked_fill(~mask, 0.0)).sum(dim=1)
    return (probability * worth).sum(dim=1) + ENTROPY_WEIGHT * entropy


def fit(
    scorer: CandidateScorer,
    decisions: Decisions,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    deadline: float = np.inf,
    on_step: Callable[[int, float], None] | None = None,
) -> int:
    """Fits the scorer's choice to the worth of slots; returns the steps done.

    Args:
        scorer: the network, changed in place.
        decisions: the data.
        steps: gradient steps.
        batch_size: decisions a step.
        learning_rate: the highest; it goes up, then down to nothing at the last step or the deadline.
        seed: of the batches.
        deadline: `time.monotonic()` at which to stop early; `LEAST_STEPS` are done all the same.
        on_step: called with (step, loss) every 50 steps.
    """
    device = next(scorer.parameters()).device
    rng = np.random.default_rng(seed)
    optimizer = th.optim.Adam(scorer.parameters(), lr=learning_rate)
    began = time.monotonic()
    scorer.train()
    for step in range(steps):
        now = time.monotonic()
        if step >= LEAST_STEPS and now > deadline:
            return step
        done = max(step / steps, (now - began) / max(deadline - began, 1.0))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _cycle(done)
        rows = rng.integers(len(decisions), size=batch_size)
        candidates = th.as_tensor(decisions.candidates[rows].astype(np.float32), device=device)
        context = th.as_tensor(decisions.context[rows], device=device)
        mask = th.as_tensor(decisions.mask[rows], device=device)
        worth = th.as_tensor(np.clip(decisions.worth[rows], -WORTH_LIMIT, WORTH_LIMIT), device=device)
        logits, _ = scorer(candidates, context, mask.float())
        loss = -expected_worth(logits, worth, mask).mean()
        optimizer.zero_grad()
        loss.backward()
        th.nn.utils.clip_grad_norm_(scorer.parameters(), GRADIENT_NORM)
        optimizer.step()
        if on_step is not None and step % 50 == 0:
            on_step(step, float(loss.detach()))
    return steps
