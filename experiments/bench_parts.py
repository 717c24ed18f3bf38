"""Where the time of a step goes: the parts of the vector env's kernels, and the learner's share of a training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..env.gym.generator import Generator

REPEATS = 300
WARM_STEPS = 20
ROLLOUT = 64  # steps of each cluster in one PPO update
BATCH = 256
EPOCHS = 4
SEED = 1


def parts_of_a_step(generator: Generator, clusters: int, pool: int) -> dict[str, float]:
    """Microseconds of CPU of each part, on a cluster in the middle of its day.

    Returns:
        `advance_round`: fifteen minutes in which nothing moves; `look`: what a look at the cluster adds up;
        `shortlist` and `features`: after a move; `call`: what a call from Python costs, taken off the others.
    """
    from ..env.gym.begin_kernels import add_move, begin_into
    from ..env.gym.feature_kernels import features_into
    from ..env.gym.look_kernels import is_quiet, list_moves_into
    from ..env.gym.vector_env import ClusterVectorEnv

    env = ClusterVectorEnv(generator, clusters, episodes_per_pool=pool)
    env.reset(seed=SEED)
    for _ in range(WARM_STEPS):
        env.step(np.zeros(clusters, dtype=np.int64))
    board, cluster = env.board, env.cluster(0)
    seat, slots = cluster.seat, (board.movable_EK[0], board.target_EK[0], board.kind_EK[0], board.mask_ES[0])
    look = seat.fixed, seat.look, seat.plan, seat.scratch
    m, target = int(board.movable_EK[0, 0]), int(board.target_EK[0, 0])
    home = int(seat.plan.host_of_M[m])

    def there_and_back() -> None:
        add_move(seat.fixed, seat.look, seat.plan, m, target)
        add_move(seat.fixed, seat.look, seat.plan, m, home)

    def listed() -> None:
        there_and_back()
        list_moves_into(*look, *slots)

    call = _microseconds(lambda: is_quiet(*look))
    moved = _microseconds(there_and_back)
    return {
        "call": call,
        "shortlist": max(0.0, _microseconds(listed) - moved - call),
        "features": max(0.0, _microseconds(lambda: features_into(*look, *slots, *_outputs(board))) - call),
        "look": max(0.0, _microseconds(lambda: begin_into(*look, seat.now.host_of_M, seat.swap_V, 0, True)) - call),
        "advance_round": max(0.0, _microseconds(lambda: cluster.simulator.advance(15), 40) - call),
    }


def shares_of_stepping(generator: Generator, clusters: int, pool: int, stop_share: float) -> dict[str, float]:
    """Where the time goes while the vector env is stepped: shares of the compiled parts, and of all else.

    Args:
        generator: draws the days.
        clusters: of the env.
        pool: days drawn before.
        stop_share: how often time is let go on; else any allowed move is taken.
    """
    from ..env.gym.fleet_kernels import ADVANCE, LOOK, OFFER, SHOW
    from ..env.gym.tick_counter import ticks_now
    from ..env.gym.vector_env import ClusterVectorEnv

    env, rng = ClusterVectorEnv(generator, clusters, episodes_per_pool=pool), np.random.default_rng(SEED)
    env.reset(seed=SEED)
    choose = random_actions(rng, stop_share)
    for _ in range(WARM_STEPS):
        env.step(choose(env.action_masks()))
    env.board.ticks_P[:] = 0
    total = -ticks_now()
    for _ in range(REPEATS):
        env.step(choose(env.action_masks()))
    total += ticks_now()
    tasks = {"advance": ADVANCE, "look": LOOK, "shortlist": OFFER, "features": SHOW}
    shares = {name: float(env.board.ticks_P[task]) / total for name, task in tasks.items()}
    return shares | {"python": 1 - sum(shares.values())}


def random_actions(rng: np.random.Generator, stop_share: float) -> Callable[[np.ndarray], np.ndarray]:
    """Draws an allowed action of every cluster from masks of shape (E, K + 1), or stop with some probability."""

    def choose(masks_ES: np.ndarray) -> np.ndarray:
        drawn_E = (rng.random(masks_ES.shape, dtype=np.float32) * masks_ES).argmax(axis=1)
        return np.where(rng.random(len(masks_ES)) < stop_share, 0, drawn_E)

    return choose


def _outputs(board: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where features of the first cluster go."""
    return board.candidates_ESF[0], board.context_EC[0]


def _microseconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """CPU time of one run."""
    run()
    started = time.process_time()
    for _ in range(repeats):
        run()
    return 1e6 * (time.process_time() - started) / repeats


def training_shares(generator: Generator, clusters: int, pool: int) -> dict[str, float]:
    """One update of `MaskablePPO` with our scorer on the vector env: seconds in the env, and in the learner."""
    import torch as th
    from sb3_contrib import MaskablePPO

    from ..agents.network import ScorerPolicy
    from ..agents.vec_env import ClusterVecEnv
    from ..env.gym.vector_env import ClusterVectorEnv

    th.set_num_threads(1)
    envs = ClusterVecEnv(ClusterVectorEnv(generator, clusters, episodes_per_pool=pool))
    spent = {"env": 0.0}
    step = envs.step_wait

    def timed() -> Any:
        started = time.process_time()
        result = step()
        spent["env"] += time.process_time() - started
        return result

    envs.step_wait = timed  # type: ignore[method-assign]
    model = MaskablePPO(ScorerPolicy, envs, n_steps=ROLLOUT, batch_size=BATCH, n_epochs=EPOCHS, seed=SEED, device="cpu")
    model.learn(ROLLOUT * clusters)  # loads everything
    spent["env"] = 0.0
    started = time.process_time()
    model.learn(ROLLOUT * clusters)
    total = time.process_time() - started
    return {
        "steps": ROLLOUT * clusters,
        "env_seconds": spent["env"],
        "learner_seconds": total - spent["env"],
        "learner_share": 1 - spent["env"] / total,
    }
