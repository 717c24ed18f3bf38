"""Compiles the kernels of shortlist and features, or loads them where they are compiled already."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..model.cluster import HighAvailability, Host, Inventory, Session, Vm, make_cluster
from .features import features
from .shortlist import is_quiet, shortlist
from .view import look_at


@cache
def warm_up_look() -> None:
    """Looks at a small cluster, before and after a move; once a process."""
    hosts = tuple(Host(f"host-{h}", 40, 256, 8) for h in range(3))
    vms = tuple(Vm(f"vm-{v}", 20, 16) for v in range(6))
    ha = HighAvailability(is_guaranteed=True)
    inventory = Inventory(hosts, vms, (Session("session", "group"),), high_availability=ha)
    samples_V = np.array([18.0, 18, 14, 12, 8, 6])
    for dtype in (np.float64, np.float32):  # documents have the first, episodes the second
        cpu_VT = np.repeat(samples_V[:, None], 120, axis=1).astype(dtype)
        storage_MT = np.ones((7, 120), dtype=dtype)
        view = look_at(make_cluster(inventory, [0, 0, 1, 1, 2, 2, 0], cpu_VT, storage_MT))
        is_quiet(view)
        move = shortlist(view).move(1)
        view = view if move is None else view.after(*move)
        features(view, shortlist(view))
