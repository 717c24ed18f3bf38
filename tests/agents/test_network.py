"""The candidate scorer: what it may depend on, what it must not, and that MaskablePPO learns with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib import MaskablePPO
from stable_baselines3.common.vec_env import DummyVecEnv

from quell.agents.network import FEATURE_CLIP, MASKED_LOGIT, CandidateScorer, ScorerPolicy

FEATURES, CONTEXT = 6, 3
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small are many times slower when threads share them on a busy machine."""
    threads = th.get_num_threads()
    th.set_num_threads(1)
    yield
    th.set_num_threads(threads)


def make_scorer(seed: int = 0, candidate_features: int = FEATURES, context_features: int = CONTEXT) -> CandidateScorer:
    """A scorer with weights large enough for its scores to differ clearly."""
    th.manual_seed(seed)
    scorer = CandidateScorer(candidate_features, context_features)
    with th.no_grad():
        scorer.logit.weight.normal_()
        scorer.stop_embedding.normal_()
    return scorer


def make_observation(seed: int, batch: int = 3, slots: int = 9) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
    """Random candidates, context and mask, stop allowed."""
    rng = np.random.default_rng(seed)
    mask = rng.random((batch, slots)) < 0.6
    mask[:, 0] = True
    arrays = rng.normal(size=(batch, slots, FEATURES)), rng.normal(size=(batch, CONTEXT)), mask
    return tuple(th.as_tensor(array, dtype=th.float32) for array in arrays)  # type: ignore[return-value]


def score(scorer: CandidateScorer, *observation: th.Tensor) -> tuple[np.ndarray, np.ndarray]:
    with th.no_grad():
        logits, value = scorer(*observation)
    return logits.numpy(), value.numpy()


SCORER = make_scorer()  # for the properties below, which only read it
few = settings(max_examples=30)


class TestCandidateScorer:
    def test_has_about_ten_thousand_parameters_whatever_the_number_of_slots(self) -> None:
        scorer = CandidateScorer(candidate_features=24, context_features=20)
        assert 6_000 < sum(parameter.numel() for parameter in scorer.parameters()) < 14_000

    @pytest.mark.parametrize("slots", [1, 2, 9, 65])
    def test_one_network_scores_any_number_of_slots(self, slots: int) -> None:
        logits, value = score(make_scorer(), *make_observation(0, batch=2, slots=slots))
        assert logits.shape == (2, slots) and value.shape == (2,)

    @few
    @given(seeds)
    def test_the_order_of_the_candidates_does_not_matter(self, seed: int) -> None:
        candidates, context, mask = make_observation(seed)
        order = np.concatenate([[0], 1 + np.random.default_rng(seed).permutation(candidates.shape[1] - 1)])
        logits, value = score(SCORER, candidates, context, mask)
        shuffled_logits, shuffled_value = score(SCORER, candidates[:, order], context, mask[:, order])
        np.testing.assert_allclose(shuffled_logits, logits[:, order], atol=1e-5)
        np.testing.assert_allclose(shuffled_value, value, atol=1e-5)

    @few
    @given(seeds, st.sampled_from([0.0, 1e30, float("nan"), float("inf")]))
    def test_what_stands_in_masked_slots_does_not_matter(self, seed: int, content: float) -> None:
        candidates, context, mask = make_observation(seed)
        logits, value = score(SCORER, candidates, context, mask)
        other = th.where(mask.bool().unsqueeze(-1), candidates, th.tensor(content))
        other_logits, other_value = score(SCORER, other, context, mask)
        np.testing.assert_array_equal(other_logits, logits)
        np.testing.assert_array_equal(other_value, value)
        assert (logits[mask.numpy() == 0] == MASKED_LOGIT).all()

    @few
    @given(seeds, st.integers(1, 5))
    def test_masked_slots_appended_do_not_matter(self, seed: int, extra: int) -> None:
        candidates, context, mask = make_observation(seed)
        logits, value = score(SCORER, candidates, context, mask)
        padded = th.cat([candidates, th.full((3, extra, FEATURES), 7.0)], dim=1)
        padded_logits, padded_value = score(SCORER, padded, context, th.cat([mask, th.zeros(3, extra)], dim=1))
        np.testing.assert_allclose(padded_logits[:, :-extra], logits, atol=1e-5)
        np.testing.assert_allclose(padded_value, value, atol=1e-5)

    def test_an_allowed_competitor_and_the_context_do_matter(self) -> None:
        candidates, context, mask = make_observation(0)
        mask[:] = 1
        logits, value = score(make_scorer(), candidates, context, mask)
        candidates[:, 8] += 5
        competing_logits, competing_value = score(make_scorer(), candidates, context, mask)
        other_logits, other_value = score(make_scorer(), candidates, context + 1, mask)
        assert (np.abs(competing_logits[:, :8] - logits[:, :8]) > 1e-4).all()
        assert (np.abs(competing_value - value) > 1e-4).all()
        assert (np.abs(other_logits - competing_logits) > 1e-4).any(axis=1).all()
        assert (np.abs(other_value - competing_value) > 1e-4).all()

    def test_stop_is_told_apart_from_a_move_with_the_same_features(self) -> None:
        logits, _ = score(make_scorer(), th.zeros(1, 2, FEATURES), th.zeros(1, CONTEXT), th.ones(1, 2))
        assert abs(logits[0, 0] - logits[0, 1]) > 1e-3

    def test_gradients_stay_finite_with_nan_in_masked_slots(self) -> None:
        scorer = make_scorer()
        candidates, context, mask = make_observation(1)
        candidates[mask == 0] = float("nan")
        logits, value = scorer(candidates, context, mask)
        (logits[mask == 1].sum() + value.sum()).backward()
        assert all(bool(th.isfinite(parameter.grad).all()) for parameter in scorer.parameters())  # type: ignore[arg-type]


