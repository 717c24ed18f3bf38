"""What an episode costs: the four terms everything is judged by, in core-minutes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CostTerms:
    """The cost of some minutes; the terms add up to the total.

    Attributes:
        overload_core_minutes: demand above the threshold, CPU and storage controllers.
        unserved_core_minutes: demand above capacity, or of VMs that run nowhere.
        swap_gib_minutes: memory swapped out; a GiB-minute counts as a core-minute.
        migration_gib: memory copied; a GiB counts as a core-minute.
    """

    overload_core_minutes: float = 0.0
    unserved_core_minutes: float = 0.0
    swap_gib_minutes: float = 0.0
    migration_gib: float = 0.0

    @property
    def total(self) -> float:
        """The cost, core-minutes."""
        return self.overload_core_minutes + self.unserved_core_minutes + self.swap_gib_minutes + self.migration_gib

    def __add__(self, other: CostTerms) -> CostTerms:
        return CostTerms(
            self.overload_core_minutes + other.overload_core_minutes,
            self.unserved_core_minutes + other.unserved_core_minutes,
            self.swap_gib_minutes + other.swap_gib_minutes,
            self.migration_gib + other.migration_gib,
        )

    def __sub__(self, other: CostTerms) -> CostTerms:
        return CostTerms(
            self.overload_core_minutes - other.overload_core_minutes,
            self.unserved_core_minutes - other.unserved_core_minutes,
            self.swap_gib_minutes - other.swap_gib_minutes,
            self.migration_gib - other.migration_gib,
        )
