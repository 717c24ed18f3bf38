"""Other people's balancers on our clusters, judged by our rules.

They balance by design where Quell remediates, and know only some of the rules; what they break is counted, not held
against a plan's other moves: the replay goes on after a broken rule.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..env.model.contention import unresolved_H
from ..env.model.cost import migration_cost_M
from ..env.model.rules import Reason, check_move, is_ha_binding, vm_vm_affinity
from ..env.model.state import State
from . import peer_hbal, peer_proxlb

Moves = list[tuple[int, int]]


@dataclass(frozen=True)
class PeerAnswer:
    """What a peer wants, and how long it took.

    Attributes:
        moves: (movable, target host) in order; None where it found nothing in time.
        wall_seconds: what it says it took, or the life of its process.
        cpu_seconds: of its process, all threads together.
    """

    moves: Moves | None
    wall_seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Peer:
    """A balancer that is installed here."""

    name: str
    ask: Callable[[State, float], PeerAnswer]


@dataclass(frozen=True)
class Verdict:
    """What our rules say of a list of moves.

    Attributes:
        broken: how often each rule R1-R8 was broken.
        contended_hosts: hosts that still ask for moves at the end (R9).
        cost_gib: migration cost of the moves.
    """

    broken: Counter[Reason]
    contended_hosts: int
    cost_gib: float

    @property
    def is_valid(self) -> bool:
        """Whether every rule is kept and every contention resolved."""
        return not self.broken and self.contended_hosts == 0


def find_peers(proxlb_python: str | None = None) -> tuple[list[Peer], dict[str, str]]:
    """The peers that are installed, and why the others are left out, by name.

    Args:
        proxlb_python: a Python that has proxlb-solver; by default the one that runs this.

    Raises:
        QuellError: there is no such Python.
    """
    peers, missing = [], {}
    if (hbal := peer_hbal.find_hbal()) is not None:
        peers.append(Peer(peer_hbal.NAME, lambda state, seconds: _ask_hbal(state, seconds, hbal)))
    else:
        missing[peer_hbal.NAME] = "not installed (apt-get install ganeti-htools)"
    if (python := peer_proxlb.find_proxlb(proxlb_python)) is not None:
        peers.append(Peer(peer_proxlb.NAME, lambda state, seconds: _ask_proxlb(state, seconds, python)))
    else:
        missing[peer_proxlb.NAME] = f"not installed {peer_proxlb.how_to_install(proxlb_python)}"
    return peers, missing


def judge_moves(state: State, moves: Moves) -> Verdict:
    """Replays moves to the end, whatever they break, and counts it."""
    is_ha_enforced, cost_M = is_ha_binding(state), migration_cost_M(state)
    broken: Counter[Reason] = Counter()
    after, cost_gib = state, 0.0
    for m, target in moves:
        broken.update(v.reason for v in check_move(after, m, target, is_ha_enforced=is_ha_enforced))
        after = after.moved(m, target)
        cost_gib += float(cost_M[m])
    broken.update(v.reason for v in vm_vm_affinity(state, after))
    return Verdict(broken, int(np.count_nonzero(unresolved_H(after))), cost_gib)


def _ask_hbal(state: State, seconds: float, program: str) -> PeerAnswer:
    started, cpu = time.perf_counter(), _children_seconds()
    moves = peer_hbal.hbal_moves(state, seconds, program)
    return PeerAnswer(moves, time.perf_counter() - started, _children_seconds() - cpu)


def _ask_proxlb(state: State, seconds: float, python: str) -> PeerAnswer:
    cpu = _children_seconds()
    moves, wall_seconds = peer_proxlb.proxlb_moves(state, seconds, python)
    return PeerAnswer(moves, wall_seconds, _children_seconds() - cpu)


def _children_seconds() -> float:
    """CPU seconds of the processes this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
