"""Which features a policy reads, in which order: what world and exported policy must agree on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureSchema:
    """Names of the features, in the order of the arrays' last axis.

    Attributes:
        version: changes whenever a feature keeps its name but is computed differently.
        candidate: names of the F features of one candidate move.
        context: names of the C features of the cluster as a whole.
    """

    version: str
    candidate: tuple[str, ...]
    context: tuple[str, ...]


SIDES = ("source_before", "source_after", "target_before", "target_after")
STATISTICS = ("trend", "high", "excess")  # trend estimate; 80 % quantile of the last hour; mean above the threshold
RESOURCES = ("cpu", "storage")

SCARCITY_OF_MOVES = (
    "is_overcommit",
    "has_vgpu",
    "swap_source_before",  # memory needed above what the source has, of its memory: it stays swapped out
    "swap_source_after",
    "gpu_memory_source",  # vGPU memory in use, of the memory of the GPUs
    "gpu_memory_target",
    "ha_headroom_target",  # memory left free for restarts after the move, of its memory; 0 if R7 does not bind
)
SCARCITY_OF_CLUSTER = (
    "swap_share",  # memory needed above what hosts have, of all memory
    "not_up_share",  # of the hosts
    "waiting_share",  # of the VMs that are on: those that have no host
    "is_ha_guaranteed",
    "ha_headroom_least",  # of the hosts that are up, of their memory; 0 if R7 does not bind
)
WORTH_OF_MOVES = (  # in mean host CPU capacity x minutes, for the hour to come, as sign(x) log(1 + |x|)
    "outlook_relief",  # overload and unserved demand taken off source and target, by the blocks of the outlook
    "price",  # of the move itself
    "outlook_worth",  # relief less price
)

CANDIDATE = (
    "is_stop",
    "is_relief",
    "is_evacuation",
    "is_room",
    "is_session",
    *(f"{resource}_{statistic}_{side}" for statistic in STATISTICS for side in SIDES for resource in RESOURCES),
    *(f"memory_{side}" for side in SIDES),
    "cpu_peak_target_after",  # highest block of the last hour
    "storage_peak_target_after",
    "cpu_slope_source",  # pressure of the last quarter less that of the hour
    "cpu_slope_target",
    "cpu_slope_own",
    "cpu_std_source",
    "cpu_std_target",
    "cpu_std_own",
    "cpu_share",  # of the source's threshold
    "storage_share",
    "memory_share",  # of the source's memory
    "net_relief",  # excess of source and target taken away, in mean host thresholds
    "relief_per_cost",  # the same, times mean migration cost / migration cost, as a signed root
    "cost_to_host",  # GiB / mean memory of a host
    "cost_to_mean",  # log of GiB / mean migration cost
    "migration_rounds",  # expected duration in rounds
    *SCARCITY_OF_MOVES,
    *WORTH_OF_MOVES,
)
CONTEXT = (
    "contended_share",  # of the hosts
    "contended_count",  # n / (n + 2)
    "cpu_mean",
    "cpu_max",
    "storage_mean",
    "storage_max",
    "memory_mean",
    "memory_max",
    "cpu_excess_trend",  # above the thresholds, of all thresholds together
    "storage_excess_trend",
    "cpu_excess_outlook",
    "storage_excess_outlook",
    "cpu_excess_removed",  # outlook, by the plan so far
    "storage_excess_removed",
    "cpu_slope",
    "cpu_spread",  # standard deviation of pressure over hosts
    "unevacuated_share",
    "moves",  # of the plan so far, n / (n + 4)
    "moved_to_host",  # GiB of the plan so far / mean memory of a host
    "candidates",  # share of the slots
    "time_sin",
    "time_cos",
    *SCARCITY_OF_CLUSTER,
    "worth_best",  # the highest `outlook_worth` on the list, 0 if it is empty
)

# Stop takes over what remains: of each resource the highest pressure and the excess, and the swap, as source before and
# after.
STOP_PAIRS = (
    *(
        (CANDIDATE.index(f"{resource}_{statistic}_{side}"), CONTEXT.index(f"{resource}_{value}"))
        for resource in RESOURCES
        for statistic, value in (("trend", "max"), ("excess", "excess_outlook"))
        for side in SIDES[:2]
    ),
    *((CANDIDATE.index(f"swap_{side}"), CONTEXT.index("swap_share")) for side in SIDES[:2]),
)
"""(candidate, context) indices."""

LIMIT = 5.0  # features are clipped to +-LIMIT
LEAST_RATIO = 0.01  # of migration costs: a VM of next to no memory is not infinitely cheap
ROUND_SECONDS = 900.0  # scale of migration times
WORTH_MINUTES = 60.0  # of the outlook, for `WORTH_OF_MOVES`
