"""One cluster of many: its day, its seat among the kernels' arrays, and what Python does for it where that is rare."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..model.clumps import largest_clump
from ..model.cluster import Array
from ..model.planner import Planner
from ..world.arrays import day_of
from ..world.costs import CostTerms
from ..world.migration import WorldSettings
from ..world.simulator import Simulator
from ..world.waiting import Placer
from ..world.workload import DAY_MINUTES, Episode
from .day_tables import DayTables, tables_of
from .fleet_arrays import CONTROL, Seat
from .look_arrays import BLOCKS, DEMAND_RESOURCES, PlanArrays, RoundArrays, Scratch, look_arrays, new_round
from .reward import Twin, reward_scale
from .see_kernels import NOTHING_SEEN
from .shortlist import Shortlist
from .view import Outlook, PlanView, look_at

Room = tuple[RoundArrays, PlanArrays, Scratch]


@dataclass(frozen=True, eq=False)
class FleetDay:
    """An episode ready to be played: what does not depend on the agent has been worked out.

    Attributes:
        episode: the day.
        twin_Q4: what the twin's day has cost at the end of each round, core-minutes; shape (Q + 1, 4).
        scale: core-minutes that make a reward of 1.
        tables: what telemetry will show.
        rooms: arrays of clusters that have played it, for the next: memory that is new takes its time.
    """

    episode: Episode
    twin_Q4: Array
    scale: float
    tables: DayTables
    rooms: list[Room] = field(default_factory=list)


def fleet_day(episode: Episode, world: WorldSettings | None, planner: Planner | None, placer: Placer) -> FleetDay:
    """Plays the twin's day."""
    inventory = episode.inventory
    minutes = inventory.settings.round_minutes
    twin = Twin(episode, world, planner, placer)
    course = [_terms(twin.costs)]
    for _ in range(-(-DAY_MINUTES // minutes)):
        twin.advance(minutes)
        course.append(_terms(twin.costs))
    return FleetDay(episode, np.array(course), reward_scale(inventory, minutes), tables_of(day_of(episode), minutes))


def _terms(costs: CostTerms) -> list[float]:
    """Cost terms in the order of `Term`."""
    return [costs.overload_core_minutes, costs.unserved_core_minutes, costs.swap_gib_minutes, costs.migration_gib]


class FleetCluster:
    """A cluster on its day.

    Args:
        day: what is played.
        world: constants of migration and of starting VMs.
        placer: finds hosts for VMs that arrive.
        plan_limit: moves after which a plan is carried out.
        skips_quiet: whether rounds without a choice are passed over.
        outlook: forecasts demand of the hour to come; None: the last hour stands for it.

    Attributes:
        simulator: the day as people and tests read it.
        seat: the same for the kernels.
        view: the plan so far where Python makes it, None where the kernels do.
        listed: the shortlist that belongs to it.
    """

    def __init__(
        self,
        day: FleetDay,
        world: WorldSettings | None,
        placer: Placer,
        plan_limit: int,
        skips_quiet: bool,
        outlook: Outlook | None = None,
    ) -> None:
        self.simulator = Simulator(day.episode, world, placer)
        self.view: PlanView | None = None
        self.listed: Shortlist | None = None
        self._plan_limit, self._outlook = plan_limit, outlook
        self._reserve()
        self._inventory = self.simulator.inventory
        self._rows = self.simulator.rows
        midnight, V = day.episode.cluster.time, self._inventory.vm_count
        control = np.zeros(1, dtype=CONTROL)
        control["round_minutes"] = self._inventory.settings.round_minutes
        control["plan_limit"], control["skips_quiet"], control["scale"] = plan_limit, skips_quiet, day.scale
        control["first_minute"] = midnight.hour * 60 + midnight.minute
        control["has_outlook"], control["seen_minute"] = outlook is not None, NOTHING_SEEN
        fixed = look_arrays(self._inventory)
        self._rooms, self._room = day.rooms, day.rooms.pop() if day.rooms else new_round(fixed)
        self.seat = Seat(
            self.simulator.day,
            self.simulator.pace,
            self.simulator.now,
            self._rows,
            fixed,
            *self._room,
            tables=day.tables,
            control=control,
            chosen_L2=np.zeros((plan_limit + largest_clump(self._inventory), 2), dtype=np.int64),
            twin_Q4=day.twin_Q4,
            booked_24=np.zeros((2, 4)),
            forecast_MJB=np.zeros((self._inventory.movable_count, len(DEMAND_RESOURCES), BLOCKS)),
            need_V=np.zeros(V),
            swap_V=np.zeros(V),
        )

    def attend(self, stop: int) -> bool:
        """Does what the clock has stopped for; whether the seat is another one now."""
        self.simulator.attend(stop)
        self._reserve()
        inventory, rows = self.simulator.inventory, self.simulator.rows
        if inventory is self._inventory and rows is self._rows:
            return False
        if inventory is not self._inventory:
            fixed = look_arrays(inventory)
            look, plan, scratch = new_round(fixed)
            self.seat = self.seat._replace(fixed=fixed, look=look, plan=plan, scratch=scratch)
            self.seat.control["seen_minute"] = NOTHING_SEEN
        self.seat = self.seat._replace(log=rows)
        self._inventory, self._rows = inventory, rows
        return True

    def leave(self) -> None:
        """Its day is over, and nobody will look at its seat again: the next to play the day may have its arrays."""
        self._rooms.append(self._room)

    def foresee(self) -> None:
        """Has demand forecast, for the look that is due."""
        assert self._outlook is not None
        self.seat.forecast_MJB[:] = self._outlook(self.simulator.cluster())
        self.seat.control["is_foreseen"] = True

    def look(self) -> PlanView:
        """What the kernels cannot tell: the cluster as it now is, before any move."""
        cluster = self.simulator.cluster()
        return look_at(cluster, forecast_MJB=None if self._outlook is None else self._outlook(cluster))

    def _reserve(self) -> None:
        """Room in the log for all the plans that may still come."""
        inventory = self.simulator.inventory
        rounds = (DAY_MINUTES - self.simulator.minute) // inventory.settings.round_minutes + 1
        self.simulator.reserve(rounds * (self._plan_limit + largest_clump(inventory) - 1))  # a clump moves as a whole
