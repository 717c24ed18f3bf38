"""`quell bench recall`: how many moves of good plans the shortlist holds when their turn comes.

Days are played by `ads` and by the clairvoyant planner; in every round with a choice each reference plans, and each of
its moves is looked up in the list made after the moves before it. As the policy chooses the order of its moves, it is
counted beside how many moves of a plan can be taken from lists in whatever order these offer them. `clairvoyant, told`
is the clairvoyant planner on lists whose outlook is the true hour to come: what a perfect forecast would make of them.
Nothing is left out: moves that no list ever offers (a second move of the same VM, VMs tied by R5 that cannot be moved
as one) are missed, and counted beside.

Shapes: K sizes of the list; D days; N moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

from ..env.gym.shortlist import SLOTS as SLOTS_USED
from ..env.gym.shortlist import shortlist
from ..env.gym.view import PlanView
from ..env.world.traces import part
from ..env.world.workload import ClusterSpec, build_episode
from .bootstrap import INTERVAL_PERCENT
from .recall_plans import PLAYERS, REFERENCES, PlannedMove, rounds_of
from .simulation import load_workload
from .terminal import progress

SLOTS = (16, 32, 64, 128, 256)
TOLD = "clairvoyant, told"
RESAMPLES = 2_000
RESAMPLE_SEED = 0


@dataclass(frozen=True)
class RecallBench:
    """What is measured.

    Attributes:
        workload: where demand comes from.
        part_name: which part of its days.
        spec: what the clusters are like.
        days: how many; each is played once by each of `players`.
        seed: of the first day.
        players: who plays them, so that calm and hot states are both seen.
        references: whose plans are looked up.
        slots: sizes of the list.
    """

    workload: str = "synthetic"
    part_name: str = "validation"
    spec: ClusterSpec = field(default_factory=lambda: ClusterSpec(load=0.7, scenario="ha"))
    days: int = 4
    seed: int = 1
    players: Sequence[str] = PLAYERS
    references: Sequence[str] = REFERENCES
    slots: Sequence[int] = SLOTS


class Seen(NamedTuple):
    """A move of a reference and where it was found.

    Attributes:
        day: of the suite.
        reference: whose move.
        move: the move.
        is_listed_K: whether the list of each size holds it.
        is_named_K: whether it holds some move of the same movable.
        is_taken_K: whether some list holds it before the plan is complete, where moves are taken as lists offer them.
    """

    day: int
    reference: str
    move: PlannedMove
    is_listed_K: tuple[bool, ...]
    is_named_K: tuple[bool, ...]
    is_taken_K: tuple[bool, ...]


def bench_recall(bench: RecallBench) -> dict[str, Any]:
    """Recall by reference and kind of move: `rows`, and what was measured."""
    days = part(load_workload(bench.workload), bench.part_name)
    seen: list[Seen] = []
    total = bench.days * len(bench.players)
    with progress("bench recall", total) as on_progress:
        for day in range(bench.days):
            episode = build_episode(days, bench.spec, bench.seed + day)
            for i, player in enumerate(bench.players):
                on_progress(day * len(bench.players) + i, total)
                for found in rounds_of(episode, player, bench.references):
                    for name, moves in found.plans.items():
                        seen += looked_up(day, name, found.view, moves, bench.slots)
                        if name == "clairvoyant":
                            seen += looked_up(day, TOLD, found.told, moves, bench.slots)
    return {
        "workload": bench.workload,
        "part": bench.part_name,
        "hosts": bench.spec.hosts,
        "vms_per_host": bench.spec.vms_per_host,
        "load": bench.spec.load,
        "scenario": bench.spec.scenario,
        "days": bench.days,
        "seed": bench.seed,
        "players": list(bench.players),
        "slots": list(bench.slots),
        "rows": recall_rows(seen, bench.slots),
    }


def looked_up(
    day: int, reference: str, view: PlanView, moves: Sequence[PlannedMove], slots: Sequence[int]
) -> Iterator[Seen]:
    """Every move of a plan in the lists made after the moves before it, and in those of any other order.

    VMs that move as one are offered as one: what holds of the first of them holds of the others.
    """
    taken_KN = [taken_in_any_order(view, moves, size) for size in slots]
    found_of: dict[int, tuple[tuple[bool, ...], tuple[bool, ...]]] = {}
    for i, move in enumerate(moves):
        unit = unit_of(view, move)
        if (found := found_of.get(unit) if not move.is_bound else None) is None:
            lists = [shortlist(view, size) for size in slots]
            named = [(listed.movable_K == unit) & listed.mask_S[1:] for listed in lists]
            held = [rows & (listed.target_K == move.target) for rows, listed in zip(named, lists, strict=True)]
            is_listed_K, is_named_K = (tuple(bool(found.any()) for found in rows) for rows in (held, named))
            found_of[unit] = found = is_listed_K, is_named_K
            view = view.after(unit, move.target)
        yield Seen(day, reference, move, *found, tuple(is_taken_N[i] for is_taken_N in taken_KN))


def unit_of(view: PlanView, move: PlannedMove) -> int:
    """Who stands for the movable of a move on lists."""
    return move.m if move.is_bound else view.round.clumps.lead(move.m)


def taken_in_any_order(view: PlanView, moves: Sequence[PlannedMove], size: int) -> list[bool]:
    """Which moves of a plan can be taken from lists of one size.

    The first that the list holds is taken, and the next list is asked for the others. Where it holds none of them, the
    first of them is missed, and made all the same.
    """
    unit_N, is_taken_N, left = [unit_of(view, move) for move in moves], [False] * len(moves), list(range(len(moves)))
    while left:
        listed = shortlist(view, size)
        pairs = set(zip(listed.movable_K[listed.mask_S[1:]], listed.target_K[listed.mask_S[1:]], strict=True))
        offered = [i for i in left if (unit_N[i], moves[i].target) in pairs]
        first = offered[0] if offered else left[0]
        together = [i for i in left if i == first or (unit_N[i] == unit_N[first] and not moves[i].is_bound)]
        for i in together:
            is_taken_N[i] = bool(offered)
            left.remove(i)
        view = view.after(unit_N[first], moves[first].target)
    return is_taken_N


def recall_rows(seen: Sequence[Seen], slots: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each reference, all kinds of move together and one by one."""
    rows = []
    for reference in dict.fromkeys(s.reference for s in seen):
        own = [s for s in seen if s.reference == reference]
        rows.append(_row(reference, "all", own, slots))
        offered = [s for s in own if not s.move.is_bound]
        rows.append(_row(reference, "all on offer", offered, slots))
        rows += [
            _row(reference, kind.value, [s for s in own if s.move.kind is kind], slots)
            for kind in sorted({s.move.kind for s in own})
        ]
    return rows


