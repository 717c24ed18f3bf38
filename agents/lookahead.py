"""Looking ahead: the hour to come in scenarios, and what a plan is worth in it.

Half of the weight lies on the last hour as it was, block by block, which keeps together what peaks together; half on
the forecast, each VM drawing from its own quantiles, which knows what will not last and what comes every day. On unseen
VMs the two together serve better than either.

Shapes besides those of the model: J = CPU, STORAGE and, where memory is overcommitted, MEMORY; B scenarios; W windows
and Q levels of the forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Protocol

import numpy as np

from ..baseline.foresight import Foresight, foresight_of
from ..baseline.worth_search import LEAST_WORTH, PLAN_LIMIT, WorthLimits, choose_deeds
from ..env.gym.view import BLOCKS
from ..env.model.cluster import MEMORY, Array, Cluster
from ..env.model.state import State
from ..env.world.migration import WorldSettings
from ..env.world.price import move_price_M
from .forecaster import at_levels, last_hour_MJB

DRAW_SEED = 0  # of the order in which quantiles are drawn: the same cluster always gives the same plan


class Quantiles(Protocol):
    """What a lookahead asks of a forecaster."""

    @property
    def levels(self) -> Array:
        """The Q levels, ascending, 0..1."""

    def quantiles(self, cluster: Cluster) -> Array:
        """Quantiles of each movable's CPU and storage demand, cores, the longest window last; shape (M, J, W, Q)."""


class Remembered:
    """A forecaster that keeps its last answer: what a plan looks at several times is worked out once.

    Args:
        forecaster: who is asked.
    """

    def __init__(self, forecaster: Quantiles) -> None:
        self._forecaster = forecaster
        self._last: tuple[Cluster, Array] | None = None

    @property
    def levels(self) -> Array:
        """The Q levels, ascending, 0..1."""
        return self._forecaster.levels

    def quantiles(self, cluster: Cluster) -> Array:
        """As the forecaster answers; shape (M, J, W, Q)."""
        if self._last is None or self._last[0] is not cluster:
            self._last = cluster, self._forecaster.quantiles(cluster)
        return self._last[1]


@dataclass(frozen=True)
class LookaheadSettings:
    """How a plan is judged; found on the validation part (see `agents/README.md`).

    Attributes:
        horizon_minutes: that relief is counted for.
        forecast_share: weight of the forecast against the last hour, 0 to 1.
        draws: scenarios drawn from the forecast.
        soon_share: of them, those drawn from its shortest window instead of the longest: what falls due later can still
            be seen to later.
        price_factor: what a move must bring for each core-minute that it costs: estimates of what is chosen for being
            the best are too high, and a move that can wait may turn out not to be needed.
        charge: what each move must bring besides, core-minutes, for the same reasons: where demand has no memory, most
            of what a move is hoped to win does not come.
        least_worth: core-minutes that a deed must win.
        moves: of one plan at most.
        with_pairs: whether the search looks for swaps and for room as well.
    """

    horizon_minutes: float = 60.0
    forecast_share: float = 0.5
    draws: int = 24
    soon_share: float = 1 / 3
    price_factor: float = 1.5
    charge: float = 20.0
    least_worth: float = LEAST_WORTH
    moves: int = PLAN_LIMIT
    with_pairs: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("forecast_share", "soon_share"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} is {value}; it must lie in 0..1")


