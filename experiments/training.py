"""Training a policy and exporting it, watched: progress in the terminal, curves in MLflow, the best policy at hand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import __version__
from ..agents.config import PRESETS, TrainConfig
from ..agents.export import export_bundle
from ..agents.lookahead import LookaheadSettings
from ..agents.manifest import BUNDLE_SUFFIX, Manifest, ManifestFields
from ..agents.train import TrainedPolicy, device_of, train
from ..env.gym.features import SCHEMA
from ..env.model.errors import QuellError
from ..env.world.split import TracePart
from ..env.world.traces import Trace, part
from .interruption import Terminated, tell_at_end, undisturbed
from .plots import Curves, Series
from .provenance import git_commit
from .simulation import load_workload
from .terminal import OnProgress, console, notice, progress
from .tracking import Run, Tracker
from .training_settings import settings_of
from .writable import claimed_file, try_out

DEVICES = ("cpu", "cuda", "auto")
NO_COMMIT = "unknown"  # of a Quell that is installed and lies in no repository


class Watcher:
    """Follows a training: tells its phases, logs its figures, remembers the best policy so far."""

    def __init__(self, run: Run, on_progress: OnProgress) -> None:
        self.best_policy: TrainedPolicy | None = None
        self._run = run
        self._on_progress = on_progress

    def phase(self, name: str, detail: str) -> None:
        """A new phase begins."""
        notice(f"training: {name}: {detail}")

    def progress(self, done: float, total: float) -> None:
        """So much is done."""
        self._on_progress(round(min(done, total)), round(total))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Figures of one step."""
        self._run.metrics(values, step)

    def best(self, policy: TrainedPolicy) -> None:
        """Validation has improved."""
        self.best_policy = policy


def train_watched(
    train_part: TracePart,
    validation_part: TracePart,
    config: TrainConfig,
    run: Run,
    bundle: Path,
    training: Mapping[str, Any] = MappingProxyType({}),
) -> TrainedPolicy:
    """Trains under an MLflow run; when it is interrupted, the best policy so far is exported before it ends.

    Args:
        train_part: VMs and days to learn from.
        validation_part: VMs and days to choose the policy by.
        config: budget, seed and the rest.
        run: where figures are logged.
        bundle: where the policy goes when the training is interrupted.
        training: what its manifest says of the training then, beside its configuration.
    """
    run.parameters(config)
    with _progress(config) as on_progress:
        watcher = Watcher(run, on_progress)
        try:
            policy = train(train_part, validation_part, config, watcher)
        except (KeyboardInterrupt, Terminated) as stop:
            if watcher.best_policy is None:
                tell_at_end(stop, f"training was interrupted before it had a policy; {bundle} was not written")
                raise
            told = {"interrupted": True, "workload": train_part.trace.name}
            with undisturbed():  # a service manager that sends SIGTERM may send it to us twice
                export_policy(watcher.best_policy, bundle, told, training)
            tell_at_end(stop, f"training was interrupted; the best policy so far is in {bundle}")
            raise
    run.metrics(policy.metrics)
    return policy


def _progress(config: TrainConfig) -> AbstractContextManager[OnProgress]:
    """The bar of a training: by time, or by days and updates where numbers of both are given."""
    if config.work_count is None:
        return progress("training (seconds)", round(config.budget_seconds))
    return progress("training (days and updates)", config.work_count)


def export_policy(
    policy: TrainedPolicy, path: Path, metrics: Mapping[str, Any], training: Mapping[str, Any] = MappingProxyType({})
) -> Manifest:
    """Writes the bundle of a policy.

    Args:
        policy: what was trained.
        path: of the bundle.
        metrics: figures for the manifest, beside those of the training.
        training: what the manifest says of the training, beside its configuration.
    """
    fields = ManifestFields(
        feature_schema=SCHEMA,
        shortlist_size=policy.config.slots,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        quell_version=__version__,
        git_commit=git_commit() or NO_COMMIT,
        training={**asdict(policy.config), "lookahead": asdict(LookaheadSettings()), **training},
        metrics={**policy.metrics, **metrics},
    )
    return export_bundle(policy.scorer, path, fields, policy.forecaster)


