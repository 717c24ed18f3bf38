"""An exported policy as a planner: proposes plans, takes the one worth most in the hour to come, has it judged.

    proposals   the policy's plan, move by move; the same plan and what the search finds to add to it; the search's own
    choice      by their worth in the scenarios of `lookahead.py`, forecast ones among them; none at all is worth 0
    judgement   `validate`; a plan that breaks a rule is replaced by that of the rules

Serving side: numpy and onnxruntime, never torch, stable-baselines3, gymnasium or mlflow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..baseline.ads import Ads
from ..baseline.worth_search import PLAN_LIMIT
from ..env.gym.features import features
from ..env.gym.shortlist import SLOTS, Shortlist, shortlist
from ..env.gym.view import PlanView, look_at
from ..env.model.cluster import CPU, MEMORY, STORAGE, Cluster
from ..env.model.contention import Contention, contentions, unresolved_H
from ..env.model.memory import resizes
from ..env.model.plan import Plan, Status, moves_of, validate
from ..env.model.planner import Planner
from ..env.model.state import State
from ..env.world.migration import WorldSettings
from .evacuation import evacuation_plan
from .lookahead import Lookahead, LookaheadSettings, MixedOutlook, Quantiles, Remembered

Logits = Callable[[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.bool_]], npt.NDArray[np.float32]]
"""(candidates of shape (S, F), context (C,), mask (S,)) -> score of each slot, shape (S,); slot 0 is stop."""


class Policy(Protocol):
    """What a planner asks of a policy: a bundle, or a network in training."""

    @property
    def slots(self) -> int:
        """K, the length of its shortlist."""

    @property
    def forecaster(self) -> Quantiles | None:
        """What it looks ahead with."""

    def logits(
        self,
        candidates: npt.NDArray[np.float32],
        context: npt.NDArray[np.float32],
        mask: npt.NDArray[np.bool_],
        /,
    ) -> npt.NDArray[np.float32]:
        """The score of each slot; shape (S,)."""


class Proposal(StrEnum):
    """Where a plan comes from."""

    POLICY = "policy"
    POLICY_AND_SEARCH = "policy and search"
    SEARCH = "search"


VARIANTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "policy": {"proposals": (Proposal.POLICY,)},
        "search": {"proposals": (Proposal.SEARCH,)},
        "no-forecast": {"has_forecast": False},
        "last-hour": {"lookahead": LookaheadSettings(forecast_share=0.0)},
        "forecast-only": {"lookahead": LookaheadSettings(forecast_share=1.0)},
        "single-moves": {"lookahead": LookaheadSettings(with_pairs=False)},
        "uncharged": {"lookahead": LookaheadSettings(charge=0.0)},
        "hour-only": {"lookahead": LookaheadSettings(soon_share=0.0)},
    }
)
"""What the planner is without one of its parts: fields of `LearnedPlanner` by name."""


class Choice(NamedTuple):
    """One decision of a policy, as somebody follows it: what it saw, and which slot it took."""

    view: PlanView
    listed: Shortlist
    slot: int
    margin: float  # score of the slot above that of stop

    @property
    def moves(self) -> tuple[tuple[int, int], ...]:
        """What the slot stands for: a move, or those of a clump; none where it is stop."""
        move = self.listed.move(self.slot)
        return () if move is None else self.view.round.clumps.moves(*move)


@dataclass(frozen=True)
class _Proposed:
    """A plan to choose from: its moves, the policy's scores of the first of them, and its worth in core-minutes."""

    moves: tuple[tuple[int, int], ...] = ()
    margins: tuple[float, ...] = ()
    worth: float = 0.0

    def after(self, state: State) -> State:
        """The state once the plan is carried out."""
        for m, target in self.moves:
            state = state.moved(m, target)
        return state


