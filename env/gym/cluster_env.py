"""`quell/Cluster-v0`: a day in the life of a cluster, one move after another."""

from __future__ import annotations

from typing import Any, Literal, cast

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from ..model.cluster import BoolArray
from ..model.placement import place
from ..model.planner import Planner
from ..model.rules import Violation
from ..world.costs import CostTerms
from ..world.migration import WorldSettings
from ..world.scenario import MIXED
from ..world.simulator import Simulator
from ..world.waiting import Placer
from .features import LIMIT, SCHEMA, features
from .generator import Generator, TraceGenerator
from .picture import render_image
from .render import render_text
from .reward import REWARD_TERMS, Rewards, Twin, reward_scale, reward_terms
from .scene import Scene
from .shortlist import SLOTS, Shortlist, all_pairs, is_quiet, shortlist
from .view import Outlook, PlanView, look_at

Observation = dict[str, npt.NDArray[np.float32]]

PLAN_LIMIT = 8  # moves of one plan


class ClusterEnv(gymnasium.Env[Observation, np.int64]):
    """Keeps the hosts of a cluster out of contention for a day, moving as few gibibytes as possible.

    ## Description
    Demand of VMs changes minute by minute; hosts whose CPU or storage controllers are asked for more than a threshold
    cost, and so do memory that is swapped out, demand that is not served, and every GiB moved. Once a round (15
    minutes) the agent puts a plan together, one move a step; *stop* has it carried out, and time goes on to the next
    round. Moves take time, two at once; while some are under way no plan is asked for.

    What else can happen depends on the generator; nothing of it depends on the agent, only what it leads to:

    * VMs arrive and leave; sessions are opened. Hosts for them are not the agent's to choose: the placer finds one, or
      the VM waits and is unserved. `info["waiting_vms"]` counts those that wait.
    * Hosts fail and come back, empty. VMs that are restarted after failures (`ha`) go to others at once where there is
      room; the rest wait for their host.
    * Hosts are to be serviced: the agent has two hours to empty them. Whatever is still there then is stopped, and
      unserved until the host is back.
    * Memory of VMs may be overcommitted: every host shares its memory anew every two minutes, and what is needed above
      it is swapped out.
    * VMs may have vGPUs, which bind them to hosts with room on a GPU; memory may be reserved for restarts (R7).

    ## Action space
    `Discrete(K + 1)`: 0 is *stop*, k > 0 the move in slot k of the shortlist (K = 64 by default). Empty slots are
    masked: `action_masks()`, True = allowed, slot 0 always. Every move on offer keeps the rules R1-R8 of the contract.
    VMs that an affinity rule (R5) ties to one another on their host are one choice: all of them move, one by one.
    A masked action is taken as *stop* and reported in `info["is_masked_action"]`. With `action="pairs"`, for small
    clusters, slot 1 + m * H + h is the move of movable m (VMs, then sessions) to host h, always the same one.

    ## Observation space
    `Dict`: `candidates` (K + 1, F), the features of stop and of each move; `context` (C,), those of the cluster;
    `mask` (K + 1,), 1 = allowed. The names of the features are in `quell.env.gym.features.SCHEMA`; all are free of
    scale and lie in [-5, 5]. They show telemetry of the past, the states of hosts, what is short and what is reserved;
    of what is yet to happen they show nothing.

    ## Rewards
    The cost avoided since the last step against a twin that lives through the same day: (cost of the twin - own cost) /
    scale, scale being 1 % of the CPU the cluster offers in a round. Steps that only add a move give 0. The twin does
    nothing, or follows the planner given. `info["rewards"]` names the terms: overload, unserved, swap, migration. Over
    an episode they add up to the whole difference.

    ## Starting state
    Minute 0 of a day, with telemetry of the hours before, or the first round after it that is not quiet. Cluster and
    demand come from the generator, fed by the env's seed.

    ## Episode end
    Truncated when the day is over (96 rounds); never terminated, for a cluster's life goes on.

    ## Information
    `minute` of the day; `costs` and `twin_costs` of the day so far (`CostTerms`); `rewards`; `moves` handed to the
    hosts with this step, and the `violations` for which they were refused (none, as long as masks are kept);
    `is_masked_action`; `waiting_vms`, how many VMs are on and have no host.

    ## Arguments
    `reset(options={"generator": ...})` changes the generator from then on. To the constructor:

    Args:
        generator: draws the episodes; default: synthetic clusters of 4-24 hosts, scenario `mixed`.
        action: `shortlist` or `pairs`.
        slots: K, the number of moves on offer at most.
        plan_limit: moves after which a plan is carried out (a clump that comes last may bring a few more).
        skip_quiet_rounds: whether time goes on by itself while there is nothing to choose: no host is near a threshold
            in any scenario of the outlook, none lacks memory or is to be emptied, or no move is allowed. Rewards of the
            rounds passed over add up.
        twin: planner that the twin follows; None: it does nothing.
        world: constants of migration and of starting VMs.
        placer: finds hosts for VMs that arrive, on the twin's day too; by default without rearranging others.
        outlook: what demand may be in the hour to come, in the place of the last hour's.
        render_mode: `ansi` (text) or `rgb_array` (picture).

    ## Version history
    * v0: first version; features of schema 2 (memory, GPUs, HA, who waits) since failures, arrivals and maintenance, of
      schema 3 (what a move is worth by the outlook) since there are forecasts; VMs that R5 ties together, which could
      not be moved, are one choice. Not released yet: from the first release on, other episodes are another version.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}

    def __init__(
        self,
        generator: Generator | None = None,
        *,
        action: Literal["shortlist", "pairs"] = "shortlist",
        slots: int = SLOTS,
        plan_limit: int = PLAN_LIMIT,
        skip_quiet_rounds: bool = True,
        twin: Planner | None = None,
        world: WorldSettings | None = None,
        placer: Placer = place,
        outlook: Outlook | None = None,
        render_mode: str | None = None,
    ) -> None:
        if action not in ("shortlist", "pairs"):
            raise ValueError(f"action is {action!r}; it must be shortlist or pairs")
        for name, value in (("slots", slots), ("plan_limit", plan_limit)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode is {render_mode!r}; it must be one of {', '.join(self.metadata['render_modes'])}"
            )
        self.render_mode = render_mode
        self.action_space = spaces.Discrete(slots + 1)
        self.observation_space = observation_space(slots)
        self._view: PlanView
        self._listed: Shortlist
        self._course: list[tuple[int, float, float]]  # minute, own cost and the twin's so far
        self._generator = generator if generator is not None else TraceGenerator(scenario=MIXED)
        self._offer = shortlist if action == "shortlist" else all_pairs
        self._slots, self._plan_limit, self._skip_quiet_rounds = slots, plan_limit, skip_quiet_rounds
        self._twin_planner, self._world, self._placer, self._outlook = twin, world, placer, outlook

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draws an episode and goes to its first choice.

        Raises:
            ValueError: an option is unknown, or the cluster is too large for `action="pairs"`.
        """
        super().reset(seed=seed)
        for key in options or {}:
            if key != "generator":
                raise ValueError(f"reset option {key!r} is unknown; the only one is 'generator'")
        self._generator = (options or {}).get("generator", self._generator)
        episode = self._generator(self.np_random)
        self._round_minutes = episode.cluster.inventory.settings.round_minutes
        self._scale = reward_scale(episode.cluster.inventory, self._round_minutes)
        self._simulator = Simulator(episode, self._world, self._placer)
        self._twin = Twin(episode, self._world, self._twin_planner, self._placer)
        self._booked = (CostTerms(), CostTerms())  # costs of twin and own day that rewards have been given for
        self._course = [(0, 0.0, 0.0)]
        if self._is_settled():
            self._advance()
        return self._observation(), self._info(dict.fromkeys(REWARD_TERMS, 0.0))

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Adds a move to the plan, or has the plan carried out and goes on to the next choice."""
        move = self._listed.move(int(action))
        moves = 0
        violations: tuple[Violation, ...] = ()
        if move is not None:
            self._view = self._view.after(*move)
            self._listed = self._offer(self._view, self._slots)
        if move is None or self._is_complete():
            moves, violations = self._carry_out()
            self._advance()
        rewards = self._rewards()
        info = self._info(rewards, moves, violations) | {"is_masked_action": move is None and int(action) != 0}
        return self._observation(), self._reward(rewards), False, self._simulator.is_done, info

    def action_masks(self) -> BoolArray:
        """Allowed actions, True = allowed; shape (K + 1,)."""
        return self._listed.mask_S.copy()

    def render(self) -> Any:
        """The cluster, the plan and the day so far: text (`ansi`) or a picture (`rgb_array`: (h, w, 3) uint8)."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render() needs a render_mode: gymnasium.make(..., render_mode='ansi' or 'rgb_array')"
            )
            return None
        scene = Scene(
            view=self._view,
            minute=self._simulator.minute,
            used_THJ=self._simulator.used_THR[: self._simulator.minute],
            log=tuple(self._simulator.log),
            costs=self._simulator.costs,
            twin_costs=self._twin.costs,
            twin=self._twin_planner.name if self._twin_planner is not None else "doing nothing",
            course=tuple(self._course),
        )
        return render_text(scene) if self.render_mode == "ansi" else render_image(scene)

    def _look(self) -> None:
        """Looks at the cluster as it now is: an empty plan, and what is on offer."""
        cluster = self._simulator.cluster()
        self._view = look_at(cluster, forecast_MJB=self._outlook(cluster) if self._outlook is not None else None)
        self._listed = self._offer(self._view, self._slots)

    def _is_complete(self) -> bool:
        """Whether no move can be added to the plan."""
        return len(self._view.moves) >= self._plan_limit or (self._skip_quiet_rounds and self._listed.is_empty)

    def _is_settled(self) -> bool:
        """Whether time goes on by itself: moves are under way, or the round is quiet."""
        if self._simulator.is_busy:
            return True
        self._look()
        return self._skip_quiet_rounds and (self._listed.is_empty or is_quiet(self._view))

    def _carry_out(self) -> tuple[int, tuple[Violation, ...]]:
        """Hands the plan to the simulator; returns the number of moves that it takes, and what the plan breaks."""
        if self._simulator.is_done:  # a day without any choice
            return 0, ()
        plan = self._view.plan("agent")
        violations = self._simulator.execute(plan)
        return (0 if violations else len(plan.moves)), violations

    def _advance(self) -> None:
        """Lets rounds pass until the agent has a choice, or the day is over."""
        while not self._simulator.is_done:
            self._simulator.advance(self._round_minutes)
            self._twin.advance(self._round_minutes)
            self._course.append((self._simulator.minute, self._simulator.costs.total, self._twin.costs.total))
            if not self._simulator.is_done and not self._is_settled():
                return
        self._look()

    def _rewards(self) -> Rewards:
        """Cost avoided since the last step, by term; books it."""
        twin, own = self._twin.costs, self._simulator.costs
        rewards = reward_terms(twin - self._booked[0], own - self._booked[1], self._scale)
        self._booked = (twin, own)
        return rewards

    def _reward(self, rewards: Rewards) -> float:
        """The terms weigh the same: they are all core-minutes."""
        return sum(rewards.values())

    def _observation(self) -> Observation:
        """What the agent sees."""
        candidates_SF, context_C = features(self._view, self._listed)
        return {"candidates": candidates_SF, "context": context_C, "mask": self._listed.mask_S.astype(np.float32)}

    def _info(self, rewards: Rewards, moves: int = 0, violations: tuple[Violation, ...] = ()) -> dict[str, Any]:
        """What people and logs want to know beside the observation."""
        return {
            "minute": self._simulator.minute,
            "costs": self._simulator.costs,
            "twin_costs": self._twin.costs,
            "rewards": rewards,
            "moves": moves,
            "violations": violations,
            "is_masked_action": False,
            "waiting_vms": self._view.round.waiting_count,
        }


def observation_space(slots: int) -> spaces.Space[Observation]:
    """The space of `Dict` observations for K slots."""
    space = spaces.Dict(
        {
            "candidates": spaces.Box(-LIMIT, LIMIT, (slots + 1, len(SCHEMA.candidate)), np.float32),
            "context": spaces.Box(-LIMIT, LIMIT, (len(SCHEMA.context),), np.float32),
            "mask": spaces.Box(0.0, 1.0, (slots + 1,), np.float32),
        }
    )
    return cast("spaces.Space[Observation]", space)  # gymnasium types a Dict's values as Any
