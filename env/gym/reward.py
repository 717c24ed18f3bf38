"""What is good: cost avoided against a twin, in named terms.

The twin lives through the same minutes of the same episode. Demand does not depend on what anybody does, so the noise
of the trace cancels: what is left is the effect of the moves. The twin does nothing, or follows a planner.

    reward of some minutes = (cost of the twin in them - own cost in them) / scale

The scale is a share of the CPU the cluster offers in a round, so that rewards are alike whatever the size of the
cluster.
"""

from __future__ import annotations

from ..model.cluster import CPU, Inventory
from ..model.placement import place
from ..model.planner import Planner
from ..world.costs import CostTerms
from ..world.migration import WorldSettings
from ..world.rounds import Supervisor
from ..world.simulator import Simulator
from ..world.waiting import Placer
from ..world.workload import Episode

REWARD_SHARE = 0.01  # a reward of 1 is one per cent of all CPU offered in a round

Rewards = dict[str, float]
"""Terms of a reward by name (`REWARD_TERMS`); they add up to it. This is the form `info` wants them in."""

REWARD_TERMS = ("overload", "unserved", "swap", "migration")


class Twin:
    """The day as it goes without the agent.

    Args:
        episode: the same as the agent's.
        world: constants of migration, the same as well.
        planner: what the twin follows; None for doing nothing.
        placer: finds hosts for VMs that arrive, the same as well.
    """

    def __init__(
        self, episode: Episode, world: WorldSettings | None, planner: Planner | None, placer: Placer = place
    ) -> None:
        self._simulator = Simulator(episode, world, placer)
        self._supervisor = Supervisor(self._simulator, planner)

    @property
    def costs(self) -> CostTerms:
        """Cost of the day so far."""
        return self._simulator.costs

    def advance(self, minutes: int) -> CostTerms:
        """Lives through one round of this many minutes and returns its cost."""
        return self._supervisor.step(minutes)


def reward_scale(inventory: Inventory, round_minutes: int) -> float:
    """Core-minutes that make a reward of 1."""
    return REWARD_SHARE * round_minutes * float(inventory.capacity_HR[:, CPU].sum())


def reward_terms(twin: CostTerms, own: CostTerms, scale: float) -> Rewards:
    """Cost avoided, term by term, in units of `scale` core-minutes."""
    avoided = twin - own
    return {
        "overload": avoided.overload_core_minutes / scale,
        "unserved": avoided.unserved_core_minutes / scale,
        "swap": avoided.swap_gib_minutes / scale,
        "migration": avoided.migration_gib / scale,
    }