@dataclass(frozen=True, eq=False)
class Lookahead:
    """The hour to come on one cluster, and what moving costs there.

    Attributes:
        state: by the estimate that rules judge by.
        foresight: the scenarios, everything where it now is.
        price_M: what each move must bring, core-minutes; shape (M,).
        settings: how plans are judged.
    """

    state: State
    foresight: Foresight
    price_M: Array
    settings: LookaheadSettings

    @staticmethod
    def at(
        cluster: Cluster, state: State, forecaster: Quantiles | None, settings: LookaheadSettings, world: WorldSettings
    ) -> Lookahead:
        """Looks ahead from what telemetry shows; without a forecaster the last hour has all the weight."""
        demand_MJB, minutes_B = scenarios(cluster, state, forecaster, settings)
        price_M = move_price_M(state, world) * settings.price_factor + settings.charge
        return Lookahead(state, foresight_of(state, demand_MJB, minutes_B), price_M, settings)

    def deeds(self, first: Sequence[tuple[int, int]] = ()) -> list[tuple[int, int]]:
        """The moves that are worth their price, after some moves that are taken already; (m, target) in order."""
        start, asked = self.after_all(first), self.settings
        limits = WorthLimits(asked.moves - len(first), asked.least_worth, asked.with_pairs)
        chosen = choose_deeds(start.state, start.foresight, self.price_M, limits, frozenset(m for m, _ in first))
        return [*first, *((choice.m, choice.target) for choice in chosen)]

    def worth(self, moves: Sequence[tuple[int, int]]) -> float:
        """What a plan wins in the hour to come net of its price, core-minutes."""
        foresight = self.after_all(moves).foresight
        relief = float(self.foresight.host_cost_H().sum() - foresight.host_cost_H().sum())
        return relief - float(sum(self.price_M[m] for m, _ in moves))

    def after(self, m: int, target: int) -> Lookahead:
        """The same once a move is made."""
        return replace(self, state=self.state.moved(m, target), foresight=self.foresight.moved(m, target))

    def after_all(self, moves: Sequence[tuple[int, int]]) -> Lookahead:
        """The same once these moves are made."""
        return reduce(lambda ahead, move: ahead.after(*move), moves, self)


def scenarios(
    cluster: Cluster, state: State, forecaster: Quantiles | None, settings: LookaheadSettings
) -> tuple[Array, Array]:
    """Demand in every scenario, cores and GiB, and the minutes each stands for; shapes (M, J, B) and (B,)."""
    inventory = cluster.inventory
    M, V = inventory.movable_count, inventory.vm_count
    share = settings.forecast_share if forecaster is not None else 0.0
    parts, minutes = [], []
    if share < 1:
        parts.append(last_hour_MJB(cluster))
        minutes += [settings.horizon_minutes * (1 - share) / BLOCKS] * BLOCKS
    if forecaster is not None and share > 0:
        parts.append(forecast_draws(cluster, forecaster, settings.draws, settings.soon_share))
        minutes += [settings.horizon_minutes * share / settings.draws] * settings.draws
    demand_MJB = np.concatenate(parts, axis=2)
    demand_MJB[~inventory.is_on_M] = 0.0
    if inventory.is_overcommit_V.any():
        held_M = np.nan_to_num(state.demand_MR[:, MEMORY])
        held_M[:V] = np.where(inventory.is_on_M[:V], np.maximum(held_M[:V], inventory.memory_minimum_V), 0.0)
        held_M1B = np.broadcast_to(held_M[:, None, None], (M, 1, demand_MJB.shape[2]))
        demand_MJB = np.concatenate([demand_MJB, held_M1B], axis=1)
    return demand_MJB, np.array(minutes)


@dataclass(frozen=True)
class MixedOutlook:
    """The outlook that policies see where there is a forecaster: six blocks of the last hour, and six forecast ones.

    Attributes:
        forecaster: what to draw from.
        soon_share: as in `LookaheadSettings`.
    """

    forecaster: Quantiles
    soon_share: float = LookaheadSettings.soon_share

    def __call__(self, cluster: Cluster) -> Array:
        """Demand in `BLOCKS` scenarios of equal weight, cores; shape (M, J, BLOCKS)."""
        drawn_MJB = forecast_draws(cluster, self.forecaster, BLOCKS // 2, self.soon_share)
        return np.concatenate([last_hour_MJB(cluster)[:, :, 1::2], drawn_MJB], axis=2)


def forecast_draws(cluster: Cluster, forecaster: Quantiles, count: int, soon_share: float) -> Array:
    """Demand in scenarios drawn from a forecast, those of its shortest window first, cores; shape (M, J, count)."""
    quantiles_MJWQ = forecaster.quantiles(cluster)
    soon = round(count * soon_share)
    parts = ((0, soon), (-1, count - soon))
    return np.concatenate([draws(quantiles_MJWQ[:, :, w], forecaster.levels, n) for w, n in parts], axis=2)


def draws(quantiles_MJQ: Array, levels_Q: Array, count: int) -> Array:
    """A Latin hypercube over the movables' quantiles: each goes through all of its levels, in an order of its own.

    Returns:
        demand, cores; shape (M, J, count).
    """
    rng = np.random.default_rng(DRAW_SEED)
    value_MJB = at_levels(quantiles_MJQ, levels_Q, (np.arange(count) + 0.5) / count)
    order_MJB = np.argsort(rng.random(value_MJB.shape), axis=2)
    return np.asarray(np.take_along_axis(value_MJB, order_MJB, axis=2))
