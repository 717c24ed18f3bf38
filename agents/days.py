"""Days to learn from: played by their labels, student and chance, every decision with the worth of every slot.

Shapes: N decisions, S slots, F and C features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..baseline.ads import Ads
from ..baseline.placement import place_with_room
from ..env.gym.features import SCHEMA, features
from ..env.gym.shortlist import Shortlist, shortlist
from ..env.gym.view import Outlook, PlanView, look_at
from ..env.model.cluster import Cluster
from ..env.world.migration import WorldSettings
from ..env.world.simulator import Simulator
from ..env.world.workload import Episode
from .adviser import Adviser
from .evacuation import evacuation_plan
from .lookahead import LookaheadSettings, MixedOutlook, Quantiles, Remembered
from .teacher import Teacher


@dataclass(frozen=True, eq=False)
class Decisions:
    """Decisions and what each slot was worth.

    Attributes:
        candidates: shape (N, S, F), float16 to save memory.
        context: shape (N, C).
        mask: allowed slots; shape (N, S).
        worth: of each slot, host-minutes; shape (N, S).
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
        student_share: share of days the student plays, where there is one; on others the best label is taken.
        idle_share: share of days on which nothing is moved, so that heavy contention is seen as well.
        noise: probability of a random choice instead, in half of the days.
        slots: K, length of the shortlist.
        plan_limit: moves after which a plan is carried out.
        world: constants of migration.
        forecaster: what player and adviser look ahead with; None: the last hour stands for what is to come.
        charge: core-minutes that each move must bring besides its price, so that the student learns to hold back.
        hindsight: weight of what the future shows a slot to be worth, against what the adviser holds it to be.
    """

    student_share: float = 0.5
    idle_share: float = 0.15
    noise: float = 0.15
    slots: int = 64
    plan_limit: int = 8
    world: WorldSettings = WorldSettings()
    forecaster: Quantiles | None = None
    charge: float = LookaheadSettings.charge
    hindsight: float = 0.0

    @property
    def outlook(self) -> Outlook | None:
        """What the policy sees of the hour to come, in training as when it is served."""
        return None if self.forecaster is None else MixedOutlook(self.forecaster)


@dataclass(frozen=True, eq=False)
class Labels:
    """What the slots of a decision are worth: by the future, by the adviser, or between the two.

    Attributes:
        teacher: knows the future; None where it has no weight.
        adviser: knows what the student knows; None where it has no weight.
        hindsight: weight of the teacher.
    """

    teacher: Teacher | None
    adviser: Adviser | None
    hindsight: float

    @staticmethod
    def at(episode: Episode, minute: int, cluster: Cluster, view: PlanView, behaviour: Behaviour) -> Labels:
        """Those of a round that starts with this view."""
        weight, world, charge = behaviour.hindsight, behaviour.world, behaviour.charge
        teacher = Teacher.at(episode, minute, view, world, charge=charge) if weight > 0 else None
        settings = LookaheadSettings(charge=charge)
        adviser = Adviser.at(cluster, view, behaviour.forecaster, world, settings) if weight < 1 else None
        return Labels(teacher, adviser, weight)

    def worth_S(self, listed: Shortlist) -> npt.NDArray[np.float32]:
        """Worth of each slot, host-minutes; shape (S,)."""
        worth_S = np.zeros(listed.mask_S.size, dtype=np.float32)
        for weight, guide in ((self.hindsight, self.teacher), (1 - self.hindsight, self.adviser)):
            if guide is not None:
                worth_S += np.float32(weight) * guide.worth_S(listed)
        return worth_S

    def after(self, m: int, target: int) -> Labels:
        """Those once the plan also has this move."""
        teacher = self.teacher and self.teacher.after(m, target)
        return replace(self, teacher=teacher, adviser=self.adviser and self.adviser.after(m, target))


Scores = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(candidates (S, F), context (C,), mask (S,)) -> score per slot (S,)."""


class _Seen(NamedTuple):
    """One decision: what the player saw, and what each slot was worth."""

    candidates_SF: np.ndarray
    context_C: np.ndarray
    mask_S: np.ndarray
    worth_S: np.ndarray


def play_day(episode: Episode, behaviour: Behaviour, student: Scores | None, rng: np.random.Generator) -> Decisions:
    """One day by one kind of player, every decision labelled.

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

    if behaviour.forecaster is not None:  # asked twice each round: for the policy's outlook, and for the labels
        behaviour = replace(behaviour, forecaster=Remembered(behaviour.forecaster))
    outlook = behaviour.outlook
    simulator, rules = Simulator(episode, behaviour.world, place_with_room), Ads()
    found: list[_Seen] = []
    while not simulator.is_done:
        if not simulator.is_busy:
            cluster = simulator.cluster()
            view = look_at(cluster, forecast_MJB=outlook(cluster) if outlook else None)
            plan = None if is_idle else evacuation_plan(cluster, view.round.before, rules)
            if plan is None:
                labels = Labels.at(episode, simulator.minute, cluster, view, behaviour)
                view, decided = _decide(view, labels, behaviour, choose)
                found += decided
                plan = view.plan("data")
            simulator.execute(plan)
        simulator.advance(episode.inventory.settings.round_minutes)
    return _stacked(found, behaviour.slots + 1)


def _decide(
    view: PlanView, labels: Labels, behaviour: Behaviour, choose: Callable[[_Seen], int]
) -> tuple[PlanView, list[_Seen]]:
    """The cluster after the moves chosen in one round, and the decisions met on the way."""
    found: list[_Seen] = []
    while len(view.moves) < behaviour.plan_limit:
        listed = shortlist(view, behaviour.slots)
        if listed.is_empty:
            break
        seen = _Seen(*features(view, listed), listed.mask_S, labels.worth_S(listed))
        found.append(seen._replace(candidates_SF=seen.candidates_SF.astype(np.float16)))
        move = listed.move(choose(seen))
        if move is None:
            break
        view, labels = view.after(*move), labels.after(*move)
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
