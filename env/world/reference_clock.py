"""The clock in numpy: the twin of `clock_kernels.py`, which the tests hold it to.

Minutes without a migration are metered many at a time, up to the next minute in which something changes.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import TOLERANCE, Array
from .arrays import Now, Term, day_of
from .clock_kernels import ENDED, HAPPEN
from .migrations import Migrations
from .present import Present
from .workload import DAY_MINUTES


class ReferenceClock:
    """Plays minutes as `play` does, on the same arrays.

    Args:
        present: who is where.
        migrations: what is on its way.
        now: the arrays.
    """

    def __init__(self, present: Present, migrations: Migrations, now: Now) -> None:
        self._present, self._migrations, self._now = present, migrations, now
        self._day = day_of(present.episode)

    def play(self, end_minute: int) -> int:
        """Plays minutes up to `end_minute`, or to what has to be done first; returns why it stopped."""
        clock = self._now.clock[0]
        while clock["minute"] < end_minute:
            minute, is_busy = int(clock["minute"]), self._migrations.is_busy
            until = minute + 1 if is_busy else self._next_change(minute, end_minute)
            used_THK = self._demand_THK(minute, until)
            if is_busy:
                self._migrations.minute(minute, used_THK[0])
            self._meter(minute, until, used_THK)
            if clock["has_resizes"] and not self._migrations.is_busy:
                return HAPPEN
            if until < DAY_MINUTES and (clock["is_watched"] or until >= clock["next_happening"]):
                return HAPPEN
            if until < DAY_MINUTES and until % self._day.memory_minutes == 0:
                self._migrations.share_memory(until)
        return ENDED

    def _next_change(self, minute: int, end: int) -> int:
        """The minute up to which nothing changes but demand, at most `end`."""
        if self._present.overcommit.size:
            end = min(end, (minute // self._day.memory_minutes + 1) * self._day.memory_minutes)
        return max(minute + 1, min(end, int(self._now.clock[0]["next_happening"])))

    def _window(self, minute: int, end: int) -> slice:
        """These minutes of the day as columns of the episode's demand."""
        history = self._day.history_minutes
        return slice(history + minute, history + end)

    def _demand_THK(self, minute: int, end: int) -> Array:
        """Demand on each host in these minutes; K = CPU, storage; shape (T, H, K), cores."""
        episode, present = self._present.episode, self._present
        V, H, window = episode.inventory.vm_count, episode.inventory.host_count, self._window(minute, end)
        storage_MT = episode.storage_MN[:, window].astype(np.float64)
        on_HM = ((present.host_of_M[None, :] == np.arange(H)[:, None]) & present.runs_M(minute)).astype(np.float64)
        demand_THK = np.empty((end - minute, H, 2))
        demand_THK[:, :, 0] = (on_HM[:, :V] @ episode.cpu_VN[:, window].astype(np.float64)).T
        demand_THK[:, :, 1] = (on_HM @ storage_MT).T
        for h, minutes, extra_T in self._migrations.relocalization(minute, end, storage_MT):
            demand_THK[minutes, h, 1] += extra_T
        return demand_THK

    def _meter(self, minute: int, end: int, used_THK: Array) -> None:
        """Books these minutes with this load and moves the clock."""
        clock, cost_4, day = self._now.clock[0], self._now.cost_4, self._day
        over_THK = np.maximum(used_THK - day.threshold_HK, 0.0)
        swap_TH = self._swap_gib_TH(minute, end)
        cost_4[Term.OVERLOAD] += over_THK.sum()
        cost_4[Term.UNSERVED] += np.maximum(used_THK - day.capacity_HK, 0.0).sum() + self._unserved(minute, end)
        cost_4[Term.SWAP] += swap_TH.sum()
        clock["contended_host_minutes"] += ((over_THK > 0).any(axis=2) | (swap_TH > TOLERANCE)).sum()
        self._now.used_THK[minute:end] = used_THK
        clock["waiting_vm_minutes"] += (end - minute) * clock["waiting"]
        clock["evacuation_host_minutes"] += (end - minute) * clock["to_empty"]
        clock["minute"] = end
        self._migrations.forget(end)

    def _unserved(self, minute: int, end: int) -> float:
        """Demand in these minutes of what is on and has no host, or is not done with starting, core-minutes."""
        idle = np.flatnonzero(self._present.is_on_M & ~self._present.runs_M(minute))
        if idle.size == 0:
            return 0.0
        episode, window = self._present.episode, self._window(minute, end)
        vms = idle[idle < episode.inventory.vm_count]
        return float(episode.cpu_VN[vms, window].sum() + episode.storage_MN[idle, window].sum())

    def _swap_gib_TH(self, minute: int, end: int) -> Array:
        """Memory that is swapped out on each host in these minutes, GiB; shape (T, H)."""
        present, episode = self._present, self._present.episode
        swap_TH = np.zeros((end - minute, episode.inventory.host_count))
        vms = present.overcommit[present.runs_M(minute)[present.overcommit]]
        if vms.size == 0:
            return swap_TH
        if episode.memory_VN is None:
            need_VT = np.repeat(present.need_V(minute)[vms, None], end - minute, axis=1)
        else:
            most_V1 = episode.inventory.memory_configured_V[vms, None]
            need_VT = np.minimum(episode.memory_VN[vms, self._window(minute, end)].astype(np.float64), most_V1)
        swap_VT = np.maximum(need_VT - present.physical_V[vms, None], 0.0)
        np.add.at(swap_TH.T, present.host_of_M[vms], swap_VT)
        return swap_TH