def choose_moves(
    view: PlanView, logits: Logits, *, slots: int = SLOTS, limit: int = PLAN_LIMIT
) -> tuple[PlanView, list[Choice]]:
    """Takes the best candidate again and again, until *stop* is the best, nothing is listed or the plan is full.

    Args:
        view: the cluster before any move.
        logits: scores the slots; the highest one is taken, the first of equals.
        slots: K, the length of the shortlist.
        limit: moves after which the plan is full.

    Returns:
        The cluster after the moves, and the decision behind each of them.
    """
    choices: list[Choice] = []
    while len(view.moves) < limit:
        listed = shortlist(view, slots)
        if listed.is_empty:
            break
        candidates_SF, context_C = features(view, listed)
        scores_S = logits(candidates_SF, context_C, listed.mask_S)
        slot = int(np.argmax(np.where(listed.mask_S, scores_S, -np.inf)))
        move = listed.move(slot)
        if move is None:
            break
        choices.append(Choice(view, listed, slot, float(scores_S[slot] - scores_S[0])))
        view = view.after(*move)
    return view, choices


@dataclass(frozen=True)
class LearnedPlanner:
    """A policy as a planner.

    Every plan is judged by `validate` before it is handed out; one that breaks a rule is replaced by the fallback's,
    and that one, should it break a rule too, by no move at all. The reason says so.

    To empty a host in maintenance is an order, not a trade-off: while such a host is not empty, the fallback's plan is
    the answer, which resolves every contention too and can move whatever R5 ties together. The policy is asked only
    where the fallback finds no plan.

    Attributes:
        policy: a bundle, or a network in training.
        fallback: the rules that answer where the policy may not; `ads` where None.
        is_strict: whether all contentions must be resolved or none (plans as documents). Otherwise the policy may
            relieve part of a contention, and act before there is one.
        proposals: the plans to choose from; `POLICY` alone is taken as it is, without looking ahead.
        lookahead: how plans are judged.
        has_forecast: whether the forecast is used at all, by the policy's features as by the lookahead.
        world: what a migration costs.
    """

    policy: Policy
    fallback: Planner | None = None
    is_strict: bool = False
    proposals: tuple[Proposal, ...] = tuple(Proposal)
    lookahead: LookaheadSettings = LookaheadSettings()
    has_forecast: bool = True
    world: WorldSettings = WorldSettings()
    name: str = "learned"
    observes_after_plan: bool = False

    def plan(self, cluster: Cluster) -> Plan:
        """The policy's plan, or the fallback's."""
        started = time.perf_counter()
        known = self.policy.forecaster if self.has_forecast else None
        forecaster = None if known is None else Remembered(known)
        view = look_at(cluster, forecast_MJB=None if forecaster is None else MixedOutlook(forecaster)(cluster))
        found = contentions(view.round.before)
        plan = self._answer(cluster, view, found, forecaster)
        return replace(plan, contentions=found, solve_seconds=time.perf_counter() - started)

    def _answer(
        self, cluster: Cluster, view: PlanView, found: tuple[Contention, ...], forecaster: Quantiles | None
    ) -> Plan:
        """The plan without its contentions and its time."""
        before = view.round.before
        if self.is_strict and not found:
            return self._plan(view, Status.NO_CONTENTION, "no host is contended")
        if (ordered := evacuation_plan(cluster, before, self._rules, must_resolve=self.is_strict)) is not None:
            return replace(ordered, planner=self.name)
        chosen = self._choose(cluster, view, forecaster)
        left = int(np.count_nonzero(unresolved_H(chosen.after(before))))
        if self.is_strict and left:
            hosts = f"{left} contended host{'' if left == 1 else 's'}"
            return self._fall_back(cluster, view, f"{self._who} would relieve only part and leave {hosts}")
        plan = self._policy_plan(view, chosen, found)
        broken = validate(before, plan, must_resolve=self.is_strict)
        if broken:
            return self._fall_back(cluster, view, f"{self._who}'s plan breaks a rule ({broken[0]})")
        return plan

    def _choose(self, cluster: Cluster, view: PlanView, forecaster: Quantiles | None) -> _Proposed:
        """The proposal that is worth most; no move at all where none is worth anything."""
        policy = _Proposed()
        if self.proposals != (Proposal.SEARCH,):
            after, choices = choose_moves(view, self.policy.logits, slots=self.policy.slots)
            policy = _Proposed(after.moves, tuple(c.margin for c in choices for _ in c.moves))
        if self.proposals == (Proposal.POLICY,):
            return policy
        ahead = Lookahead.at(cluster, view.round.before, forecaster, self.lookahead, self.world)
        plans = {
            Proposal.POLICY: lambda: policy.moves,
            Proposal.POLICY_AND_SEARCH: lambda: ahead.deeds(policy.moves),
            Proposal.SEARCH: ahead.deeds,
        }
        offers = [_Proposed()]
        for proposal in self.proposals:
            moves = tuple(plans[proposal]())
            margins = policy.margins if moves[: len(policy.moves)] == policy.moves else ()
            offers.append(_Proposed(moves, margins, ahead.worth(moves)))
        if self.is_strict:
            resolving = [o for o in offers if not unresolved_H(o.after(view.round.before)).any()]
            offers = resolving or offers
        return max(offers, key=lambda offer: offer.worth)

    @property
    def _who(self) -> str:
        """Who makes the plans, in their reasons."""
        return "the search" if self.proposals == (Proposal.SEARCH,) else "the policy"

    @property
    def _rules(self) -> Planner:
        """The rules that answer where the policy may not."""
        return self.fallback or Ads(is_interactive=self.is_strict)

    def _policy_plan(self, view: PlanView, chosen: _Proposed, found: tuple[Contention, ...]) -> Plan:
        """What was chosen, as a plan with its reasons."""
        after = chosen.after(view.round.before)
        resized = resizes(view.round.before, after)
        if not chosen.moves and not (self.is_strict and resized):
            if found:
                return self._plan(view, Status.REFUSED, f"{self._who} holds no move to be worth its cost")
            return self._plan(view, Status.NO_CONTENTION, f"no host is contended, and {self._who} waits")
        moves = moves_of(view.round.before, chosen.moves, move_reasons(view.round.before, chosen))
        cost_gib = float(sum(move.cost_gib for move in moves))
        left = int(np.count_nonzero(unresolved_H(after)))
        reason = f"{self._who} takes {len(moves)} move{'' if len(moves) == 1 else 's'}, {cost_gib:.1f} GiB"
        if chosen.worth > 0:
            reason += f", worth {chosen.worth:.0f} core-minutes in the hour to come"
        reason += f"; {left} host{' stays' if left == 1 else 's stay'} contended" if left else ""
        plan = self._plan(view, Status.PLANNED, reason)
        return replace(plan, moves=moves, resizes=resized, cost_gib=cost_gib)

    def _fall_back(self, cluster: Cluster, view: PlanView, why: str) -> Plan:
        """The fallback's plan where it is valid, else none."""
        rules = self._rules
        plan = rules.plan(cluster)
        reason = f"{why}, so {rules.name} answers: {plan.reason}"
        broken = validate(view.round.before, plan, must_resolve=self.is_strict)
        if broken:
            return self._plan(view, Status.REFUSED, f"{why}, and so does that of {rules.name} ({broken[0]}): no move")
        return replace(plan, planner=self.name, reason=reason)

    def _plan(self, view: PlanView, status: Status, reason: str) -> Plan:
        """A plan without moves."""
        return Plan(cluster=view.round.name, planner=self.name, status=status, reason=reason)


def move_reasons(before: State, chosen: _Proposed) -> list[str]:
    """Why each move was taken, in figures: source and target before and after it; the policy's score where it has one.

    Args:
        before: the state before the plan.
        chosen: the plan.
    """
    reasons, state = [], before
    for i, (m, target) in enumerate(chosen.moves):
        after, source = state.moved(m, target), int(state.host_of_M[m])
        reason = f"{_change(state, after, source)}; {_change(state, after, target)}"
        if i < len(chosen.margins):
            reason += f"; score {chosen.margins[i]:.2f} above stop"
        reasons.append(reason)
        state = after
    return reasons


def _change(before: State, after: State, h: int) -> str:
    """What a move changes on a host: the resource that is used most before or after it."""
    names = {CPU: "CPU", STORAGE: "storage", MEMORY: "memory"}
    was_R, is_R = before.utilization_HR[h], after.utilization_HR[h]
    changed = [r for r in names if abs(was_R[r] - is_R[r]) > 5e-4] or [CPU]
    r = max(changed, key=lambda r: max(was_R[r], is_R[r]))
    return f"{before.inventory.hosts[h].id} {names[r]} {was_R[r]:.1%} to {is_R[r]:.1%}"
