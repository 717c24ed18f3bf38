"""Training: what is learned on the toy, and what a training promises: same seed, same policy; its budget; Ctrl-C."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch as th
from sb3_contrib import MaskablePPO

from quell.agents import imitation, reinforce
from quell.agents.days import Behaviour, Decisions, Scores, play_day
from quell.agents.imitation import Collector, expected_worth, fit, scores_of
from quell.agents.network import MASKED_LOGIT, CandidateScorer
from quell.agents.planner import LearnedPlanner, Proposal
from quell.agents.reinforce import improve
from quell.agents.train import TrainConfig, TrainedPolicy, train
from quell.agents.validation import Trainee
from quell.env.gym.features import SCHEMA
from quell.env.gym.generator import ToyGenerator
from quell.env.model.errors import QuellError
from quell.env.world.rounds import run_episode
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.traces import part

TRACE = synthetic_trace(0)
TRAIN_PART, VALIDATION_PART = part(TRACE, "train"), part(TRACE, "validation")
TOY_SLOTS = 4
TOY_OPTIMUM = 8.0  # GiB: the one move that ends the contention for good
TINY = TrainConfig(
    seed=3,
    hosts=(3, 4),
    vms_per_host=(8, 10),
    load=(0.65, 0.75),
    rounds=2,
    days=2,
    fit_steps=40,
    batch_size=32,
    workers=0,
    validation_episodes=1,
    validation_hosts=3,
    validation_vms_per_host=8,
    ppo_rollout=32,
    ppo_batch_size=16,
    ppo_updates=1,
    forecast_steps=0,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are many times slower when threads share them on a busy machine."""
    threads = th.get_num_threads()
    th.set_num_threads(1)
    yield
    th.set_num_threads(threads)


def make_scorer(seed: int = 0) -> CandidateScorer:
    th.manual_seed(seed)
    return CandidateScorer(len(SCHEMA.candidate), len(SCHEMA.context))


def toy_cost(scores: Scores) -> float:
    """What a day on the toy costs under the greedy policy."""
    episode = ToyGenerator()(np.random.default_rng(0))
    result = run_episode(episode, LearnedPlanner(Trainee(scores, TOY_SLOTS), proposals=(Proposal.POLICY,)))
    assert result.violations == 0
    return result.costs.total


def quiet_day() -> Decisions:
    """A day of the toy on which the one contention has been ended before."""
    episode = ToyGenerator()(np.random.default_rng(0))
    calm = replace(episode, cluster=episode.cluster.moved_to(np.array([0, 1, 1])))
    return play_day(calm, Behaviour(slots=TOY_SLOTS), None, np.random.default_rng(0))


def random_scores(rng: np.random.Generator) -> Scores:
    return lambda candidates, context, mask: rng.standard_normal(len(mask))


class Recorder:
    """Notes what a training tells; may stop it in a phase."""

    def __init__(self, stop_in: str = "") -> None:
        self.phases: list[str] = []
        self.policies: list[TrainedPolicy] = []
        self.figures: dict[str, float] = {}
        self.done = 0.0
        self.total = 0.0
        self._stop_in = stop_in

    def phase(self, name: str, detail: str) -> None:
        self.phases.append(name)
        if name == self._stop_in:
            raise KeyboardInterrupt

    def progress(self, done: float, total: float) -> None:
        assert done >= self.done and total > 0
        self.done, self.total = done, total

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        assert all(isinstance(value, float) and np.isfinite(value) for value in values.values())
        self.figures |= values

    def best(self, policy: TrainedPolicy) -> None:
        self.policies.append(policy)


class TestLoss:
    def test_it_is_the_worth_of_the_choice_where_the_choice_is_certain(self) -> None:
        worth = th.tensor([[0.0, 3.0, -1.0]])
        logits = th.tensor([[0.0, 50.0, 0.0]])
        assert expected_worth(logits, worth, th.ones(1, 3, dtype=th.bool)).item() == pytest.approx(3.0)

    def test_masked_slots_count_for_nothing(self) -> None:
        worth, mask = th.tensor([[0.0, 1.0, 999.0]]), th.tensor([[True, True, False]])
        open_pair = expected_worth(th.zeros(1, 2), worth[:, :2], mask[:, :2])
        masked = expected_worth(th.tensor([[0.0, 0.0, MASKED_LOGIT]]), worth, mask)
        assert masked.item() == pytest.approx(open_pair.item())

    def test_uncertainty_earns_a_little_where_nothing_is_worth_more(self) -> None:
        worth, mask = th.zeros(1, 2), th.ones(1, 2, dtype=th.bool)
        even, sure = (expected_worth(th.tensor([[0.0, logit]]), worth, mask).item() for logit in (0.0, 5.0))
        assert even > sure


