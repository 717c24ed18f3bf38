"""What people are shown of a cluster's day, whether as text or as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model.cluster import NOWHERE, Array, Host, HostState, Inventory
from ..world.costs import CostTerms
from ..world.migration import MoveRecord
from .view import PlanView

COST_COLUMNS = ("overload", "unserved", "swap", "moved", "total")


@dataclass(frozen=True, eq=False)
class Scene:
    """What is to be seen.

    Attributes:
        view: the cluster now, after the moves chosen so far.
        minute: of the day.
        used_THJ: demand on each host in the minutes so far, CPU and storage cores; shape (T, H, 2).
        log: the moves so far.
        costs: of the day so far.
        twin_costs: the twin's.
        twin: what the twin does, in words.
        course: minute, own cost and the twin's cost at the end of each round, core-minutes.
    """

    view: PlanView
    minute: int
    used_THJ: npt.NDArray[np.float32]
    log: tuple[MoveRecord, ...]
    costs: CostTerms
    twin_costs: CostTerms
    twin: str
    course: tuple[tuple[int, float, float], ...]

    @property
    def inventory(self) -> Inventory:
        """What there is."""
        return self.view.round.inventory

    @property
    def clock(self) -> str:
        """Time of day, hh:mm."""
        return f"{self.minute // 60:02d}:{self.minute % 60:02d}"

    @property
    def waiting(self) -> tuple[str, ...]:
        """VMs that are on and have no host."""
        inventory, host_of_M = self.inventory, self.view.state.host_of_M
        return tuple(vm.id for v, vm in enumerate(inventory.vms) if vm.is_on and host_of_M[v] == NOWHERE)

    @property
    def threshold_R(self) -> Array:
        """Utilization up to which a host is not contended; shape (R,)."""
        settings = self.inventory.settings
        return np.array([settings.cpu_threshold, 1.0, settings.storage_cpu_threshold])


def state_words(host: Host) -> str:
    """What state a host is in, in words; empty where it is up."""
    return {HostState.UP: "", HostState.MAINTENANCE: "maintenance", HostState.DOWN: "down"}[host.state]


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 move", "2 moves"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
