"""What `quell evaluate` plays by default: no VM and no day that training has seen, whatever the trace comes as."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from quell.env.world.bitbrains_raw import RAW_COLUMNS
from quell.env.world.rounds import EpisodeResult
from quell.env.world.trace import SAMPLES_PER_DAY
from quell.env.world.traces import load_trace, part
from quell.env.world.workload import Episode
from quell.experiments import evaluation
from quell.experiments.cli import main
from quell.experiments.planners import PlannerFactory

DAYS, VMS = 8, 30
SMALL = ["--hosts", "3", "--vms-per-host", "5", "--load", "0.5", "--episodes", "6", "--workers", "1"]
FIRST_DAY = int(datetime(2013, 8, 1, tzinfo=UTC).timestamp()) - 7200  # midnight in Amsterdam


def usage_of(vm: int) -> np.ndarray:
    """CPU of a VM in percent, 5 to 59; shape (DAYS * SAMPLES_PER_DAY,)."""
    return np.round(32 + 27 * np.sin(np.arange(DAYS * SAMPLES_PER_DAY) / (20 + vm) + vm)).astype(int)


def write_bitbrains(folder: Path) -> str:
    """CSV files as published; the workload's name."""
    for vm in range(VMS):
        rows = [";\t".join(RAW_COLUMNS)]
        for slot, percent in enumerate(usage_of(vm)):
            used = f"{percent * 100};\t{percent}"
            rows.append(f"{FIRST_DAY + 300 * slot};\t4;\t10000;\t{used};\t8388608;\t4194304;\t10;\t5;\t1;\t1")
        (folder / f"{vm + 1}.csv").write_text("\n".join(rows) + "\n")
    return f"bitbrains:{folder}"


def write_planetlab(folder: Path) -> str:
    """Day folders of one file a VM, as published; the workload's name."""
    for day in range(DAYS):
        home = folder / f"2011030{day + 1}"
        home.mkdir()
        for vm in range(VMS):
            values = usage_of(vm)[day * SAMPLES_PER_DAY : (day + 1) * SAMPLES_PER_DAY]
            (home / f"node-{vm}_slice").write_text("\n".join(map(str, values)) + "\n")
    return f"planetlab:{folder}"


@pytest.mark.parametrize("write", [write_bitbrains, write_planetlab, lambda _: "synthetic"])
def test_no_vm_and_no_day_of_training_is_evaluated_on(
    write: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the day played nor the one before it, whose demand planners see, is one of training."""
    workload, played, play = write(tmp_path), [], evaluation.play

    def spy(episode: Episode, factory: PlannerFactory) -> EpisodeResult:
        played.append(episode)
        return play(episode, factory)

    monkeypatch.setattr(evaluation, "play", spy)
    monkeypatch.setattr(sys, "argv", ["quell", "evaluate", "--planners", "none", "--workload", workload, *SMALL])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert not exit_info.value.code and len(played) == 6

    trace = load_trace(workload)
    unseen_vms = {trace.vm_ids[v] for v in part(trace, "test").vms}
    assert {name for episode in played for name in episode.vm_names} <= unseen_vms
    days = {trace.day_names.index(episode.day_name) for episode in played}
    for name in ("train", "validation"):
        seen = part(trace, name)
        assert not unseen_vms & {trace.vm_ids[v] for v in seen.vms}
        assert not days & set(seen.days)
    assert not {day - 1 for day in days} & set(part(trace, "train").days)
