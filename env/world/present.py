"""The present of a simulated cluster: who is where, what is on, what state hosts are in, who has how much memory.

Everything that changes during a day besides the clock is here, so that planners, metering and events look at one thing.
It is kept in the arrays of `arrays.py`, which the compiled clock changes as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from ..model.cluster import NOWHERE, Array, Cluster, HostState, Inventory, read_only
from ..model.memory import share_memory
from ..model.state import State, state_of
from .arrays import STATES, Now
from .workload import Episode


class Present:
    """What is true now.

    Args:
        episode: the cluster at minute 0, and its demand.
        now: the arrays of minute 0.

    Attributes:
        host_of_M: where each movable is, -1 for nowhere; shape (M,).
        ready_minute_V: minute from which a VM runs, as starting takes a while; shape (V,).
        physical_V: physical memory of each VM, GiB; of overcommit VMs what their host gives them; shape (V,).
    """

    def __init__(self, episode: Episode, now: Now) -> None:
        base = episode.inventory
        self.episode = episode
        self.host_of_M, self.ready_minute_V = now.host_of_M, now.ready_minute_V
        self.physical_V, self.is_on_M = now.physical_V, now.is_on_M
        self._state_H = now.state_H
        self._inventory = base
        self._is_stale = False
        self.overcommit = np.flatnonzero(base.is_overcommit_V)
        self.share(0, np.zeros(base.host_count))

    @property
    def inventory(self) -> Inventory:
        """What there is, in its present states."""
        if self._is_stale:
            known, V, is_on_M = self._inventory, self._inventory.vm_count, self.is_on_M.tolist()
            self._inventory = replace(
                known,
                hosts=tuple(
                    h if h.state is STATES[s] else replace(h, state=STATES[s])
                    for h, s in zip(known.hosts, self._state_H.tolist(), strict=True)
                ),
                vms=tuple(
                    vm if vm.is_on == is_on else replace(vm, is_on=is_on)
                    for vm, is_on in zip(known.vms, is_on_M[:V], strict=True)
                ),
                sessions=tuple(
                    s if s.is_on == is_on else replace(s, is_on=is_on)
                    for s, is_on in zip(known.sessions, is_on_M[V:], strict=True)
                ),
            )
            self._is_stale = False
        return self._inventory

    def host_state(self, h: int) -> HostState:
        """State of a host."""
        return STATES[self._state_H[h]]

    def set_host_state(self, h: int, state: HostState) -> None:
        """Changes the state of a host."""
        self._state_H[h] = STATES.index(state)
        self._is_stale = True

    def set_on(self, m: int, is_on: bool) -> None:
        """Switches a movable on or off; one that is off is nowhere."""
        self.is_on_M[m] = is_on
        self._is_stale = True
        if not is_on:
            self.host_of_M[m] = NOWHERE

    def runs_M(self, minute: int) -> np.ndarray:
        """Movables that are on, somewhere, and done with starting; shape (M,)."""
        runs_M = self.is_on_M & (self.host_of_M != NOWHERE)
        runs_M[: len(self.ready_minute_V)] &= self.ready_minute_V <= minute
        return runs_M

    def load_K(self, m: int, minute: int) -> Array:
        """CPU and storage demand of a movable in a minute, cores; shape (2,)."""
        at = self.episode.history_minutes + minute
        cpu_cores = self.episode.cpu_VN[m, at] if m < len(self.episode.cpu_VN) else 0.0
        return np.array([cpu_cores, self.episode.storage_MN[m, at]], dtype=np.float64)

    def need_V(self, minute: int) -> Array:
        """Memory each VM needed in the minute before this one, GiB; all of it where not overcommitted; shape (V,)."""
        need_V = self.episode.cluster.memory_need_V
        if self.episode.memory_VN is None or self.overcommit.size == 0:
            return need_V
        need_V = need_V.copy()
        at = self.episode.history_minutes + minute - 1
        most = self.episode.inventory.memory_configured_V[self.overcommit]
        need_V[self.overcommit] = np.minimum(self.episode.memory_VN[self.overcommit, at], most)
        return need_V

    def share(self, minute: int, reserved_gib_H: Array, given_gib: Mapping[int, float] | None = None) -> None:
        """Shares the physical memory of every host anew among its overcommit VMs.

        Args:
            minute: now.
            reserved_gib_H: memory of each host held for VMs on their way to it; shape (H,).
            given_gib: what a plan has set (VM index -> GiB).
        """
        if self.overcommit.size:
            self.physical_V[:] = share_memory(state_of(self.cluster(minute)), reserved_gib_H, given_gib)

    def cluster(self, minute: int) -> Cluster:
        """What telemetry shows at the start of a minute."""
        return self.snapshot(minute)()

    def snapshot(self, minute: int) -> Callable[[], Cluster]:
        """`cluster`, for later: what changes is kept as it is now."""
        host_of_M, memory_V = read_only(self.host_of_M.copy(), dtype=np.int64), self._memory(minute)
        return partial(self.episode.cluster_at, minute, host_of_M, inventory=self.inventory, memory_V=memory_V)

    def _memory(self, minute: int) -> tuple[Array, Array] | None:
        """Memory each VM uses and has swapped out, GiB, each of shape (V,); None where nothing is overcommitted."""
        if self.overcommit.size == 0:
            return None
        need_V = self.need_V(minute)
        usage_V, swap_V = np.zeros(len(need_V)), np.zeros(len(need_V))
        there = self.overcommit[self.host_of_M[self.overcommit] != NOWHERE]
        elsewhere = np.setdiff1d(self.overcommit, there, assume_unique=True)
        usage_V[there] = np.minimum(need_V[there], self.physical_V[there])
        swap_V[there] = need_V[there] - usage_V[there]
        usage_V[elsewhere] = need_V[elsewhere]
        return usage_V, swap_V

    def state(self, minute: int) -> State:
        """The state by the trend estimate, by which rules judge."""
        return state_of(self.cluster(minute))
