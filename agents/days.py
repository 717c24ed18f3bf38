"""Days to learn from: played by teacher, student and chance, every decision labelled with the true worth of every slot.

Shapes: N decisions, S slots, F and C features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..baseline.ads import Ads
from ..baseline.placement import place_with_room
from ..env.gym.features import SCHEMA, features
from ..env.gym.shortlist import shortlist
from ..env.gym.view import Outlook, PlanView, look_at
from ..env.world.migration import WorldSettings
from ..env.world.simulator import Simulator
from ..env.world.workload import Episode
from .evacuation import evacuation_plan
from .lookahead import LookaheadSettings
from .teacher import Teacher


@dataclass(frozen=True, eq=False)
class Decisions:
    """Decisions and what each slot was worth.

    Attributes:
        candidates: shape (N, S, F), float16 to save memory.
        context: shape (N, C).
        mask: allowed slots; shape (N, S).
        worth: true worth of each slot, host-minutes; shape (N, S).
    """

    candidates: npt.NDArray[np.float16]
    context: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    worth: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.context)

    @staticmethod
    def joined(parts: Sequence[Decisions]) -> Decisions:
        """All decisions of several days."""
        return Decisions(
            np.concatenate([p.candidates for p in parts]),
            np.concatenate([p.context for p in parts]),
            np.concatenate([p.mask for p in parts]),
            np.concatenate([p.worth for p in parts]),
        )


@dataclass(frozen=True)
class Behaviour:
    """How a day of data is played.

    Attributes:
        student_share: share of days the student plays, where there is one; the teacher plays the others.
        idle_share: share of days on which nothing is moved, so that heavy contention is seen as well.
        noise: probability of a random choice instead, in half of the days.
        slots: K, length of the shortlist.
        plan_limit: moves of one plan at most.
        world: constants of migration.
        outlook: forecasts demand of the hour to come; None: the last hour stands for it.
        charge: core-minutes that each move must bring besides its price, so that the student learns to hold back.
    """

    student_share: float = 0.5
    idle_share: float = 0.15
    noise: float = 0.15
    slots: int = 64
    plan_limit: int = 8
    world: WorldSettings = WorldSettings()
    outlook: Outlook | None = None
    charge: float = LookaheadSettings.charge


Scores = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(candidates (S, F), context (C,), mask (S,)) -> score per slot (S,)."""


class _Seen(NamedTuple):
    """One decision: what the player saw, and what each slot was worth."""

    candidates_SF: np.ndarray
    context_C: np.ndarray
    mask_S: np.ndarray
    worth_S: np.ndarray


def play_day(episode: Episode, behaviour: Behaviour, student: Scores | None, rng: np.random.Generator) -> Decisions:
    """One day by one kind of player, every decision labelled by the teacher.

    Rounds in which the rules empty a host are none of the policy's, so they bring no decisions.
    """
    is_idle = rng.random() < behaviour.idle_share
    player = student if student is not None and rng.random() < behaviour.student_share else None
    noise = behaviour.noise if rng.random() < 0.5 else 0.0

    def choose(seen: _Seen) -> int:
        """The slot of the player or of chance; stop on an idle day."""
        scores_S = seen.worth_S if player is None else player(seen.candidates_SF, seen.context_C, seen.mask_S)
        slot = int(np.argmax(np.where(seen.mask_S, scores_S, -np.inf)))
        if rng.random() < noise:
            slot = int(rng.choice(np.flatnonzero(seen.mask_S)))
        return 0 if is_idle else slot

    simulator, rules = Simulator(episode, behaviour.world, place_with_room), Ads()
    found: list[_Seen] = []
    while not simulator.is_done:
        if not simulator.is_busy:
            cluster = simulator.cluster()
            view = look_at(cluster, forecast_MJB=behaviour.outlook(cluster) if behaviour.outlook else None)
            plan = None if is_idle else evacuation_plan(cluster, view.state, rules)
            if plan is None:
                teacher = Teacher.at(episode, simulator.minute, view, behaviour.world, charge=behaviour.charge)
                view, decided = _decide(view, teacher, behaviour, choose)
                found += decided
                plan = view.plan("data")
            simulator.execute(plan)
        simulator.advance(episode.inventory.settings.round_minutes)
    return _stacked(found, behaviour.slots + 1)


def _decide(
    view: PlanView, teacher: Teacher, behaviour: Behaviour, choose: Callable[[_Seen], int]
) -> tuple[PlanView, list[_Seen]]:
    """The cluster after the moves chosen in one round, and the decisions met on the way."""
    found: list[_Seen] = []
    while len(view.moves) < behaviour.plan_limit:
        listed = shortlist(view, behaviour.slots)
        if listed.is_empty:
            break
        seen = _Seen(*features(view, listed), listed.mask_S, teacher.worth_S(listed))
        found.append(seen._replace(candidates_SF=seen.candidates_SF.astype(np.float16)))
        move = listed.move(choose(seen))
        if move is None:
            break
        view, teacher = view.after(*move), teacher.after(*move)
    return view, found


def _stacked(found: Sequence[tuple[np.ndarray, ...]], slots: int) -> Decisions:
    """Recorded decisions as arrays; a quiet day has none."""
    if not found:
        F, C = len(SCHEMA.candidate), len(SCHEMA.context)
        return Decisions(
            np.zeros((0, slots, F), np.float16),
            np.zeros((0, C), np.float32),
            np.zeros((0, slots), np.bool_),
            np.zeros((0, slots), np.float32),
        )
    return Decisions(*(np.stack(column) for column in zip(*found, strict=True)))
