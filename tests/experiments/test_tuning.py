"""Tuning: the same settings on the same days, the best of which is told."""

from __future__ import annotations

import json

from quell.baseline.tuned import Tuned
from quell.env.world.split import part
from quell.env.world.synthetic import synthetic_trace
from quell.experiments import tuning


def test_settings_are_drawn_by_seed_with_the_defaults_first() -> None:
    once, again = tuning.drawn_settings(5, 1), tuning.drawn_settings(5, 1)
    assert once == again != tuning.drawn_settings(5, 2)
    assert once[0] == Tuned().settings


def test_the_best_of_what_was_tried_is_told(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(tuning, "HOSTS", (3, 4))
    monkeypatch.setattr(tuning, "VMS_PER_HOST", (6, 8))
    document = tuning.tune(part(synthetic_trace(0), "validation"), Tuned, settings=2, days=1)
    assert json.loads(tuning.tuning_text(document)) == document
    assert document["cost_core_minutes"] == min(one["cost"] for one in document["tried"] if one["cost"] is not None)
    assert document["best"] in [one["settings"] for one in document["tried"]]
