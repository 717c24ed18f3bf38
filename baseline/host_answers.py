"""For every host, whether a VM could go there as things are, and the first rule that forbids it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..env.model.cluster import NOWHERE
from ..env.model.cost import node_score_H
from ..env.model.rules import (
    Reason,
    Violation,
    check_move,
    check_placement,
    vm_vm_affinity,
    vm_vm_anti_affinity,
)
from ..env.model.state import State
from .effects import Change, change_of, shares_of
from .stranded import some

RESTART_RULES = (Reason.R1_MEMORY, Reason.R2_HOST_STATE, Reason.R3_VM_HOST_AFFINITY, Reason.R6_GPU)
"""What binds a VM that restarts after a failure (`env/model/restart.py`)."""


class Standing(StrEnum):
    """How a host stands to a VM."""

    HERE = "here"
    OPEN = "open"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class HostAnswer:
    """Whether a VM could go to a host as things are: `change` of the host if it did (if it left, for its own host).

    Attributes:
        rule: the first rule that blocks the host, empty where none does.
        detail: the rule's reason with its figures, or what speaks for the host.
    """

    host: str
    standing: Standing
    rule: str
    detail: str
    change: Change


def host_answers(state: State, m: int, is_ha_enforced: bool) -> tuple[HostAnswer, ...]:
    """For every host, whether m could go there alone as things are; by what rule not."""
    answers = []
    scores_now = node_score_H(state)
    for h, host in enumerate(state.inventory.hosts):
        if state.host_of_M[m] == h:
            left_R = (state.used_HR[h] - state.demand_MR[m]) / state.inventory.capacity_HR[h]
            change = Change(host.id, shares_of(state, h), tuple(float(share) for share in left_R))
            answers.append(HostAnswer(host.id, Standing.HERE, "", f"is here; node score {scores_now[h]:.3f}", change))
            continue
        after = state.moved(m, h)
        answers.append(_answer(state, after, m, h, _broken(state, after, m, h, is_ha_enforced)))
    return tuple(answers)


def restart_answers(state: State, m: int) -> tuple[HostAnswer, ...]:
    """For every host, whether m, which lost its host and is on none now, could restart there; by what rule not."""
    answers = []
    for h in range(state.inventory.host_count):
        broken = check_placement(state, m, h, is_ha_enforced=False)
        binding = tuple(violation for violation in broken if violation.reason in RESTART_RULES)
        is_hot = any(violation.reason is Reason.R8_NEW_CONTENTION for violation in broken)
        soft = [f"{state.inventory.hosts[h].id} would be contended"] if is_hot else []
        answers.append(_answer(state, state.moved(m, h), m, h, binding, soft))
    return tuple(answers)


def _answer(
    state: State, after: State, m: int, h: int, broken: Sequence[Violation], soft: Sequence[str] = ()
) -> HostAnswer:
    """The answer for a host that m is not on: what it breaks there, and what it may break as a last resort."""
    host, change = state.inventory.hosts[h].id, change_of(state, after, h)
    if broken:
        return HostAnswer(host, Standing.BLOCKED, broken[0].reason, broken[0].detail, change)
    clash = vm_vm_anti_affinity(state, m, h)
    last = [*soft, *([clash] if clash else [])]
    detail = f"{change.figures}, node score {node_score_H(after)[h]:.3f}"
    detail += f"; {' and '.join(last)}, which is a last resort" if last else ""
    return HostAnswer(host, Standing.OPEN, "", detail, change)


def _broken(state: State, after: State, m: int, h: int, is_ha_enforced: bool) -> tuple[Violation, ...]:
    """What forbids m on host h; R5, which binds whole plans, comes last."""
    if state.host_of_M[m] == NOWHERE:
        return check_placement(state, m, h, is_ha_enforced=is_ha_enforced)
    split = [Violation(Reason.R5_VM_VM_AFFINITY, f"alone: {v.detail}") for v in vm_vm_affinity(state, after)]
    return (*check_move(state, m, h, is_ha_enforced=is_ha_enforced), *split)


def told_openings(name: str, hosts: Sequence[HostAnswer]) -> str:
    """Whether anything could take it as things are: a clause."""
    others = [answer for answer in hosts if answer.standing is not Standing.HERE]
    free = [answer.host for answer in others if answer.standing is Standing.OPEN]
    if not others:
        return f"there is no other host that could take {name}"
    if len(others) == 1:
        return f"as things are, the only other host, {others[0].host}, {'could' if free else 'could not'} take {name}"
    if not free:
        return f"as things are, none of the {len(others)} other hosts could take {name}"
    return f"as things are, {len(free)} of the {len(others)} other hosts could take {name}: {some(free)}"
