"""`quell evaluate`: planners side by side on the same days, against one or more of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..env.model.errors import QuellError
from ..env.model.files import write_atomically
from ..env.world.rounds import EpisodeResult
from .bundle_origin import bundles_of, check_same
from .cli_options import print_json
from .compare import compare
from .comparison import Comparison
from .difference_table import print_differences
from .evaluation import Suite, play
from .planners import PlannerFactory, bundle_path
from .provenance import git_commit
from .simulation import DaysAsked, name_planners, shown_names, try_out_plot
from .terminal import console, notice
from .training_spread import spread_document, spread_sentence
from .verdict import FORESEEING
from .writable import refuse_same, try_out

DEFAULT_REFERENCE = "ads"
SHOWN_PLANNERS = 2  # in the plot of a day


@dataclass(frozen=True)
class Kept:
    """What `quell evaluate` leaves: a plot, the document as a file, and text in the terminal (else JSON)."""

    plot: Path | None = None
    output: Path | None = None
    is_text: bool = True

    def try_out(self) -> None:
        """Finds out before the work whether the files can be written.

        Raises:
            QuellError: one cannot, or the plot's name ends in another way than plots do.
        """
        refuse_same(output=self.output, plot=self.plot)
        try_out_plot(self.plot)
        if self.output is not None:
            try_out(self.output)


def evaluate_planners(
    asked: DaysAsked, names: Sequence[str], against: Sequence[str] | None, kept: Kept, spread: Sequence[str] = ()
) -> dict[str, Any]:
    """Compares planners on the same days and prints the figures, as text or JSON; returns the document.

    They are printed before files are written: a disk that is full by then takes no figures away.

    Args:
        asked: the days.
        names: of the planners.
        against: those of them that the others are compared with, the main one first; None for `ads`, if it is there.
        kept: the files to write.
        spread: those of the planners that are trainings of one kind, whose spread is told; empty for none.

    Raises:
        QuellError: bad workload, planner, reference or cluster; a bundle was replaced meanwhile; or a file cannot be
            written.
    """
    kept.try_out()
    planners, bundles = name_planners(names), bundles_of(names)
    references = references_of(names, against)
    trainings = trainings_of(names, spread)
    suite = asked.suite()
    played = asked.play(suite, names)
    check_same(names, bundles)
    comparison = compare(played.results, against=references)
    document = comparison.to_json() | {"suite": suite_document(asked, suite, played.redraws), "bundles": bundles}
    document |= {"made_with": {"quell_version": __version__, "git_commit": git_commit()}}
    document |= {"spread": spread_document(comparison, trainings)} if trainings else {}
    if kept.is_text:
        _print(comparison, document)
    else:
        print_json(document)
    if kept.output is not None:
        write_atomically(kept.output, json.dumps(document, indent=2, allow_nan=False) + "\n")
        notice(f"figures: {kept.output}")
    if kept.plot is not None:
        _write_plot(kept.plot, suite, comparison, planners)
    return document


def _print(comparison: Comparison, document: dict[str, Any]) -> None:
    """The tables, and the spread where it is asked for."""
    print_differences(comparison)
    if "spread" in document:
        console.print(spread_sentence(document["spread"], comparison.against), soft_wrap=True, markup=False)


def references_of(names: Sequence[str], against: Sequence[str] | None) -> tuple[str, ...]:
    """The references as tables call them.

    Raises:
        QuellError: one is named twice, or is none of the planners.
    """
    if against is None:
        return tuple(name for name in shown_names(names).values() if name == DEFAULT_REFERENCE)
    return _chosen("--against", names, against)


def trainings_of(names: Sequence[str], spread: Sequence[str]) -> tuple[str, ...]:
    """The planners whose spread is to be told, as tables call them.

    Raises:
        QuellError: one is named twice, is none of the planners or was not trained, two are of one bundle, or there is
            only one.
    """
    found = _chosen("--spread", names, spread)
    if len(found) == 1:
        raise QuellError(f"--spread {spread[0]!r}: one planner has no spread, name two or more")
    bundle_of: dict[Path, str] = {}
    for name, told in shown_names(names).items():
        if told in found:
            bundle = bundle_path(name)
            if bundle is None:
                raise QuellError(f"--spread {told!r}: is no trained policy; the spread is that of trainings")
            first = bundle_of.setdefault(bundle, told)
            if first != told:
                raise QuellError(f"--spread: {first!r} and {told!r} are one training, of {bundle}")
    return found


def _chosen(option: str, names: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    """Some of the planners as tables call them; they may be asked for by the names given or by those of the tables."""
    shown = shown_names(names)
    found: list[str] = []
    for name in (text.strip() for text in asked):
        told = shown.get(name, name)
        if told not in shown.values():
            raise QuellError(f"{option} {name!r}: is none of the planners, which are {', '.join(shown.values())}")
        if told in found:
            raise QuellError(f"{option}: {told!r} is named twice")
        found.append(told)
    return tuple(found)


def suite_document(asked: DaysAsked, suite: Suite, redraws: int) -> dict[str, Any]:
    """What was played; with the same suite and planners the figures come out again."""
    return {
        "workload": asked.workload,
        "part": suite.source.part_name,
        **suite.source.cluster_document(),
        "episodes": suite.episodes,
        "seed": suite.seed,
        "redraws": redraws,
    }


def shown_day(comparison: Comparison) -> tuple[int, tuple[str, ...]]:
    """The day to look at, and the planners to look at it under.

    Returns:
        the number of the day whose cost under the first of the planners is the median (of two in the middle, the
        lower); and the main reference, if there is one, with the cheapest other planner, preferably one that cannot
        see the future.
    """
    others = [s for s in comparison.planners if s.planner != comparison.against]
    others.sort(key=lambda s: (s.planner in FORESEEING, s.cost_core_minutes.value))
    reference = () if comparison.against is None else (comparison.against,)
    pair = (*reference, *(s.planner for s in others))[:SHOWN_PLANNERS]
    summary = comparison.summary(pair[0])
    assert summary is not None
    ranked = sorted(range(len(summary.episode_costs)), key=lambda i: summary.episode_costs[i])
    return ranked[(len(ranked) - 1) // 2], pair


def _write_plot(path: Path, suite: Suite, comparison: Comparison, planners: dict[str, PlannerFactory]) -> None:
    """The costs, and a day that is neither a good nor a bad one, played again: its minutes were not kept."""
    from .plots import to_bytes
    from .suite_figure import suite_figure

    i, pair = shown_day(comparison)
    episode = suite.day(i).episode
    results: dict[str, EpisodeResult] = {name: play(episode, planners[name]) for name in pair}
    figure = suite_figure(comparison, results, episode)
    write_atomically(path, to_bytes(figure, path.suffix.removeprefix(".")))
    notice(f"plot: {path}")