def training_curves(policy: TrainedPolicy) -> tuple[Curves, ...]:
    """The curves of a training as panels, one for each phase and figure."""
    return tuple(
        Curves(name.replace("/", ": "), "step", name.split("/")[-1], (Series(name, tuple(points)),))
        for name, points in policy.curves.items()
        if points
    )


@dataclass(frozen=True)
class TrainCommand:
    """What `quell train` was asked; what is None is as the preset has it.

    Attributes:
        settings: `KEY=VALUE` for fields of the configuration, see `training_settings.py`.
    """

    workload: str
    budget_minutes: float | None
    seed: int
    output: str
    device: str
    store: str
    scenario: str | None = None
    preset: str = "quick"
    settings: tuple[str, ...] = ()

    def config(self) -> TrainConfig:
        """The configuration.

        Raises:
            QuellError: the preset, the device or a setting is unknown or wrong, or the device is not there.
        """
        if self.device not in DEVICES:
            raise QuellError(f"--device {self.device}: it must be one of {', '.join(DEVICES)}")
        device_of(self.device)
        if self.preset not in PRESETS:
            raise QuellError(f"--preset {self.preset}: it must be one of {', '.join(PRESETS)}")
        config = replace(PRESETS[self.preset], seed=self.seed, device=self.device)
        if self.budget_minutes is not None:  # then the time decides, not a number of days and updates
            config = replace(config, budget_seconds=self.budget_minutes * 60, days=None, ppo_updates=None)
        config = replace(config, **settings_of(self.settings))
        return config if self.scenario is None else replace(config, scenario=self.scenario)

    def origin(self) -> dict[str, Any]:
        """What the manifest says of the training beside its configuration: the preset, and which fields were set."""
        return {"preset": self.preset, "set": list(settings_of(self.settings))}

    def bundle(self) -> Path:
        """The bundle to write, tried out.

        Raises:
            QuellError: it is no name of a bundle, or cannot be written.
        """
        output = Path(self.output)
        if output.suffix != BUNDLE_SUFFIX:
            raise QuellError(f"--output {output}: the name must end in {BUNDLE_SUFFIX}")
        try_out(output)
        return output


def train_and_export(command: TrainCommand, *, is_text: bool = True) -> dict[str, Any]:
    """`quell train`: a policy from a workload's training part, chosen on its validation part, as a bundle.

    Raises:
        QuellError: bad workload, device or setting; the store or the bundle cannot be written, or another training
            writes that bundle.
    """
    command.config()
    with claimed_file(command.bundle(), "--output"):
        tracker = Tracker(command.store)
        return train_one(command, load_workload(command.workload), tracker, is_text=is_text)


def train_one(
    command: TrainCommand, trace: Trace, tracker: Tracker, parent: Run | None = None, *, is_text: bool = True
) -> dict[str, Any]:
    """One training, and its bundle.

    Args:
        command: what was asked.
        trace: the workload's.
        tracker: where the run is logged.
        parent: the run that it is a part of.
        is_text: whether the bundle is told in the terminal.

    Returns:
        the bundle's path, the SHA-256 of its weights, and the figures of the training.
    """
    config, output = command.config(), command.bundle()
    with tracker.run("train", parent) as run:
        run.parameters(command, "command")
        parts = part(trace, "train"), part(trace, "validation")
        policy = train_watched(*parts, config, run, output, command.origin())
        with undisturbed():  # a stop that comes now must not cost the whole training
            manifest = export_policy(policy, output, {"workload": trace.name}, command.origin())
        run.artifact(output)
    if is_text:
        told = f"bundle: {output} (weights sha256 {manifest.weights_sha256[:12]})"
        console.print(told, soft_wrap=True, markup=False)
    return {"bundle": str(output), "weights_sha256": manifest.weights_sha256, "metrics": dict(policy.metrics)}
