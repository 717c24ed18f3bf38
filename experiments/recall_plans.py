"""The plans whose moves a shortlist should hold: of the exact and clairvoyant planners and of the lookahead search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..agents.lookahead import Lookahead, LookaheadSettings
from ..baseline.ads import Ads
from ..baseline.clairvoyant import HORIZON_MINUTES, Clairvoyant
from ..baseline.exact import Exact
from ..baseline.exact_limits import ExactLimits
from ..baseline.foresight import Foresight, foresee, foresight_of
from ..baseline.placement import place_with_room
from ..baseline.search import SearchLimits
from ..baseline.worth_search import PLAN_LIMIT, WorthLimits, choose_deeds
from ..env.gym.look_arrays import BLOCKS, DEMAND_RESOURCES
from ..env.gym.shortlist import is_quiet
from ..env.gym.view import PlanView, look_at
from ..env.model.clumps import clumps_of
from ..env.model.cluster import Array, BoolArray, Cluster
from ..env.model.contention import must_leave_M
from ..env.model.state import State, state_of
from ..env.world.migration import WorldSettings
from ..env.world.price import move_price_M
from ..env.world.simulator import Simulator
from ..env.world.workload import Episode

REFERENCES = ("exact", "lookahead", "clairvoyant")
PLAYERS = ("ads", "clairvoyant")
EXACT_LIMITS = ExactLimits(0.2, 1.0, SearchLimits(seconds=0.5))
WORLD = WorldSettings()


class MoveKind(StrEnum):
    """What a move is for, as its plan shows."""

    RELIEF = "relief"
    EVACUATION = "evacuation"
    SWAP = "swap"  # another move of the plan goes the other way
    ROOM = "room"  # a later move of the plan goes where this one comes from


class PlannedMove(NamedTuple):
    """A move of a plan.

    Attributes:
        m, target: what moves where to.
        kind: what for.
        worth: what it wins net of its price on the demand that the planner knows, core-minutes, at least 0; moves that
            belong together share what they win.
        is_bound: whether no list ever offers it: R5 ties it to VMs that cannot move with it as one, or that the plan
            does not move to the same host; or it has moved before.
    """

    m: int
    target: int
    kind: MoveKind
    worth: float
    is_bound: bool


@dataclass(frozen=True, eq=False)
class Round:
    """A round with a choice.

    Attributes:
        cluster: what telemetry shows.
        truth_MJB: demand of the hour to come, cores; shape (M, J, BLOCKS).
        plans: moves by name of the reference; of those that plan something.
    """

    cluster: Cluster
    truth_MJB: Array
    plans: dict[str, tuple[PlannedMove, ...]]

    @cached_property
    def view(self) -> PlanView:
        """The look that a policy gets."""
        return look_at(self.cluster)

    @cached_property
    def told(self) -> PlanView:
        """The look of a policy whose forecast is the truth."""
        return look_at(self.cluster, forecast_MJB=self.truth_MJB)


def rounds_of(episode: Episode, player: str, references: Sequence[str] = REFERENCES) -> Iterator[Round]:
    """The rounds with a choice of a day played by `ads` or `clairvoyant`."""
    planner = Ads() if player == "ads" else Clairvoyant(episode)
    simulator = Simulator(episode, WORLD, place_with_room)
    while not simulator.is_done:
        if not simulator.is_busy:
            cluster = simulator.cluster()
            found = _round(episode, simulator.minute, cluster, references)
            if found.plans or not is_quiet(found.view):
                yield found
            if not (planner.observes_after_plan and simulator.is_observing):
                simulator.execute(planner.plan(cluster))
        simulator.advance(episode.inventory.settings.round_minutes)


def _round(episode: Episode, minute: int, cluster: Cluster, references: Sequence[str]) -> Round:
    """What every reference would do now."""
    state = state_of(cluster)
    truth = foresee(episode, minute, state, HORIZON_MINUTES)
    price_M = np.nan_to_num(move_price_M(state, WORLD))
    plans: dict[str, tuple[PlannedMove, ...]] = {}
    for name in references:
        if name == "exact":
            moves, judge, price = _exact_moves(cluster, state), _held(state), price_M
        elif name == "lookahead":
            look = Lookahead.at(cluster, state, None, LookaheadSettings(), WORLD)
            moves, judge, price = look.deeds(), look.foresight, look.price_M
        else:
            chosen = choose_deeds(state, truth, price_M, WorthLimits(moves=PLAN_LIMIT))
            moves, judge, price = [(c.m, c.target) for c in chosen], truth, price_M
        if moves:
            plans[name] = described(state, moves, judge, np.nan_to_num(price))
    blocks = truth.demand_MJB[:, :2]
    missing = BLOCKS - blocks.shape[2]
    return Round(cluster, np.pad(blocks, ((0, 0), (0, 0), (0, missing)), mode="edge"), plans)


def _exact_moves(cluster: Cluster, state: State) -> list[tuple[int, int]]:
    """The moves of the exact planner."""
    inventory = cluster.inventory
    m_of = {inventory.movable_id(m): m for m in range(inventory.movable_count)}
    h_of = {host.id: h for h, host in enumerate(inventory.hosts)}
    return [(m_of[move.id], h_of[move.target]) for move in Exact(limits=EXACT_LIMITS).plan(cluster).moves]


def _held(state: State) -> Foresight:
    """The estimate, held for an hour: what the exact planner knows."""
    demand_MJB = np.nan_to_num(state.demand_MR[:, DEMAND_RESOURCES])[:, :, None]
    demand_MJB = np.where(state.inventory.is_on_M[:, None, None], demand_MJB, 0.0)
    return foresight_of(state, demand_MJB, np.array([float(HORIZON_MINUTES)]))


def described(
    state: State, moves: Sequence[tuple[int, int]], foresight: Foresight, price_M: Array
) -> tuple[PlannedMove, ...]:
    """The moves of a plan with what they are for and what they win.

    Args:
        state: before the plan.
        moves: (m, target) in order.
        foresight: the demand that the planner knows.
        price_M: what each move costs, core-minutes; shape (M,).
    """
    before, is_bound_M = state, _bound_M(state, moves)
    found: list[PlannedMove] = []
    sources = _sources(state, moves)
    for i, (m, target) in enumerate(moves):
        kind = MoveKind.EVACUATION if must_leave_M(state)[m] else _kind(moves, sources, i)
        won = float(foresight.relief(np.array([m]), np.array([target]))[0] - price_M[m])
        is_bound = bool(is_bound_M[m]) or any(m == other for other, _ in moves[:i])
        found.append(PlannedMove(m, target, kind, won, is_bound))
        state, foresight = state.moved(m, target), foresight.moved(m, target)
    return _shared(found, sources, [clumps_of(before).lead(m) for m, _ in moves])


def _bound_M(state: State, moves: Sequence[tuple[int, int]]) -> BoolArray:
    """Movables that a list cannot offer as the plan moves them; shape (M,)."""
    clumps = clumps_of(state)
    is_bound_M = ~clumps.is_free_M(state)
    for vms in clumps.vms_of.values():
        targets = [target for m, target in moves if m in vms]
        is_bound_M[vms] = len(targets) != len(vms) or len(set(targets)) > 1
    return is_bound_M


def _sources(state: State, moves: Sequence[tuple[int, int]]) -> list[int]:
    """Where each move starts."""
    sources = []
    for m, target in moves:
        sources.append(int(state.host_of_M[m]))
        state = state.moved(m, target)
    return sources


def _kind(moves: Sequence[tuple[int, int]], sources: Sequence[int], i: int) -> MoveKind:
    """What move i is for, as the others show."""
    _, target = moves[i]
    if any(sources[k] == target and moves[k][1] == sources[i] for k in range(len(moves)) if k != i):
        return MoveKind.SWAP
    return MoveKind.ROOM if any(moves[k][1] == sources[i] for k in range(i + 1, len(moves))) else MoveKind.RELIEF


def _shared(found: list[PlannedMove], sources: Sequence[int], leads: Sequence[int]) -> tuple[PlannedMove, ...]:
    """The same with what belongs together sharing what it wins: a move, those that go where it comes from, a clump."""
    group = list(range(len(found)))
    for i in range(len(found)):
        for k in range(i + 1, len(found)):
            if found[k].target == sources[i] or leads[k] == leads[i]:
                group = [group[i] if g == group[k] else g for g in group]
    shared = []
    for i, move in enumerate(found):
        members = [k for k in range(len(found)) if group[k] == group[i]]
        mean = sum(found[k].worth for k in members) / len(members)
        shared.append(move._replace(worth=max(0.0, mean)))
    return tuple(shared)
