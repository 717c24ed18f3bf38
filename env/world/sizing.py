"""From shapes to sizes: hosts, and demand and memory scaled so that a cluster is as full as asked.

A trace gives each VM's shape, the builder its scale: one factor for all, found by bisection because no VM may pass its
cap.
Shapes: H hosts, V VMs, M movables, N samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model.cluster import Host

FloatArray = npt.NDArray[np.float64]

HOST_CORES = (32, 48, 64)  # design: 32 to 64 cores; the fleet's mean is 48
HOST_MEMORY_GIB = (256, 384, 512, 768)  # two-socket servers of that size; assumed
CONTROLLER_CORES = (4, 6, 8)  # of a storage controller; assumed
MIXED_SHARE = 0.5  # of clusters have hosts of two models; assumed

MEMORY_FILL = 0.70  # of the hosts' memory is configured (design)
STORAGE_LOAD = 0.40  # mean utilization of the storage controllers (design)
LARGEST_CPU_SHARE = 0.5  # of the smallest host: no VM demands more (design)
LARGEST_STORAGE_SHARE = 0.5  # of the smallest controller: no VM or session demands more; assumed
LARGEST_MEMORY_SHARE = 0.25  # of the smallest host: a VM always finds room somewhere at 70 % fill; assumed
SMALLEST_MEMORY_GIB, MEMORY_STEP_GIB = 1.0, 0.25
BISECTIONS = 48


@dataclass(frozen=True)
class Scaled:
    """A factor, and how much of the wanted total it reaches (below 1 where too many are at their cap)."""

    factor: float
    reached_share: float


def draw_hosts(generator: np.random.Generator, count: int) -> tuple[Host, ...]:
    """Hosts of one model, or of two in half of the clusters."""
    models = [
        (
            float(generator.choice(HOST_CORES)),
            float(generator.choice(HOST_MEMORY_GIB)),
            float(generator.choice(CONTROLLER_CORES)),
        )
        for _ in range(2)
    ]
    is_mixed = generator.random() < MIXED_SHARE
    model_H = generator.integers(2, size=count) if is_mixed else np.zeros(count, dtype=np.int64)
    return tuple(Host(f"host-{h + 1}", *models[model_H[h]]) for h in range(count))


def scale_to_total(shape_XN: FloatArray, cap: float, total: float) -> Scaled:
    """The factor f for which the sum over X of the mean over N of min(f x shape, cap) is `total`.

    Where even at their caps they do not add up to it, the factor is the largest that still changes anything.

    Args:
        shape_XN: values >= 0; shape (X, N).
        cap: largest value of any one, > 0.
        total: wanted sum of the means, > 0.
    """
    largest = float(shape_XN.max(initial=0.0))
    if largest <= 0:
        return Scaled(0.0, 0.0)
    smallest = float(shape_XN[shape_XN > 0].min())
    low, high = 0.0, cap / smallest  # at `high` everything above 0 is at its cap
    most = _total(shape_XN, high, cap)
    if most <= total:
        return Scaled(high, most / total)
    # Most factors lie far below `high`, which one tiny sample decides: start from where only the largest meets its cap.
    step = cap / largest
    while step < high and _total(shape_XN, step, cap) < total:
        low, step = step, step * 4
    high = min(step, high)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _total(shape_XN, middle, cap) < total:
            low = middle
        else:
            high = middle
    return Scaled(high, 1.0)


def _total(shape_XN: FloatArray, factor: float, cap: float) -> float:
    """Sum over X of the mean over N of min(factor x shape, cap)."""
    return float(np.minimum(shape_XN * factor, cap).sum()) / shape_XN.shape[1]


def memory_sizes(
    trace_memory_V: FloatArray, hosts: tuple[Host, ...], fill: float, is_first_V: npt.NDArray[np.bool_]
) -> tuple[FloatArray, Scaled]:
    """Configured memory of each VM in GiB, in proportion to the trace's; shape (V,).

    Args:
        trace_memory_V: memory of each VM in the trace.
        hosts: of the cluster.
        fill: how much of the hosts' memory is configured at the start of the day; above 1 they are overbooked.
        is_first_V: VMs that are there at the start of the day.
    """
    total = fill * sum(host.memory_gib for host in hosts)
    cap = LARGEST_MEMORY_SHARE * min(host.memory_gib for host in hosts)
    scaled = scale_to_total(trace_memory_V[is_first_V, None], cap, total)
    exact_V = np.minimum(trace_memory_V * scaled.factor, cap)
    return np.maximum(np.round(exact_V / MEMORY_STEP_GIB) * MEMORY_STEP_GIB, SMALLEST_MEMORY_GIB), scaled
