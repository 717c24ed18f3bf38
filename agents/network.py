"""The learned policy's network: one small scorer, shared by all candidate moves, and its face towards MaskablePPO.

Each candidate passes through the same MLP, with the cluster's context added; mean and maximum over the allowed
candidates tell each of them what it competes with; a value head reads the pooled embedding and the context. No
parameter depends on the number of hosts, of VMs or of slots, so weights trained on one cluster serve every other.

Shapes: B observations, S = K + 1 slots (slot 0 is *stop*), F candidate features, C context features, W width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib.common.maskable.distributions import MaskableCategoricalDistribution, MaybeMasks
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

DEFAULT_WIDTH = 32
MASKED_LOGIT = -1e8  # as in sb3_contrib's MaskableCategorical: its probability is exactly 0 in float32
FEATURE_CLIP = 10.0  # standard deviations; keeps one freak measurement from deciding everything
CONSTANT_STD = 1e-3  # a feature that varies less in the data is only centred, not blown up


class CandidateScorer(nn.Module):
    """Scores S candidate moves and estimates the value of the situation; about 10 k parameters at width 32.

    Args:
        candidate_features: F, features of one candidate.
        context_features: C, features of the cluster.
        width: W, size of the hidden layers.
    """

    candidate_mean: th.Tensor
    candidate_std: th.Tensor
    context_mean: th.Tensor
    context_std: th.Tensor

    def __init__(self, candidate_features: int, context_features: int, width: int = DEFAULT_WIDTH) -> None:
        super().__init__()
        self.candidate_in = nn.Linear(candidate_features, width)
        self.context_in = nn.Linear(context_features, width, bias=False)
        self.stop_embedding = nn.Parameter(th.zeros(width))
        self.candidate_hidden = nn.Linear(width, width)
        self.pooled_in = nn.Linear(2 * width, width, bias=False)
        self.score_hidden = nn.Linear(width, width)
        self.logit = nn.Linear(width, 1)
        self.value_hidden = nn.Linear(2 * width + context_features, width)
        self.value = nn.Linear(width, 1)
        # Buffers, not parameters: they travel with the weights and into the ONNX file, but are not learned.
        self.register_buffer("candidate_mean", th.zeros(candidate_features))
        self.register_buffer("candidate_std", th.ones(candidate_features))
        self.register_buffer("context_mean", th.zeros(context_features))
        self.register_buffer("context_std", th.ones(context_features))
        self._initialise()

    @property
    def candidate_features(self) -> int:
        """F, features of one candidate."""
        return self.candidate_in.in_features

    @property
    def context_features(self) -> int:
        """C, features of the cluster."""
        return self.context_in.in_features

    def forward(self, candidates: th.Tensor, context: th.Tensor, mask: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Logit of every slot and value of every observation.

        A masked slot gets `MASKED_LOGIT`, and its content, NaN included, influences nothing.

        Args:
            candidates: features of the candidates, slot 0 first; shape (B, S, F).
            context: features of the cluster; shape (B, C).
            mask: above 0.5 = allowed; shape (B, S).

        Returns:
            The logits, shape (B, S), and the values, shape (B,).
        """
        allowed_BS = mask > 0.5
        allowed_BS1 = allowed_BS.unsqueeze(-1)
        zero = th.zeros((), dtype=candidates.dtype, device=candidates.device)
        # Masked rows are emptied before anything is computed: a NaN multiplied by 0 later would still be a NaN.
        candidates_BSF = _scaled(th.where(allowed_BS1, candidates, zero), self.candidate_mean, self.candidate_std)
        context_BC = _scaled(context, self.context_mean, self.context_std)

        embedding_BSW = self.candidate_in(candidates_BSF) + self.context_in(context_BC).unsqueeze(1)
        stop_BSW = embedding_BSW[:, :1] + self.stop_embedding
        embedding_BSW = th.relu(th.cat([stop_BSW, embedding_BSW[:, 1:]], dim=1))
        embedding_BSW = th.relu(self.candidate_hidden(embedding_BSW))

        kept_BSW = th.where(allowed_BS1, embedding_BSW, zero)  # embeddings are >= 0, so 0 leaves the maximum alone
        count_B1 = allowed_BS1.sum(dim=1).clamp(min=1)
        pooled_B2W = th.cat([kept_BSW.sum(dim=1) / count_B1, kept_BSW.amax(dim=1)], dim=-1)

        score_BSW = th.relu(self.score_hidden(embedding_BSW) + self.pooled_in(pooled_B2W).unsqueeze(1))
        logits_BS = self.logit(score_BSW).squeeze(-1).masked_fill(~allowed_BS, MASKED_LOGIT)
        # The critic reads the embedding and does not shape it: its gradients are some thirty times those of the policy.
        value_BW = th.relu(self.value_hidden(th.cat([pooled_B2W.detach(), context_BC], dim=-1)))
        return logits_BS, self.value(value_BW).squeeze(-1)

    def set_feature_scaling(
        self, candidates: np.ndarray | th.Tensor, context: np.ndarray | th.Tensor, mask: np.ndarray | th.Tensor
    ) -> None:
        """Sets mean and standard deviation of the inputs from recorded observations; call it before training.

        Only allowed moves count: masked rows hold nothing, and slot 0 has an embedding of its own.

        Args:
            candidates: recorded candidate features; shape (N, S, F).
            context: recorded context features; shape (N, C).
            mask: above 0.5 = allowed; shape (N, S).

        Raises:
            ValueError: no move is allowed in any observation, or an allowed feature is not finite.
        """
        allowed_NS = th.as_tensor(mask) > 0.5
        moves_MF = th.as_tensor(candidates)[:, 1:][allowed_NS[:, 1:]].float()
        context_NC = th.as_tensor(context).float()
        if len(moves_MF) == 0:
            raise ValueError("feature scaling needs at least one allowed move")
        for name, features in (("candidate", moves_MF), ("context", context_NC)):
            if not bool(th.isfinite(features).all()):
                raise ValueError(f"feature scaling: a {name} feature is not finite")
        self.candidate_mean.copy_(moves_MF.mean(dim=0))
        self.candidate_std.copy_(_usable_std(moves_MF))
        self.context_mean.copy_(context_NC.mean(dim=0))
        self.context_std.copy_(_usable_std(context_NC))

    def _initialise(self) -> None:
        """Orthogonal weights; small ones before the logits, so that training starts from a near-uniform choice.

        Source: the gains of stable-baselines3's actor-critic policies (sqrt(2) hidden, 0.01 action, 1 value).
        """
        gain_of = {self.logit: 0.01, self.value: 1.0}
        for layer in self.children():
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight, gain=gain_of.get(layer, 2**0.5))
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def _scaled(features: th.Tensor, mean: th.Tensor, std: th.Tensor) -> th.Tensor:
    """The features in standard deviations from their mean, clipped to +-`FEATURE_CLIP`."""
    return ((features - mean) / std).clamp(-FEATURE_CLIP, FEATURE_CLIP)


