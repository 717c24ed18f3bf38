"""Emptying a host in maintenance: an order that somebody gave, not a trade-off that a policy may weigh.

So while such a host is not empty the rules are asked first, served or in training. They can also move VMs that a VM-VM
affinity rule (R5) ties to one another where these are too unlike to be moved as one (`clumps.py`). Only where the rules
find no plan that resolves everything is the policy asked.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..env.model.cluster import Cluster
from ..env.model.contention import unevacuated_H
from ..env.model.plan import Plan, validate
from ..env.model.planner import Planner
from ..env.model.state import State


def evacuation_plan(cluster: Cluster, state: State, rules: Planner, *, must_resolve: bool = False) -> Plan | None:
    """The plan of the rules where a host in maintenance is not empty; None where none is, or they find no valid plan.

    Args:
        cluster: what telemetry shows.
        state: its state, by which the plan is judged.
        rules: the planner that knows how.
        must_resolve: whether R9 binds the plan.
    """
    waiting = np.flatnonzero(unevacuated_H(state))
    if waiting.size == 0:
        return None
    plan = rules.plan(cluster)
    if not plan.moves or validate(state, plan, must_resolve=must_resolve):
        return None
    hosts = " and ".join(state.inventory.hosts[h].id for h in waiting)
    verb = "is" if waiting.size == 1 else "are"
    return replace(plan, reason=f"{hosts} {verb} to be emptied, so {rules.name} answers: {plan.reason}")
