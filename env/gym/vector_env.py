"""Many clusters stepped in one compiled call, into arrays that the caller may own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ..model.cluster import BoolArray
from ..model.placement import place
from ..model.planner import Planner
from ..world.arrays import Term
from ..world.clock_kernels import ENDED, HAPPEN, START
from ..world.migration import WorldSettings
from ..world.scenario import MIXED
from ..world.waiting import Placer
from .cluster_env import PLAN_LIMIT, observation_space
from .features import features
from .fleet import FleetCluster, FleetDay, fleet_day
from .fleet_arrays import TOLD, listed, new_board, new_seats, sit_down
from .fleet_kernels import BEGIN, BOOK, FORECAST, FORESEEN, GO_ON, LIST, LOOK, PLAN, RESUME, STEP, run
from .generator import Generator, TraceGenerator
from .reward import REWARD_TERMS
from .shortlist import SLOTS, shortlist
from .view import Outlook, PlanView

Observations = dict[str, npt.NDArray[np.float32]]
TERMS = tuple(term.name.lower() for term in Term)
assert TERMS == REWARD_TERMS
SERVICES = {HAPPEN: "events", START: "starts", FORECAST: "forecasts", LOOK: "looks", LIST: "lists", PLAN: "plans"}
"""Why the kernels stop and Python goes on; for the last three only the numpy twin knows what is allowed."""


class ClusterVectorEnv(VectorEnv[Observations, npt.NDArray[np.int64], npt.NDArray[Any]]):
    """E clusters of `quell/Cluster-v0`, each on a day of its own, whatever their sizes.

    Cluster e does, seeded with s + e, what `ClusterEnv` does with seed s + e and the same actions, step by step. What
    happens minute by minute, shortlists, features and rewards are compiled and done for all clusters in one call;
    events and what else is rare are done in Python, for that cluster and that moment only.

    A cluster whose day is over goes on to its next day in the same step (`SAME_STEP`): observation and mask are those
    of the new day, `infos["final_obs"]` and `infos["final_info"]` those of the old one's end.

    Args:
        generator: draws the episodes; default: synthetic clusters of 4-24 hosts, scenario `mixed`.
        num_envs: E.
        slots: K, the number of moves on offer at most.
        plan_limit: moves after which a plan is carried out.
        skip_quiet_rounds: whether time goes on by itself while there is nothing to choose.
        twin: planner that the twins follow; None: they do nothing. A twin's day is played before the agent's.
        world: constants of migration and of starting VMs.
        placer: finds hosts for VMs that arrive.
        outlook: forecasts demand of the hour to come, called in Python at every look; None: the last hour.
        episodes_per_pool: 0: every day is drawn anew. Else so many are drawn at the seeded reset, and every cluster
            plays those, at random, again and again: drawing a day takes longer than playing it.
        buffers: arrays of the caller that results are written to, by name: `candidates` (E, K + 1, F) and `context`
            (E, C), float32; `mask` (E, K + 1) and `truncated` (E,), bool; `rewards` (E,), float64. What is not given is
            made, and handed out as copies.

    Attributes:
        board: what the kernels write to.
        served: how often Python had to do something for a cluster, by what it was (`SERVICES`).
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        generator: Generator | None = None,
        num_envs: int = 1,
        *,
        slots: int = SLOTS,
        plan_limit: int = PLAN_LIMIT,
        skip_quiet_rounds: bool = True,
        twin: Planner | None = None,
        world: WorldSettings | None = None,
        placer: Placer = place,
        outlook: Outlook | None = None,
        episodes_per_pool: int = 0,
        buffers: dict[str, npt.NDArray[Any]] | None = None,
    ) -> None:
        for name, value in (("num_envs", num_envs), ("slots", slots), ("plan_limit", plan_limit)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if episodes_per_pool < 0:
            raise ValueError(f"episodes_per_pool is {episodes_per_pool}; it must be at least 0")
        self.num_envs, self.render_mode = num_envs, None
        self.single_observation_space = observation_space(slots)
        self.single_action_space = spaces.Discrete(slots + 1)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generator = generator if generator is not None else TraceGenerator(scenario=MIXED)
        self._slots, self._plan_limit, self._skips_quiet = slots, plan_limit, skip_quiet_rounds
        self._twin, self._world, self._placer, self._outlook = twin, world, placer, outlook
        self.board, self._owned = new_board(num_envs, slots, buffers), frozenset(buffers or {})
        self._boards = listed(self.board)
        self._episodes_per_pool, self._pool = episodes_per_pool, list[FleetDay]()
        self._rng_E = [seeding.np_random()[0] for _ in range(num_envs)]
        self._clusters = list[FleetCluster]()
        self._seats: Any = None
        self.served = dict.fromkeys(SERVICES.values(), 0)

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begins a day on every cluster.

        Args:
            seed: s seeds cluster e with s + e; or one for each. None goes on with the present generators.
            options: none are known.

        Raises:
            ValueError: an option is given, or not one seed for each cluster.
        """
        for key in options or {}:
            raise ValueError(f"reset option {key!r} is unknown; there is none")
        if seed is not None:
            seeds = [seed + e for e in range(self.num_envs)] if isinstance(seed, int) else list(seed)
            if len(seeds) != self.num_envs:
                raise ValueError(f"there are {len(seeds)} seeds for {self.num_envs} clusters")
            self._rng_E = [seeding.np_random(s)[0] for s in seeds]
        if self._episodes_per_pool and (seed is not None or not self._pool):
            self._pool = [self._drawn(self._rng_E[0]) for _ in range(self._episodes_per_pool)]
        self._clusters = [self._next_cluster(e) for e in range(self.num_envs)]
        self._seats = new_seats(self._clusters[0].seat, self.num_envs)
        for e in range(self.num_envs):
            self._begin(e)
        return self._observations(), self._infos()

    def step(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[Observations, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """One step of every cluster; those whose day is over go on to the next."""
        board = self.board
        board.action_E[:] = actions
        board.phase_E[:], board.is_new_E[:] = STEP, False
        if run(self._seats, self._boards, 0, self.num_envs):
            for e in np.flatnonzero(board.stop_E != ENDED).tolist():
                self._serve(e)
        infos = self._infos()
        over = board.is_over_E.nonzero()[0]
        if over.size:
            infos |= self._finals(over)
            rewards_E, is_over_E = board.rewards_E.copy(), board.is_over_E.copy()
            for e in over.tolist():
                self._clusters[e].leave()
                self._clusters[e] = self._next_cluster(e)
                self._begin(e)
            board.rewards_E[:], board.is_over_E[:] = rewards_E, is_over_E
        rewards_E, truncated_E = self._handed("rewards", board.rewards_E), self._handed("truncated", board.is_over_E)
        return self._observations(), rewards_E, np.zeros(self.num_envs, dtype=np.bool_), truncated_E, infos

    def cluster(self, e: int) -> FleetCluster:
        """A cluster, for those who want to know more of it: its simulator, its arrays."""
        return self._clusters[e]

    def action_masks(self) -> BoolArray:
        """Allowed actions, True = allowed; shape (E, K + 1)."""
        return self.board.mask_ES.copy()

    def _drawn(self, rng: np.random.Generator) -> FleetDay:
        """A new day, with the twin's course."""
        return fleet_day(self._generator(rng), self._world, self._twin, self._placer)

    def _next_cluster(self, e: int) -> FleetCluster:
        """The next day of a cluster: of the pool, or drawn."""
        rng = self._rng_E[e]
        day = self._pool[rng.integers(len(self._pool))] if self._pool else self._drawn(rng)
        limits = self._plan_limit, self._skips_quiet
        return FleetCluster(day, self._world, self._placer, *limits, self._outlook)

    def _begin(self, e: int) -> None:
        """Sits the cluster of e down and goes to its first choice."""
        self.board.told_E[e] = np.zeros(1, dtype=self.board.told_E.dtype)[0]
        sit_down(self._seats, e, self._clusters[e].seat)
        self.board.is_new_E[e] = True
        self._run(e, BEGIN)
        self._serve(e)

    def _run(self, e: int, phase: int) -> None:
        """Has the kernels go on with one cluster."""
        self.board.phase_E[e] = phase
        run(self._seats, self._boards, e, e + 1)

    def _serve(self, e: int) -> None:
        """Does in Python what the kernels have stopped for, until the step of this cluster has ended."""
        cluster = self._clusters[e]
        while (stop := int(self.board.stop_E[e])) != ENDED:
            self.served[SERVICES[stop]] += 1
            if stop in (HAPPEN, START):
                if cluster.attend(stop):
                    sit_down(self._seats, e, cluster.seat)
                self._run(e, RESUME)
            elif stop == FORECAST:
                cluster.foresee()
                self._run(e, FORESEEN)
            elif stop == LOOK:
                self._look(e)
            else:
                self._plan(e, is_added=stop == LIST)

    def _look(self, e: int) -> None:
        """Looks at a cluster; time goes on where there is no choice."""
        cluster = self._clusters[e]
        view = cluster.look()
        self._list(e, view)
        if cluster.simulator.is_done or not self._skips_quiet or self.board.mask_ES[e, 1:].any():
            self._end(e, view)
        else:
            self._run(e, GO_ON)

    def _plan(self, e: int, *, is_added: bool) -> None:
        """Takes the action on a plan that is made in Python; its move may have been added by the kernels already."""
        cluster, board = self._clusters[e], self.board
        if is_added:
            view, is_move = self._rebuilt(cluster), True
        else:
            assert cluster.view is not None and cluster.listed is not None
            action, told = int(board.action_E[e]), board.told_E[e : e + 1]
            move = cluster.listed.move(action)
            view, is_move = cluster.view if move is None else cluster.view.after(*move), move is not None
            told["moves"], told["is_masked_action"] = 0, action != 0 and not is_move
        if is_move:
            self._list(e, view)
            is_full = len(view.moves) >= self._plan_limit
            if not is_full and (board.mask_ES[e, 1:].any() or not self._skips_quiet):
                self._end(e, view)
                return
        cluster.seat.control["is_python"] = False
        cluster.view = cluster.listed = None
        if not cluster.simulator.is_done:
            violations = cluster.simulator.execute(view.plan("agent"))
            board.told_E[e : e + 1]["moves"] = 0 if violations else len(view.moves)
        self._run(e, GO_ON)

    def _rebuilt(self, cluster: FleetCluster) -> PlanView:
        """The plan that the kernels have begun, as a view."""
        view = cluster.look()
        for m, target in cluster.seat.chosen_L2[: cluster.seat.plan.number_X[0]].tolist():
            if view.round.is_free_M[m]:  # else it goes with its lead
                view = view.after(m, target)
        return view

    def _list(self, e: int, view: PlanView) -> None:
        """Puts the shortlist of a view on the board."""
        board, listed = self.board, shortlist(view, self._slots)
        board.movable_EK[e], board.target_EK[e] = listed.movable_K, listed.target_K
        board.kind_EK[e], board.mask_ES[e] = listed.kind_K, listed.mask_S
        self._clusters[e].view, self._clusters[e].listed = view, listed

    def _end(self, e: int, view: PlanView) -> None:
        """Ends the step of a cluster whose plan is made in Python."""
        board, cluster = self.board, self._clusters[e]
        assert cluster.listed is not None
        cluster.seat.control["is_python"] = True
        board.candidates_ESF[e], board.context_EC[e] = features(view, cluster.listed)
        board.told_E[e : e + 1]["waiting_vms"] = view.round.waiting_count
        self._run(e, BOOK)

    def _observations(self) -> Observations:
        """What the agent sees of all clusters."""
        board = self.board
        return {
            "candidates": self._handed("candidates", board.candidates_ESF),
            "context": self._handed("context", board.context_EC),
            "mask": board.mask_ES.astype(np.float32),
        }

    def _handed(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The caller's own array, or a copy of ours."""
        return values if name in self._owned else values.copy()

    def _infos(self) -> dict[str, Any]:
        """What `ClusterEnv` tells in `info`, an array each; costs and rewards by term, shape (E, 4)."""
        told_E = self.board.told_E.view(np.uint8).copy().view(TOLD)  # faster than field by field
        return {name: told_E[name] for name in TOLD.names or ()}

    def _finals(self, over: npt.NDArray[np.int64]) -> dict[str, Any]:
        """Observations and infos at the end of the days that are over, as Gymnasium wants them."""
        is_over_E = np.zeros(self.num_envs, dtype=np.bool_)
        is_over_E[over] = True
        final_E, board = np.full(self.num_envs, None, dtype=object), self.board
        for e in over.tolist():
            final_E[e] = {
                "candidates": board.candidates_ESF[e].copy(),
                "context": board.context_EC[e].copy(),
                "mask": board.mask_ES[e].astype(np.float32),
            }
        told = {name: np.where(_over(is_over_E, values), values, 0) for name, values in self._infos().items()}
        told |= {f"_{name}": is_over_E.copy() for name in list(told)}
        return {"final_obs": final_E, "_final_obs": is_over_E, "final_info": told, "_final_info": is_over_E.copy()}


def _over(is_over_E: BoolArray, values: npt.NDArray[Any]) -> BoolArray:
    """The mask in a form that goes with the values."""
    return is_over_E.reshape(-1, *(1,) * (values.ndim - 1))
