"""What an episode costs: the four terms everything is judged by, in core-minutes."""

from __future__ import annotations

from dataclasses import astuple, dataclass


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
        return sum(astuple(self))

    def __add__(self, other: CostTerms) -> CostTerms:
        return CostTerms(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: CostTerms) -> CostTerms:
        return CostTerms(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))