class TestFeatureScaling:
    def test_takes_mean_and_std_of_allowed_moves_only(self) -> None:
        scorer = make_scorer()
        candidates, context, mask = (array.numpy() for array in make_observation(2, batch=50))
        candidates[mask == 0] = np.nan
        candidates[:, 0] = 1000.0  # stop has its own embedding, and no part in the figures
        scorer.set_feature_scaling(candidates, context, mask)
        moves = candidates[:, 1:][mask[:, 1:] == 1]
        np.testing.assert_allclose(scorer.candidate_mean.numpy(), moves.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(scorer.candidate_std.numpy(), moves.std(axis=0), rtol=1e-4)
        np.testing.assert_allclose(scorer.context_mean.numpy(), context.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(scorer.context_std.numpy(), context.std(axis=0), rtol=1e-4)

    def test_scaled_features_score_as_plain_ones_did(self) -> None:
        scaled, plain = make_scorer(), make_scorer()
        candidates, context, mask = make_observation(3)
        scaled.candidate_mean.fill_(4.0)
        scaled.candidate_std.fill_(3.0)
        scaled.context_mean.fill_(-2.0)
        scaled.context_std.fill_(0.5)
        expected = score(plain, candidates, context, mask)
        found = score(scaled, candidates * 3 + 4, context * 0.5 - 2, mask)
        np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
        np.testing.assert_allclose(found[1], expected[1], atol=1e-5)

    def test_freak_values_are_clipped(self) -> None:
        candidates, context, mask = make_observation(4)
        at_the_limit = score(make_scorer(), candidates, th.full_like(context, FEATURE_CLIP), mask)
        far_beyond = score(make_scorer(), candidates, th.full_like(context, 1e9), mask)
        np.testing.assert_array_equal(far_beyond[0], at_the_limit[0])

    def test_a_constant_feature_is_centred_but_not_blown_up(self) -> None:
        scorer = make_scorer()
        candidates, context, mask = make_observation(5, batch=20)
        candidates[..., 2] = 0.25
        scorer.set_feature_scaling(candidates, context, mask)
        assert scorer.candidate_std[2] == 1.0 and scorer.candidate_mean[2] == 0.25

    def test_travels_with_the_weights_but_is_not_learned(self) -> None:
        scorer, other = make_scorer(), make_scorer(seed=1)
        scorer.set_feature_scaling(*make_observation(6, batch=20))
        other.load_state_dict(scorer.state_dict())
        assert th.equal(other.candidate_std, scorer.candidate_std)
        assert "candidate_std" not in dict(scorer.named_parameters())

    def test_refuses_observations_without_a_move_and_values_that_are_no_numbers(self) -> None:
        candidates, context, mask = make_observation(7)
        with pytest.raises(ValueError, match="at least one allowed move"):
            make_scorer().set_feature_scaling(candidates, context, th.zeros_like(mask))
        with pytest.raises(ValueError, match="context feature is not finite"):
            make_scorer().set_feature_scaling(candidates, context * float("nan"), mask)


class BestCandidate(gym.Env[Any, Any]):
    """Each step shows K candidates, about half of them forbidden; feature 0 of the one chosen is the reward."""

    def __init__(self, moves: int, steps: int = 8) -> None:
        self.slots, self.steps = moves + 1, steps
        self.action_space = spaces.Discrete(self.slots)
        self.observation_space = spaces.Dict(
            candidates=spaces.Box(0, 1, (self.slots, 3), np.float32),
            context=spaces.Box(0, 1, (2,), np.float32),
            mask=spaces.Box(0, 1, (self.slots,), np.int8),
        )

    def action_masks(self) -> np.ndarray:
        return self.shown["mask"].astype(bool)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self.step_number = 0
        return self._show(), {}

    def step(self, action: int) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        assert self.shown["mask"][action] == 1, "a forbidden candidate was chosen"
        reward = float(self.shown["candidates"][action, 0])
        self.step_number += 1
        return self._show(), reward, False, self.step_number >= self.steps, {}

    def _show(self) -> dict[str, np.ndarray]:
        candidates = self.np_random.random((self.slots, 3), dtype=np.float32)
        candidates[0] = 0
        mask = (self.np_random.random(self.slots) < 0.5).astype(np.int8)
        mask[0] = 1
        self.shown: dict[str, np.ndarray] = {"candidates": candidates, "context": np.ones(2, np.float32), "mask": mask}
        return self.shown


def make_model(moves: int, **arguments: Any) -> MaskablePPO:
    """MaskablePPO on eight toys, small and quick."""
    environments = DummyVecEnv([lambda: BestCandidate(moves)] * 8)
    settings = {"n_steps": 32, "batch_size": 128, "n_epochs": 4, "learning_rate": 3e-3, "gamma": 0.5, "seed": 0}
    return MaskablePPO(ScorerPolicy, environments, device="cpu", **(settings | arguments))


def policy_of(model: MaskablePPO) -> ScorerPolicy:
    """The model's policy, which must be ours."""
    assert isinstance(model.policy, ScorerPolicy)
    return model.policy


def probabilities(policy: ScorerPolicy, observation: Any) -> th.Tensor:
    """Probability of each slot."""
    distribution: Any = policy.get_distribution(observation).distribution
    probs: th.Tensor = distribution.probs
    return probs


def mean_reward(model: MaskablePPO, moves: int, steps: int = 400) -> float:
    """Mean reward of the greedy policy on fresh observations."""
    env = BestCandidate(moves)
    observation, _ = env.reset(seed=123)
    total = 0.0
    for _ in range(steps):
        action, _ = model.predict(observation, deterministic=True, action_masks=env.action_masks())
        observation, reward, *_ = env.step(int(action))
        total += reward
    return total / steps


@pytest.fixture(scope="module")
def trained() -> MaskablePPO:
    """A model after a few seconds of training on shortlists of 8."""
    return make_model(moves=8).learn(4_000)


class TestScorerPolicy:
    def test_learns_the_toy_clearly_above_chance(self, trained: MaskablePPO) -> None:
        # A random allowed move earns 0.4 to 0.5, the best of 8 half-forbidden ones 0.78 on average.
        assert mean_reward(trained, moves=8) > 0.76

    def test_weights_move_to_another_shortlist_size(self, trained: MaskablePPO) -> None:
        larger = make_model(moves=64)
        before = mean_reward(larger, moves=64)
        policy_of(larger).scorer.load_state_dict(policy_of(trained).scorer.state_dict())
        assert before < 0.7 and mean_reward(larger, moves=64) > 0.9

    def test_saving_and_loading_gives_the_same_policy(self, trained: MaskablePPO, tmp_path: Path) -> None:
        trained.save(tmp_path / "model.zip")
        trained.policy.save(str(tmp_path / "policy.pt"))
        env = BestCandidate(moves=8)
        observation, _ = env.reset(seed=5)
        tensors, _ = trained.policy.obs_to_tensor(observation)
        expected = probabilities(policy_of(trained), tensors)
        for policy in (
            policy_of(MaskablePPO.load(tmp_path / "model.zip", device="cpu")),
            ScorerPolicy.load(str(tmp_path / "policy.pt"), device="cpu"),
        ):
            assert th.equal(probabilities(policy, tensors), expected)
            assert th.equal(policy.predict_values(tensors), trained.policy.predict_values(tensors))

    def test_another_width_survives_saving(self, tmp_path: Path) -> None:
        policy = policy_of(make_model(moves=4, policy_kwargs={"width": 16}))
        policy.save(str(tmp_path / "policy.pt"))
        loaded = ScorerPolicy.load(str(tmp_path / "policy.pt"), device="cpu")
        assert loaded.scorer.candidate_in.out_features == policy.scorer.candidate_in.out_features == 16

    def test_all_ways_through_the_policy_agree(self, trained: MaskablePPO) -> None:
        policy = policy_of(trained)
        env: Any = trained.get_env()
        tensors: Any = policy.obs_to_tensor(env.reset())[0]
        masks: Any = np.stack(env.env_method("action_masks"))
        actions, values, log_prob = policy(tensors, deterministic=True, action_masks=masks)
        again_values, again_log_prob, entropy = policy.evaluate_actions(tensors, actions, action_masks=masks)
        assert values.shape == (8, 1) and th.equal(values, again_values)
        assert th.equal(values, policy.predict_values(tensors))
        assert th.equal(log_prob, again_log_prob) and entropy is not None and bool(entropy.min() >= 0)
        assert th.equal(actions, policy._predict(tensors, deterministic=True, action_masks=masks))

    def test_the_mask_in_the_observation_holds_without_action_masks(self) -> None:
        policy = make_model(moves=8).policy
        observation, _ = BestCandidate(moves=8).reset(seed=1)
        observation["mask"] = np.eye(9, dtype=np.int8)[3]
        assert {int(policy.predict(observation)[0]) for _ in range(50)} == {3}

    def test_a_mask_that_allows_nothing_is_refused(self) -> None:
        model = make_model(moves=8)
        observation, _ = BestCandidate(moves=8).reset(seed=1)
        with pytest.raises(ValueError, match="row 0 allows nothing"):
            model.predict(observation, action_masks=np.zeros(9, bool))

    def test_the_optimizer_holds_every_weight_of_the_scorer_and_nothing_else(self) -> None:
        policy = policy_of(make_model(moves=8))
        held = [id(parameter) for group in policy.optimizer.param_groups for parameter in group["params"]]
        assert sorted(held) == sorted(id(parameter) for parameter in policy.scorer.parameters())

    def test_spaces_that_do_not_agree_are_refused(self) -> None:
        space: Any = BestCandidate(moves=8).observation_space
        with pytest.raises(ValueError, match="they must agree"):
            ScorerPolicy(space, spaces.Discrete(10), lambda _: 1e-3)