class TestPlayedDays:
    def test_every_decision_of_the_toy_is_labelled(self) -> None:
        days = [self.play(seed) for seed in range(8)]
        decisions = Decisions.joined(days)
        assert len(decisions) == sum(len(day) for day in days) > 0
        assert (decisions.worth[:, 0] == 0).all() and (decisions.worth[~decisions.mask] == 0).all()
        # At midnight an hour of one core is avoided; 8 GiB and the cores the copy keeps busy count one and a half
        # times, and there is the charge of 20.
        best_worth = decisions.worth[0].max()
        assert 2.6 < best_worth < 2.8

    def test_a_day_depends_on_its_seed_alone(self) -> None:
        for name in ("candidates", "context", "mask", "worth"):
            assert np.array_equal(getattr(self.play(5), name), getattr(self.play(5), name))

    def test_a_quiet_day_has_no_decisions_and_joins_others(self) -> None:
        assert len(quiet_day()) == 0
        assert len(Decisions.joined([quiet_day(), self.play(0)])) == len(self.play(0))

    def test_worker_processes_play_the_same_days_in_the_same_order(self) -> None:
        behaviour = Behaviour(slots=TOY_SLOTS)
        played = []
        for workers in (0, 2):
            with Collector(ToyGenerator(), behaviour, workers) as collector:
                played.append(list(itertools.islice(collector.days(iter(range(100)), make_scorer()), 5)))
        assert [day.worth.tolist() for day in played[0]] == [day.worth.tolist() for day in played[1]]
        assert multiprocessing.active_children() == []

    def play(self, seed: int) -> Decisions:
        rng = np.random.default_rng(seed)
        return play_day(ToyGenerator()(rng), Behaviour(slots=TOY_SLOTS), None, rng)


class TestLearningOnTheToy:
    """Doing nothing costs 1440 a day; the best there is, a little over 8."""

    def test_chance_is_far_from_the_optimum(self) -> None:
        costs = [toy_cost(random_scores(np.random.default_rng(seed))) for seed in range(8)]
        assert np.mean(costs) > 3 * TOY_OPTIMUM

    def test_imitation_reaches_it(self) -> None:
        scorer, behaviour = make_scorer(), Behaviour(slots=TOY_SLOTS)
        with Collector(ToyGenerator(), behaviour, 0) as collector:
            decisions = Decisions.joined(list(itertools.islice(collector.days(itertools.count(), None), 12)))
        scorer.set_feature_scaling(decisions.candidates, decisions.context, decisions.mask)
        fit(scorer, decisions, steps=150, batch_size=64, learning_rate=3e-3, seed=0)
        assert toy_cost(scores_of(scorer)) < 1.5 * TOY_OPTIMUM

    def test_a_fit_stays_on_the_device_of_its_scorer(self) -> None:
        """The device `meta` has shapes and no values: it refuses whatever lies on another device, as a GPU would."""
        rng, scorer = np.random.default_rng(0), make_scorer()
        day = play_day(ToyGenerator()(rng), Behaviour(slots=TOY_SLOTS), None, rng)
        fit(scorer.to("meta"), day, steps=2, batch_size=8, learning_rate=1e-3, seed=0)
        assert {parameter.device.type for parameter in scorer.parameters()} == {"meta"}

    def test_the_critic_does_not_shape_what_scores_moves(self) -> None:
        """Its gradients are far larger than those of the policy, which would follow them."""
        scorer = make_scorer()
        observed = th.rand(4, 5, len(SCHEMA.candidate)), th.rand(4, len(SCHEMA.context)), th.ones(4, 5)
        scorer(*observed)[1].sum().backward()
        touched = {name.split(".")[0] for name, weights in scorer.named_parameters() if weights.grad is not None}
        assert touched == {"value", "value_hidden"}

    def test_the_critic_is_fitted_before_the_rollout_that_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told: list[str] = []
        collect, fit_critic = MaskablePPO.collect_rollouts, reinforce._fit_critic

        def collected(self: MaskablePPO, *args: Any, **named: Any) -> bool:
            told.append("rollout")
            return bool(collect(self, *args, **named))

        def fitted(model: MaskablePPO) -> None:
            told.append("critic")
            fit_critic(model)

        monkeypatch.setattr(MaskablePPO, "collect_rollouts", collected)
        monkeypatch.setattr(reinforce, "_fit_critic", fitted)
        config = TrainConfig(slots=TOY_SLOTS, ppo_rollout=32, ppo_batch_size=16, ppo_updates=2)
        assert len(list(improve(make_scorer(), ToyGenerator(), config, th.device("cpu"), lambda: False))) == 2
        assert told == ["rollout", "critic", "rollout", "rollout"]

    def test_ppo_reaches_it_from_a_policy_that_never_moves(self) -> None:
        scorers = (make_scorer(seed=seed) for seed in range(20))
        scorer = next(scorer for scorer in scorers if toy_cost(scores_of(scorer)) == 1440)
        config = TrainConfig(
            slots=TOY_SLOTS, ppo_rollout=64, ppo_batch_size=64, ppo_learning_rate=1e-3, ppo_kl=0.2, ppo_updates=5
        )
        updates = improve(scorer, ToyGenerator(), config, th.device("cpu"), lambda: False)
        costs = [toy_cost(scores_of(improved)) for improved, _ in updates]
        assert len(costs) == 5
        assert costs[-1] < 1.5 * TOY_OPTIMUM


