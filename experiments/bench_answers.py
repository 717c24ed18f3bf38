"""Answers of planners and peers to the clusters of `quell bench plan`, and the rows of figures they add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..env.model.plan import Status

SAME_COST_GIB = 0.01  # documents round to two decimals


@dataclass(frozen=True)
class Answer:
    """One planner's or peer's answer to one cluster.

    Attributes:
        group, cluster, hosts: the cluster's group, name and size.
        planner: who answers.
        status: of the plan; peers are `planned` or `refused`.
        is_proven: whether the planner claims a proof of its cost, or of its refusal.
        broken: how often each rule is broken, by name.
        contended_hosts: hosts that ask for moves at the end.
        best_gib: the cheapest cost known, None where none is.
        is_refusal_right: False where a plan is known or proven to exist and none was given, or the other way round.
        seed: that a fresh cluster is drawn by; None for a snapshot.
    """

    group: str
    cluster: str
    hosts: int
    planner: str
    status: str
    is_proven: bool
    cost_gib: float
    moves: int
    wall_seconds: float
    cpu_seconds: float
    broken: dict[str, int] = field(default_factory=dict)
    contended_hosts: int = 0
    best_gib: float | None = None
    is_refusal_right: bool = True
    seed: int | None = None

    @property
    def is_valid_plan(self) -> bool:
        """Whether it is a plan that keeps every rule and resolves everything."""
        return self.status == Status.PLANNED and not self.broken and self.contended_hosts == 0

    @property
    def ratio(self) -> float | None:
        """Cost by the optimum's, below 1 where it is cheaper; None without a valid plan or a known optimum."""
        if not self.is_valid_plan or self.best_gib is None:
            return None
        if abs(self.cost_gib - self.best_gib) <= SAME_COST_GIB:
            return 1.0
        return self.cost_gib / max(self.best_gib, 1e-9)

    @property
    def is_wrongly_proven(self) -> bool:
        """Whether it claims a proof, and a cheaper plan, or any plan at all, is known."""
        is_beaten = self.ratio is not None and self.ratio > 1
        return self.is_proven and (is_beaten or (self.status == Status.REFUSED and not self.is_refusal_right))


def _by(answers: Sequence[Answer]) -> dict[tuple[str, str], list[Answer]]:
    """Answers by group and planner, in the order in which they came."""
    grouped: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        grouped.setdefault((answer.group, answer.planner), []).append(answer)
    return grouped


def planner_rows(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """One row a group and planner."""
    rows = []
    for (group, planner), mine in _by(answers).items():
        refused = [a for a in mine if a.status == Status.REFUSED]
        row = {
            "group": group,
            "planner": planner,
            "clusters": len(mine),
            "planned": sum(a.status == Status.PLANNED for a in mine),
            "refused_proven": sum(a.is_proven for a in refused),
            "refused_at_limit": sum(not a.is_proven for a in refused),
            "wrongly_refused": sum(not a.is_refusal_right for a in refused),
            "wrongly_proven": sum(a.is_wrongly_proven for a in mine),
            "violations": sum(sum(a.broken.values()) for a in mine),
        }
        rows.append(row | _quality(mine) | _seconds(mine))
    return rows


def _quality(answers: Sequence[Answer]) -> dict[str, Any]:
    """Cost against the optimum; None where no optimum is known."""
    ratios = [answer.ratio for answer in answers if answer.ratio is not None]
    return {
        "optimum_known": sum(a.best_gib is not None and a.status == Status.PLANNED for a in answers),
        "share_at_optimum": float(np.mean([ratio <= 1.0 for ratio in ratios])) if ratios else None,
        "worst_cost_ratio": max(ratios) if ratios else None,
    }


def _seconds(answers: Sequence[Answer]) -> dict[str, float]:
    """Median and 95th percentile of the seconds a plan takes."""
    figures = {}
    for kind in ("wall", "cpu"):
        spent = [getattr(answer, f"{kind}_seconds") for answer in answers]
        figures[f"median_{kind}_seconds"] = float(np.median(spent))
        figures[f"p95_{kind}_seconds"] = float(np.quantile(spent, 0.95))
    return figures


def peer_rows(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """One row a group and planner, over the clusters that everybody was asked about."""
    rows = []
    for (group, planner), mine in _by(answers).items():
        rules: Counter[str] = Counter()
        for answer in mine:
            rules.update(answer.broken)
        row = {
            "group": group,
            "planner": planner,
            "clusters": len(mine),
            "valid_plans": sum(a.is_valid_plan for a in mine),
            "moves": sum(a.moves for a in mine),
            "cost_gib": sum(a.cost_gib for a in mine),
            "hosts_still_contended": sum(a.contended_hosts for a in mine),
            "rules_broken": dict(sorted(rules.items())),
        }
        rows.append(row | _quality(mine) | _seconds(mine))
    return rows
