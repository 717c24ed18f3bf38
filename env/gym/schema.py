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