@pytest.fixture(scope="module")
def tiny() -> tuple[Recorder, TrainedPolicy]:
    """One tiny training, and what it told."""
    recorder = Recorder()
    return recorder, train(TRAIN_PART, VALIDATION_PART, TINY, recorder)


class TestTraining:
    def test_it_tells_what_it_does_and_keeps_the_best(self, tiny: tuple[Recorder, TrainedPolicy]) -> None:
        recorder, policy = tiny
        assert recorder.phases == [
            "validation",
            "collect",
            "fit",
            "collect",
            "fit",
            "improve",
            "validation",
            "validation",
        ]
        assert recorder.policies
        best = recorder.policies[-1]
        assert all(th.equal(a, b) for a, b in zip(best.scorer.parameters(), policy.scorer.parameters(), strict=True))
        costs = [cost for _, cost in policy.curves["validation/cost, share of doing nothing"]]
        assert len(costs) == 3  # after each of two fits and one update
        assert policy.metrics["validation_cost_ratio"] == min(costs)
        assert "ppo_gain_percent" in policy.metrics
        assert policy.metrics["best_is_from_ppo"] == float(costs[-1] < min(costs[:-1]))
        assert all(isinstance(value, float) for value in policy.metrics.values())
        assert policy.config == TINY
        assert recorder.done == recorder.total == 3  # two days and one update, as numbers of both are given

    def test_a_forecaster_is_trained_and_looked_ahead_with(self) -> None:
        recorder = Recorder()
        policy = train(TRAIN_PART, VALIDATION_PART, replace(TINY, forecast_steps=20), recorder)
        assert recorder.phases[:2] == ["validation", "forecast"]
        assert policy.forecaster is not None and policy.forecaster.training["steps"] == 20
        assert {"forecast_cpu_gain_percent", "forecast_storage_gain_percent"} <= policy.metrics.keys()
        assert recorder.policies[-1].forecaster is policy.forecaster

    def test_the_same_seed_gives_the_same_policy_and_another_seed_another(
        self, tiny: tuple[Recorder, TrainedPolicy]
    ) -> None:
        anew = (train(TRAIN_PART, VALIDATION_PART, config, Recorder()) for config in (TINY, replace(TINY, seed=4)))
        first, again, other = (self.weights(policy) for policy in (tiny[1], *anew))
        assert all(th.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not all(th.equal(a, b) for a, b in zip(first, other, strict=True))

    def test_an_interrupt_comes_through_once_the_workers_are_gone(self) -> None:
        recorder = Recorder(stop_in="fit")
        with pytest.raises(KeyboardInterrupt):
            train(TRAIN_PART, VALIDATION_PART, replace(TINY, workers=1), recorder)
        assert multiprocessing.active_children() == []

    def test_an_interrupted_training_has_told_its_best_policy(self) -> None:
        recorder = Recorder(stop_in="improve")
        with pytest.raises(KeyboardInterrupt):
            train(TRAIN_PART, VALIDATION_PART, TINY, recorder)
        assert recorder.policies

    def test_days_without_anything_to_decide_are_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(imitation, "play_day", lambda *_: quiet_day())
        with pytest.raises(QuellError, match="anything to decide"):
            train(TRAIN_PART, VALIDATION_PART, TINY, Recorder())

    def test_settings_that_make_no_sense_are_refused(self) -> None:
        with pytest.raises(QuellError, match="budget"):
            TrainConfig(budget_seconds=0)
        if not th.cuda.is_available():
            with pytest.raises(QuellError, match="cuda"):
                train(TRAIN_PART, VALIDATION_PART, replace(TINY, device="cuda"), Recorder())

    @pytest.mark.slow
    def test_a_budget_ends_the_training_by_itself(self) -> None:
        config = TrainConfig(budget_seconds=25, validation_episodes=2, validation_hosts=4, hosts=(4, 6))
        policy = train(TRAIN_PART, VALIDATION_PART, config, Recorder())
        assert policy.metrics["validation_cost_ratio"] < 1

    @staticmethod
    def weights(policy: TrainedPolicy) -> list[th.Tensor]:
        return list(policy.scorer.state_dict().values())
