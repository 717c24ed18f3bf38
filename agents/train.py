"""Training a policy within a time budget: imitation, then MaskablePPO, the better one by validation.

    forecast   the forecaster, on the demand of the training part
    collect    days of the training part, labelled by what the lookahead holds every move to be worth (`adviser.py`),
               by its true worth (`teacher.py`), or between the two; first its own days, then those of the student
    fit        the scorer learns to choose what is worth most
    validate   the policy alone, by the true simulated cost of fixed days of the validation part: the search that it is
               served with would hide what it has learned
    improve    MaskablePPO on the env, rewards against a do-nothing twin; the critic is fitted alone first, steps are
               small, and validation after every update decides what is kept

The best policy by validation wins, be it the imitation's or PPO's, and `metrics` say which. The best of several on the
days that chose it is a matter of luck too, so what PPO has gained is told by other days, and may be less than nothing.
The test part is never seen.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch as th

from ..env.gym.features import SCHEMA
from ..env.gym.generator import TraceGenerator
from ..env.model.errors import QuellError
from ..env.world.split import TracePart
from .config import TrainConfig
from .days import Behaviour, Decisions
from .export import serve_forecaster
from .forecast_training import TrainedForecaster, train_forecaster
from .forecaster import Forecaster
from .imitation import Collector, fit
from .lookahead import MixedOutlook
from .network import CandidateScorer
from .planner import Proposal
from .reinforce import improve
from .validation import GAIN_SEED, Validation

Curve = list[tuple[float, float]]
GAIN_VALIDATIONS = 2  # of the policies before and after PPO, on days of their own
SERVED_VALIDATIONS = 3  # times a validation of the policy alone that one with search and lookahead takes


@dataclass(frozen=True, eq=False)
class TrainedPolicy:
    """What a training has brought so far.

    Attributes:
        scorer: the network, on the CPU.
        config: how it was trained.
        metrics: figures of the training, by name; `best_is_from_ppo` (1 or 0) says which phase won.
        curves: points (x, y) by name.
        forecaster: what the policy looks ahead with; None: nothing.
    """

    scorer: CandidateScorer
    config: TrainConfig
    metrics: dict[str, float]
    curves: dict[str, Curve] = field(default_factory=dict)
    forecaster: TrainedForecaster | None = None


class TrainObserver(Protocol):
    """Who watches a training."""

    def phase(self, name: str, detail: str) -> None:
        """A phase begins."""

    def progress(self, done: float, total: float) -> None:
        """So much is done: seconds of the budget, or days and updates where numbers of both are given."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Figures of one step."""

    def best(self, policy: TrainedPolicy) -> None:
        """Validation has improved."""


def train(
    train_part: TracePart, validation_part: TracePart, config: TrainConfig, observer: TrainObserver
) -> TrainedPolicy:
    """Trains a policy.

    Args:
        train_part: VMs and days to learn from.
        validation_part: VMs and days to choose by; shares none with the training part.
        config: budget, seed and the rest.
        observer: who watches.

    Raises:
        QuellError: the parts give no cluster of the wanted sizes, or the device is not there.
    """
    return _Training(train_part, validation_part, config, observer).run()