def _row(reference: str, kind: str, seen: Sequence[Seen], slots: Sequence[int]) -> dict[str, Any]:
    """Recall of some moves at each size of the list."""
    day_N = np.array([s.day for s in seen], dtype=np.int64)
    worth_N = np.array([s.move.worth for s in seen])
    listed_NK = np.array([s.is_listed_K for s in seen], dtype=np.float64).reshape(-1, len(slots))
    named_NK = np.array([s.is_named_K for s in seen], dtype=np.float64).reshape(-1, len(slots))
    taken_NK = np.array([s.is_taken_K for s in seen], dtype=np.float64).reshape(-1, len(slots))
    ones_N = np.ones(len(seen))
    return {
        "reference": reference,
        "kind": kind,
        "moves": len(seen),
        "never_offered": sum(s.move.is_bound for s in seen),
        "recall": _by_slots(_mean_K(listed_NK, ones_N), slots),
        "interval": dict(zip(map(str, slots), intervals(listed_NK, ones_N, day_N), strict=True)),
        "movables": _by_slots(_mean_K(named_NK, ones_N), slots),
        "in_any_order": _by_slots(_mean_K(taken_NK, ones_N), slots),
        "in_any_order_interval": dict(zip(map(str, slots), intervals(taken_NK, ones_N, day_N), strict=True)),
        "by_worth": _by_slots(_mean_K(listed_NK, worth_N), slots),
    }


def _mean_K(hit_NK: np.ndarray, weight_N: np.ndarray) -> np.ndarray:
    """Weighted share of hits at each size; NaN where nothing weighs anything."""
    total = weight_N.sum()
    return np.asarray(weight_N @ hit_NK / total) if total > 0 else np.full(hit_NK.shape[1], np.nan)


def _by_slots(recall_K: np.ndarray, slots: Sequence[int]) -> dict[str, float | None]:
    """By size, None where it is not defined."""
    return {str(k): None if np.isnan(x) else float(x) for k, x in zip(slots, recall_K, strict=True)}


def intervals(hit_NK: np.ndarray, weight_N: np.ndarray, day_N: np.ndarray) -> list[list[float] | None]:
    """Bootstrap interval over days of the recall at each size; None with less than two days."""
    days, day_N = np.unique(day_N, return_inverse=True)
    if days.size < 2:
        return [None] * hit_NK.shape[1]
    hits_DK, weight_D = np.zeros((days.size, hit_NK.shape[1])), np.zeros(days.size)
    np.add.at(hits_DK, day_N, hit_NK * weight_N[:, None])
    np.add.at(weight_D, day_N, weight_N)
    drawn_BD = np.random.default_rng(RESAMPLE_SEED).integers(days.size, size=(RESAMPLES, days.size))
    recall_BK = hits_DK[drawn_BD].sum(axis=1) / weight_D[drawn_BD].sum(axis=1)[:, None]
    tail = (100 - INTERVAL_PERCENT) / 2
    return [[float(x) for x in np.percentile(column, [tail, 100 - tail])] for column in recall_BK.T]


def recall_table(document: dict[str, Any]) -> Table:
    """Recall by reference and kind of move, in percent, the interval at the size that is used."""
    sizes = [str(k) for k in document["slots"]]
    used = str(SLOTS_USED) if str(SLOTS_USED) in sizes else sizes[-1]
    title = f"bench recall: {document['workload']}; moves that a list of so many holds, %"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("moves of", "kind"):
        table.add_column(name, no_wrap=True)
    others = (f"interval @{used}", "any order", "VM", "by worth")
    for name in ("moves", *(f"@{k}" for k in sizes), *others):
        table.add_column(name, justify="right", no_wrap=True)
    named = ""
    for row in document["rows"]:
        interval = row["interval"][used]
        table.add_row(
            row["reference"] if row["reference"] != named else "",
            row["kind"],
            f"{row['moves']:,}",
            *(_percent(row["recall"][k]) for k in sizes),
            "-" if interval is None else f"{_percent(interval[0])} to {_percent(interval[1])}",
            _percent(row["in_any_order"][used]),
            _percent(row["movables"][used]),
            _percent(row["by_worth"][used]),
        )
        named = row["reference"]
    return table


def _percent(share: float | None) -> str:
    """As a percentage, without its sign."""
    return "-" if share is None else f"{100 * share:.1f}"
