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
from ..env.model.state import State, state_of


@dataclass(frozen=True)
class WholePlans:
    """A planner whose plans are judged by `validate`; in the place of one that is not valid others' plan is given.

    A refusal breaks no rule; but where hosts are left contended it is no answer either, as others may find a plan.

    Attributes:
        rules: who is asked.
        fallback: who answers where the rules refuse or their plan is not valid; where its plan is not valid either,
            nothing moves.
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
        """The rules' plan if it is valid and leaves nothing, else the fallback's, else none."""
        before = state_of(cluster)
        plan = self.rules.plan(cluster)
        why = self._objection(before, plan)
        if not why:
            return plan
        answer = self.fallback.plan(cluster)
        reason = f"{why}, so {self.fallback.name} answers: {answer.reason}"
        if validate(before, answer):
            reason = f"{why}, and the plan of {self.fallback.name} is not valid either: no move"
            answer = Plan(cluster.name, self.name, Status.REFUSED, reason, answer.contentions)
        seconds = plan.solve_seconds + answer.solve_seconds  # without those in which the fallback loads its kernels
        return replace(answer, planner=self.name, reason=reason, solve_seconds=seconds)

    def _objection(self, before: State, plan: Plan) -> str:
        """Why the rules' plan does not do; empty where it does."""
        broken = validate(before, plan)
        if broken and validate(before, plan, must_resolve=False):
            return f"the plan of {self.name} breaks a rule ({broken[0]})"
        if not broken and plan.status is not Status.REFUSED:
            return ""
        left = int(np.count_nonzero(unresolved_H(replay(before, plan))))
        hosts = f"{left} contended host{'' if left == 1 else 's'}"
        if broken:
            return f"{self.name} would relieve only part and leave {hosts}"
        return f"{self.name} finds no move ({plan.reason}) and leaves {hosts}" if left else ""