class _Training:
    """One training: what its phases share."""

    def __init__(
        self, train_part: TracePart, validation_part: TracePart, config: TrainConfig, observer: TrainObserver
    ) -> None:
        self.config, self.observer = config, observer
        self.started = time.monotonic()
        self.device = device_of(config.device)
        sizes = config.hosts, config.vms_per_host, config.load
        self.parts = train_part, validation_part
        self.forecaster: TrainedForecaster | None = None
        self.served: Forecaster | None = None
        self.generator = TraceGenerator(train_part, *sizes, scenario=config.scenario)
        self.validation = Validation(validation_part, config)
        self.curves: dict[str, Curve] = {}
        self.metrics: dict[str, float] = {"best_is_from_ppo": 0.0}
        self.best: TrainedPolicy | None = None
        self.best_ratio = np.inf
        self.step = 0
        self.counted = 0  # days and updates done

    def run(self) -> TrainedPolicy:
        """All phases."""
        th.set_num_threads(1)  # on two shared cores one thread is several times faster than two
        th.manual_seed(self.config.seed)
        self.observer.phase("validation", f"do-nothing on {self.config.validation_episodes} days")
        self.validation.prepare()
        self._forecast()
        scorer = CandidateScorer(len(SCHEMA.candidate), len(SCHEMA.context), self.config.width).to(self.device)
        self._imitate(scorer)
        self._improve()
        assert self.best is not None  # imitation is validated at least once
        if not self._lacks_time(SERVED_VALIDATIONS):
            self.observer.phase("validation", "the best policy as it is served, with search and lookahead")
            served_ratio, _ = self.validation.cost_ratio(self.best.scorer, self.served, tuple(Proposal))
            self.metrics["served_cost_ratio"] = served_ratio
            self._tick()
        self.metrics["train_seconds"] = time.monotonic() - self.started
        metrics = {**self.best.metrics, **self.metrics}
        return TrainedPolicy(self.best.scorer, self.config, metrics, self.curves, self.forecaster)

    def _forecast(self) -> None:
        """Trains the forecaster, if there is to be one."""
        config = self.config
        if config.forecast_steps == 0:
            return
        self.observer.phase("forecast", "quantiles of the hour to come")
        seconds = config.forecast_share * config.budget_seconds if config.days is None else None
        self.forecaster = train_forecaster(*self.parts, seed=config.seed, steps=config.forecast_steps, seconds=seconds)
        self.served = serve_forecaster(self.forecaster)
        for kind in ("cpu", "storage"):
            told = self.forecaster.metrics[kind]
            self.metrics[f"forecast_{kind}_gain_percent"] = 100 * (1 - told["pinball"] / told["pinball_last_hour"])
        self._log({name: value for name, value in self.metrics.items() if name.startswith("forecast")}, 0)
        self._tick()

    def _imitate(self, scorer: CandidateScorer) -> None:
        """Collects and fits, round by round."""
        config, parts, seeds = self.config, [], _seeds(self.config.seed)
        behaviour = Behaviour(slots=config.slots, forecaster=self.served, hindsight=config.hindsight)
        with Collector(self.generator, behaviour, config.workers) as collector:
            for n in range(config.rounds):
                student = None if n == 0 else copy.deepcopy(scorer).cpu()
                who = "their labels" if student is None else "labels and student"
                self.observer.phase("collect", f"days of the training part, played by {who}")
                parts += self._collect(collector, seeds, student, n)
                decisions = Decisions.joined(parts)
                if len(decisions) == 0:
                    raise QuellError(
                        "training: on none of the days played was there anything to decide; raise the load"
                    )
                self.observer.phase("fit", f"{len(decisions):,} decisions of {len(parts)} days")
                if n == 0:
                    scorer.set_feature_scaling(
                        decisions.candidates[:8192], decisions.context[:8192], decisions.mask[:8192]
                    )
                self._fit(scorer, decisions, n)
                self._validate(scorer, is_ppo=False)
        self.metrics |= {"imitation/days": float(len(parts)), "imitation/decisions": float(len(decisions))}

    def _collect(
        self, collector: Collector, seeds: Iterator[int], student: CandidateScorer | None, n: int
    ) -> list[Decisions]:
        """Days for this round: by time, or as many as the configuration says."""
        config, parts = self.config, []
        wanted = config.days_per_round
        share = config.collect_share * config.budget_seconds / config.rounds
        began = time.monotonic()
        for decisions in collector.days(seeds, student):
            parts.append(decisions)
            self.counted += 1
            self._tick()
            if wanted is not None and len(parts) >= wanted:
                break
            if wanted is None and time.monotonic() - began > share:
                break
        self._log({"collect/days": len(parts), "collect/seconds": time.monotonic() - began}, n)
        return parts

    def _fit(self, scorer: CandidateScorer, decisions: Decisions, n: int) -> None:
        """One fit; its curve goes on where that of the round before ended."""
        config = self.config
        first = n * config.fit_steps

        def on_step(step: int, loss: float) -> None:
            self._point("imitation/expected worth (host-minutes)", first + step, -loss)
            self._tick()

        share = config.imitation_share * (n + 1) / config.rounds
        deadline = self.started + share * config.budget_seconds - self.validation.seconds
        fit(
            scorer,
            decisions,
            steps=config.fit_steps,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            seed=config.seed + n,
            deadline=deadline if config.days is None else np.inf,
            on_step=on_step,
        )

    def _improve(self) -> None:
        """PPO from the best policy so far, for what is left of the budget."""
        assert self.best is not None
        left, updates = self.started + self.config.budget_seconds - time.monotonic(), self.config.ppo_updates
        if updates == 0 or self._is_time_up():
            return
        told = f"{max(left, 0):.0f} s left" if updates is None else f"{updates} updates"
        self.observer.phase("improve", f"MaskablePPO, {told}")
        cloned, improved, least = self.best.scorer, None, np.inf
        outlook = None if self.served is None else MixedOutlook(self.served)
        for update, (scorer, figures) in enumerate(
            improve(self.best.scorer, self.generator, self.config, self.device, self._is_time_up, outlook)
        ):
            self._log({f"ppo/{name}": value for name, value in figures.items()}, update)
            for name in ("step_reward", "divergence_kl"):
                if name in figures:
                    self._point(f"ppo/{name}", update, figures[name])
            self.counted += 1
            ratio = self._validate(scorer, is_ppo=True)
            if ratio < least:
                improved, least = copy.deepcopy(scorer).cpu(), ratio
        if improved is not None and not self._lacks_time(GAIN_VALIDATIONS + SERVED_VALIDATIONS):
            self.metrics["ppo_gain_percent"] = self._gain_percent(cloned, improved)

    def _gain_percent(self, before: CandidateScorer, after: CandidateScorer) -> float:
        """How much less the best policy of PPO costs than the one it began with, on days that nothing is chosen by."""
        self.observer.phase("validation", "what PPO has gained, on days of its own")
        validation = Validation(self.parts[1], self.config, GAIN_SEED)
        validation.prepare()
        was, is_now = (validation.cost_ratio(scorer, self.served)[0] for scorer in (before, after))
        self._tick()
        return 100 * (1 - is_now / was) if was > 0 else 0.0

    def _is_time_up(self) -> bool:
        """Whether there is no time for another update, its validation, and those at the end."""
        return self._lacks_time(1 + GAIN_VALIDATIONS + SERVED_VALIDATIONS)

    def _lacks_time(self, validations: int) -> bool:
        """Whether there is no time for so many validations; there always is where a number of updates decides."""
        if self.config.ppo_updates is not None:
            return False
        needed = self.validation.seconds * validations
        return time.monotonic() + needed > self.started + self.config.budget_seconds

    def _validate(self, scorer: CandidateScorer, *, is_ppo: bool) -> float:
        """The cost on the validation days, as a share of that of doing nothing; the best policy is kept."""
        ratio, moved_gib = self.validation.cost_ratio(scorer, self.served)
        self.step += 1
        self._point("validation/cost, share of doing nothing", self.step, ratio)
        self._log({"validation/cost_ratio": ratio, "validation/moved_gib": moved_gib}, self.step)
        if ratio < self.best_ratio:
            self.best_ratio = ratio
            self.metrics |= {"validation_cost_ratio": ratio, "validation_moved_gib": moved_gib}
            self.metrics["best_is_from_ppo"] = float(is_ppo)
            kept = copy.deepcopy(scorer).cpu()
            self.best = TrainedPolicy(kept, self.config, dict(self.metrics), dict(self.curves), self.forecaster)
            self.observer.best(self.best)
        self._tick()
        return ratio

    def _point(self, curve: str, x: float, y: float) -> None:
        self.curves.setdefault(curve, []).append((float(x), float(y)))

    def _log(self, values: Mapping[str, float], step: int) -> None:
        self.observer.metrics({name: float(value) for name, value in values.items()}, step)

    def _tick(self) -> None:
        if self.config.work_count is None:
            self.observer.progress(time.monotonic() - self.started, self.config.budget_seconds)
        else:
            self.observer.progress(self.counted, self.config.work_count)


def _seeds(seed: int) -> Iterator[int]:
    """Seeds of training days: they never repeat within a training."""
    return (int(s) for s in (np.random.SeedSequence([seed, n]).generate_state(1)[0] for n in itertools.count()))


def device_of(name: str) -> th.device:
    """The device of a name.

    Raises:
        QuellError: CUDA is asked for and not there.
    """
    has_cuda = th.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise QuellError("--device cuda: there is none on this machine, or this PyTorch cannot use it; use cpu or auto")
    return th.device("cuda" if name == "cuda" or (name == "auto" and has_cuda) else "cpu")
