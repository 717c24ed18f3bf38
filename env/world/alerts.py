"""Alerts: contentions that were found and left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..model.contention import Contention, ContentionKind
from ..model.plan import Plan, Status


@dataclass(frozen=True)
class Alert:
    """A contention of a host for as long as nothing is done about it; times in seconds since the start of the day.

    Attributes:
        kind, host: what is short where.
        start_seconds: when it was found.
        end_seconds: when it was found to be gone, or a plan was made after all; None while it lasts.
        figures: how bad it was at the start.
        reason: why nothing was moved then.
    """

    kind: ContentionKind
    host: str
    start_seconds: float
    end_seconds: float | None
    figures: str
    reason: str


class Alerts:
    """Raises and ends alerts, from the answers of a planner and between them: one for each contention while it lasts.

    Attributes:
        raised: all alerts so far, in order.
    """

    def __init__(self) -> None:
        self.raised: list[Alert] = []
        self._lasting: dict[tuple[ContentionKind, str], int] = {}  # its place in `raised`

    def see(self, now_seconds: float, plan: Plan) -> None:
        """Takes note of an answer of the planner."""
        left = plan.contentions if plan.status is Status.REFUSED else ()
        self._note(now_seconds, left, plan.reason, set(self._lasting))

    def see_memory(self, now_seconds: float, short: Sequence[Contention]) -> None:
        """Takes note of the hosts that swap though their memory has been shared anew, between two rounds."""
        known = {key for key in self._lasting if key[0] is ContentionKind.MEMORY_SWAP}
        self._note(now_seconds, short, "the host lacks memory: VMs can only be moved in the next round", known)

    def _note(
        self, now_seconds: float, found: Sequence[Contention], why: str, known: set[tuple[ContentionKind, str]]
    ) -> None:
        """Raises alerts for contentions that are new, and ends those of the known ones that are gone."""
        left = {(contention.kind, contention.host): contention for contention in found}
        for key in known - left.keys():
            i = self._lasting.pop(key)
            self.raised[i] = replace(self.raised[i], end_seconds=now_seconds)
        for key, contention in left.items():
            if key not in self._lasting:
                self._lasting[key] = len(self.raised)
                self.raised.append(Alert(*key, now_seconds, None, contention.figures, why))