def _usable_std(features_NF: th.Tensor) -> th.Tensor:
    """Standard deviation of each feature, 1 where it hardly varies; shape (F,)."""
    std_F = features_NF.std(dim=0, correction=0)
    return th.where(std_F < CONSTANT_STD, th.ones_like(std_F), std_F)


class ScorerExtractor(BaseFeaturesExtractor):
    """A `CandidateScorer` as SB3's features extractor: a `Dict` observation becomes S logits and, last, the value.

    Args:
        observation_space: `Dict` of `candidates` (S, F), `context` (C,) and `mask` (S,).
        width: W, size of the hidden layers.
    """

    def __init__(self, observation_space: spaces.Dict, width: int = DEFAULT_WIDTH) -> None:
        slots, candidate_features = _shape(observation_space, "candidates", axes=2)
        (context_features,) = _shape(observation_space, "context", axes=1)
        super().__init__(observation_space, features_dim=slots + 1)
        self.scorer = CandidateScorer(candidate_features, context_features, width)

    def forward(self, observations: dict[str, th.Tensor]) -> th.Tensor:
        """Logits and value side by side; shape (B, S + 1)."""
        logits_BS, value_B = self.scorer(observations["candidates"], observations["context"], observations["mask"])
        return th.cat([logits_BS, value_B.unsqueeze(-1)], dim=-1)


