"""How long a proof may take, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass, field

from .search import SearchLimits


@dataclass(frozen=True)
class ExactLimits:
    """When the proof is given up.

    Attributes:
        work: effort in CP-SAT's deterministic time, about seconds; the same on every machine.
        seconds: wall-clock limit, None for none: then the same state always gives the same plan.
        search: of the search that gives a plan to beat.
    """

    work: float = 1.0
    seconds: float | None = None
    search: SearchLimits = field(default_factory=SearchLimits)

    def __str__(self) -> str:
        return f"{self.seconds:g} seconds" if self.seconds is not None else f"{self.work:g} units of work"


@dataclass(frozen=True)
class ExactResult:
    """What is known about the cheapest plan.

    Attributes:
        moves: (movable, target host) in order; None where no plan was found.
        cost_gib: cost of the moves.
        bound_gib: no plan costs less.
        is_proven: no plan is cheaper; without moves, that there is none.
        is_proven_by_model: CP-SAT showed it, whatever the search had shown.
        reason: the same for people, a clause.
        placements: final placements that were judged.
        seconds: effort.
    """

    moves: tuple[tuple[int, int], ...] | None
    cost_gib: float
    bound_gib: float
    is_proven: bool
    is_proven_by_model: bool
    reason: str
    placements: int
    seconds: float
