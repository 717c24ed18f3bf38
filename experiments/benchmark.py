"""`quell bench`: how fast and how good planning is, how fast the environment, what a whole plan takes, and what the
shortlist holds.

Wall-clock figures of shared machines say little, so CPU seconds stand beside them, and the time of a fixed piece of
numpy work in the same run (`reference_seconds`): figures of two machines compare by their ratio to it.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..env.model.errors import QuellError
from ..env.model.files import write_atomically
from .bench_asking import Better
from .bench_env import bench_env
from .bench_learned import LearnedBench, bench_learned
from .bench_plan import PlanBench, bench_plan
from .bench_recall import RecallBench, bench_recall, recall_table
from .bench_tables import env_tables, learned_table, peers_table, plans_table
from .cli_options import print_json
from .simulation import try_out_plot
from .terminal import console, notice

BENCHMARKS = ("plan", "env", "learned", "recall", "all")
SEED = 1

Measure = Callable[[], dict[str, Any]]
Show = Callable[[dict[str, Any]], None]


def run_benchmarks(
    what: str,
    plan: PlanBench,
    plot: Path | None,
    is_text: bool,
    recall: RecallBench | None = None,
    learned: LearnedBench | None = None,
) -> dict[str, Any]:
    """Runs one of `BENCHMARKS`, prints the figures as tables or JSON, and returns them.

    They are printed before the plot is drawn: whatever becomes of it takes no figures away.

    Args:
        what: which of them.
        plan: what `plan` measures.
        plot: where its plot goes (.png or .svg), None for none.
        is_text: whether tables are printed; else it is JSON.
        recall: what `recall` measures.
        learned: what `learned` measures.

    Raises:
        QuellError: there is no such benchmark, its plot cannot be written, or it cannot be measured on what it is
            given.
    """
    _check(what, plot)
    document: dict[str, Any] = {"machine": machine(), "reference_seconds": reference_seconds()}
    for name, (measure, show) in _measures(plan, recall or RecallBench(), learned or LearnedBench()).items():
        if what in (name, "all"):
            document[name] = measure()
            if is_text:
                show(document[name])
    if not is_text:
        print_json(document)
    if plot is not None and "plan" in document:
        _write_plot(document["plan"], plot)
    return document


def _measures(plan: PlanBench, recall: RecallBench, learned: LearnedBench) -> dict[str, tuple[Measure, Show]]:
    """How each benchmark is measured and shown, in the order in which `all` runs them."""
    return {
        "plan": (lambda: bench_plan(plan), _print_plan),
        "env": (bench_env, lambda found: console.print(*env_tables(found), sep="\n")),
        "learned": (lambda: bench_learned(learned), lambda found: console.print(learned_table(found))),
        "recall": (lambda: bench_recall(recall), lambda found: console.print(recall_table(found))),
    }


def _check(what: str, plot: Path | None) -> None:
    """Refuses an unknown benchmark, and a plot that cannot be written."""
    if what not in BENCHMARKS:
        raise QuellError(f"benchmark {what!r} is unknown; there are {', '.join(BENCHMARKS)}")
    try_out_plot(plot)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count() or 1}


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def reference_seconds() -> float:
    """CPU seconds of a fixed piece of numpy work: sorting a million numbers ten times."""
    values = np.random.default_rng(SEED).random(1_000_000)
    started = time.process_time()
    for _ in range(10):
        np.sort(values)
    return time.process_time() - started


def _print_plan(figures: dict[str, Any]) -> None:
    """Both tables, who was left out, and what turned out better than the reference."""
    console.print(plans_table(figures["planners"]))
    if figures["peers"]:
        console.print(peers_table(figures["peers"]))
    for peer in figures["skipped"]:
        notice(f"{peer['name']} was left out: {peer['reason']}")
    for better in figures["better"]:
        notice(str(Better(**better)))


def _write_plot(figures: dict[str, Any], plot: Path) -> None:
    """The plot of the plans, as its suffix says."""
    from .bench_plot import plans_figure
    from .plots import to_bytes

    write_atomically(plot, to_bytes(plans_figure(figures), plot.suffix[1:]))
    notice(f"wrote {plot}")
