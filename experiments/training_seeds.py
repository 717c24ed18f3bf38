"""`quell train --seeds`: the same training once for each seed, one after another, each with the whole budget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..env.model.errors import QuellError
from .interruption import Terminated, tell_at_end
from .number_options import MOST_SEED
from .simulation import load_workload
from .terminal import console, notice
from .tracking import Tracker
from .training import TrainCommand, train_one
from .training_spread import spread_of
from .writable import claimed_file

MOST_SEEDS = 500  # each holds its bundle by an open file, and many systems allow 1,024


def seeds_of(text: str) -> tuple[int, ...]:
    """The seeds that people type after `--seeds`: `1-5`, `1,4,7`, or both mixed.

    Raises:
        QuellError: these are no seeds, one stands there twice, or there are too many.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,10})\s*(?:-\s*([0-9]{1,10})\s*)?", part)
        if match is None:
            raise QuellError(f"--seeds {text!r}: must be whole numbers and ranges FROM-TO, separated by commas")
        low, high = int(match[1]), int(match[2] or match[1])
        if low > high:
            raise QuellError(f"--seeds {text!r}: the range must rise, and {low} is more than {high}")
        if high > MOST_SEED:
            raise QuellError(f"--seeds {text!r}: {high} is more than {MOST_SEED}")
        if len(seeds) + high - low + 1 > MOST_SEEDS:
            raise QuellError(f"--seeds {text!r}: more than {MOST_SEEDS:,} trainings")
        seeds += range(low, high + 1)
    twice = [seed for seed in seeds if seeds.count(seed) > 1]
    if twice:
        raise QuellError(f"--seeds {text!r}: {twice[0]} stands there twice")
    return tuple(seeds)


def seed_output(output: str, seed: int) -> str:
    """`policy.quell` as `policy.seed-3.quell`."""
    path = Path(output)
    return str(path.with_name(f"{path.stem}.seed-{seed}{path.suffix}"))


def train_seeds(command: TrainCommand, seeds: Sequence[int], *, is_text: bool = True) -> dict[str, Any]:
    """One training for each seed; bundles that are finished stay, whatever happens to the next.

    Args:
        command: what was asked; its seed does not count, and its output is what the names of the bundles are made of.
        seeds: of the trainings.
        is_text: whether the bundles are told in the terminal.

    Returns:
        `policies`, a document of `train_one` each with its seed, and the spread of their `validation_cost_ratio`, the
        cost on the validation days as a share of that of doing nothing.

    Raises:
        QuellError: as for a single training; everything that can be found out is found out before the first.
    """
    commands = [replace(command, seed=seed, output=seed_output(command.output, seed)) for seed in seeds]
    for one in commands:
        one.config()
    with ExitStack() as claims:
        for one in commands:
            claims.enter_context(claimed_file(one.bundle(), "--output"))
        done = _train_all(command, commands, is_text)
    spread = spread_of([policy["metrics"]["validation_cost_ratio"] for policy in done])
    if is_text:
        console.print(_told(spread, len(done)), soft_wrap=True, markup=False)
    return {"policies": done, "validation_cost_ratio": spread}


def _train_all(command: TrainCommand, commands: Sequence[TrainCommand], is_text: bool) -> list[dict[str, Any]]:
    """The trainings, one after another, as parts of one run; each is a document of `train_one` with its seed."""
    tracker, trace = Tracker(command.store), load_workload(command.workload)
    seeds = [one.seed for one in commands]
    done: list[dict[str, Any]] = []
    with tracker.run("train seeds") as top:
        top.parameters({"seeds": ",".join(map(str, seeds))})
        try:
            for i, one in enumerate(commands):
                notice(f"training {i + 1} of {len(commands)}: seed {one.seed}")
                done.append({"seed": one.seed} | train_one(one, trace, tracker, top, is_text=is_text))
        except (KeyboardInterrupt, Terminated) as stop:
            tell_at_end(stop, _how_to_go_on(done, seeds))
            raise
    return done


def _told(spread: dict[str, float | None], count: int) -> str:
    """The spread in one line."""
    mean, low, high = (100 * (spread[key] or 0.0) for key in ("mean", "low", "high"))
    text = f"validation days under {count} policies: {mean:.1f} % of the cost of doing nothing"
    return text if count == 1 else f"{text}, {low:.1f} to {high:.1f} %"


def _how_to_go_on(done: Sequence[dict[str, Any]], seeds: Sequence[int]) -> str:
    """What is finished, and what to ask for to train the rest."""
    finished = ", ".join(policy["bundle"] for policy in done) or "none"
    left = ",".join(map(str, seeds[len(done) :]))
    return f"trainings were interrupted; finished: {finished}; to train the rest: --seeds {left}"