class SplitScores(nn.Module):
    """Takes apart what `ScorerExtractor` put side by side; stands where SB3 has its MLP extractor."""

    def forward(self, scores: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Logits (B, S) and value (B, 1)."""
        return self.forward_actor(scores), self.forward_critic(scores)

    def forward_actor(self, scores: th.Tensor) -> th.Tensor:
        """Logits; shape (B, S)."""
        return scores[:, :-1]

    def forward_critic(self, scores: th.Tensor) -> th.Tensor:
        """Value; shape (B, 1)."""
        return scores[:, -1:]


class CheckedMaskableDistribution(MaskableCategoricalDistribution):
    """Refuses a mask that allows nothing, where its parent would quietly choose among forbidden actions."""

    def apply_masking(self, masks: MaybeMasks) -> None:
        """Masks the distribution.

        Raises:
            ValueError: some row of `masks` allows no action.
        """
        if masks is not None:
            mask_BS = th.as_tensor(masks, dtype=th.bool).reshape(-1, self.action_dim)
            if not bool(mask_BS.any(dim=1).all()):
                row = int(mask_BS.any(dim=1).int().argmin())
                raise ValueError(f"the action mask of row {row} allows nothing; slot 0 (stop) is always allowed")
        super().apply_masking(masks)


class ScorerPolicy(MaskableActorCriticPolicy):
    """`CandidateScorer` as a policy for `MaskablePPO`: `MaskablePPO(ScorerPolicy, env, policy_kwargs={"width": 32})`.

    The scorer does all the work, so SB3's remaining layers are identities, and all of SB3's methods work unchanged.
    The observation's own `mask` is honoured even where no `action_masks` are given. `MaskablePPO.load` binds a model
    to its K; to move weights to another K: `policy.scorer.load_state_dict(other.scorer.state_dict())`.

    Args:
        observation_space: `Dict` of `candidates` (S, F), `context` (C,) and `mask` (S,).
        action_space: `Discrete(S)`.
        lr_schedule: learning rate as a function of the remaining share of training.
        width: W, size of the hidden layers.
        sb3_arguments: passed on to `MaskableActorCriticPolicy`, such as `optimizer_kwargs`.
    """

    features_extractor: ScorerExtractor

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        width: int = DEFAULT_WIDTH,
        **sb3_arguments: Any,
    ) -> None:
        slots, _ = _shape(observation_space, "candidates", axes=2)
        if _shape(observation_space, "mask", axes=1) != (slots,) or int(action_space.n) != slots:
            raise ValueError(
                f"candidates have {slots} slots, the mask has shape {observation_space['mask'].shape} "
                f"and the action space {action_space.n} actions; they must agree"
            )
        # Policies that SB3 loads bring these two back; there is one right choice, and `width` is told apart from it.
        sb3_arguments.pop("features_extractor_class", None)
        extractor_arguments = sb3_arguments.pop("features_extractor_kwargs", None) or {"width": width}
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            features_extractor_class=ScorerExtractor,
            features_extractor_kwargs=extractor_arguments,
            **sb3_arguments,
        )

    @property
    def scorer(self) -> CandidateScorer:
        """The network itself: what is cloned from a teacher, moved to another K, and exported."""
        return self.features_extractor.scorer

    def _build(self, lr_schedule: Schedule) -> None:
        """Puts identities where SB3 has layers, then makes the optimizer, over the scorer's parameters only."""
        self.mlp_extractor = SplitScores()  # type: ignore[assignment]
        self.action_net = nn.Identity()
        self.value_net = nn.Identity()  # type: ignore[assignment]
        self.action_dist = CheckedMaskableDistribution(int(self.action_space.n))  # type: ignore[attr-defined]
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1.0),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )


def _shape(space: spaces.Dict, key: str, axes: int) -> tuple[int, ...]:
    """Shape of one part of the observation, which must have that many axes."""
    shape = space[key].shape
    if shape is None or len(shape) != axes:
        raise ValueError(f"observation {key!r} has shape {shape}, but {axes} axes are needed")
    return shape
