"""Plans as documents from rules that may relieve only a part: every contention is resolved, or others answer.

In simulation such rules act each quarter of an hour, and a part of a relief is worth having. A document is judged by
itself: by its contract (R9) a plan that leaves a contention is no plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..env.model.cluster import Cluster
from ..env.model.contention import unresolved_H
from ..env.model.plan import Plan, Status, replay, validate
from ..env.model.planner import Planner
from ..env.model.state import state_of


@dataclass(frozen=True)
class WholePlans:
    """A planner whose plans are judged by `validate`; in the place of one that is not valid others' plan is given.

    Attributes:
        rules: who is asked.
        fallback: who answers where the plan of the rules is not valid; where that one is not either, nothing moves.
    """

    rules: Planner
    fallback: Planner

    @property
    def name(self) -> str:
        """That of the rules: they were asked, and the reason says who answered."""
        return self.rules.name

    @property
    def observes_after_plan(self) -> bool:
        """As the rules."""
        return self.rules.observes_after_plan

    def plan(self, cluster: Cluster) -> Plan:
        """The rules' plan if it is valid, else the fallback's, else none."""
        before = state_of(cluster)
        plan = self.rules.plan(cluster)
        broken = validate(before, plan)
        if not broken:
            return plan
        why = f"the plan of {self.name} breaks a rule ({broken[0]})"
        if not validate(before, plan, must_resolve=False):
            left = int(np.count_nonzero(unresolved_H(replay(before, plan))))
            why = f"{self.name} would relieve only part and leave {left} contended host{'' if left == 1 else 's'}"
        answer = self.fallback.plan(cluster)
        reason = f"{why}, so {self.fallback.name} answers: {answer.reason}"
        if validate(before, answer):
            reason = f"{why}, and the plan of {self.fallback.name} is not valid either: no move"
            answer = Plan(cluster.name, self.name, Status.REFUSED, reason, answer.contentions)
        seconds = plan.solve_seconds + answer.solve_seconds  # without those in which the fallback loads its kernels
        return replace(answer, planner=self.name, reason=reason, solve_seconds=seconds)
