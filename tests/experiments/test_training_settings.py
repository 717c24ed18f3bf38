"""`quell train --set`: what becomes of what people type, and the sentence where nothing can."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from quell.agents.config import PRESETS, TrainConfig
from quell.env.model.errors import QuellError
from quell.experiments.training import TrainCommand
from quell.experiments.training_settings import KINDS, OWN_OPTIONS, RANGES, settings_of

COMMAND = TrainCommand("synthetic", None, 1, "policy.quell", "cpu", "sqlite:///mlflow.db", preset="standard")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["ppo_updates=0"], {"ppo_updates": 0}),
        (["ppo_updates=none", "days = 12"], {"ppo_updates": None, "days": 12}),
        (["hosts=4,16"], {"hosts": (4, 16)}),
        (["hosts=4-16"], {"hosts": (4, 16)}),
        (["hosts=8"], {"hosts": (8, 8)}),
        (["load=0.6, 0.75"], {"load": (0.6, 0.75)}),
        (["learning_rate=2e-3"], {"learning_rate": 0.002}),
        (["forecast_share=0"], {"forecast_share": 0.0}),
        ([], {}),
    ],
)
def test_values_have_the_type_of_their_field(asked: list[str], found: dict[str, object]) -> None:
    settings = settings_of(asked)
    assert settings == found
    assert {key: type(value) for key, value in settings.items()} == {key: type(v) for key, v in found.items()}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["ppo_update=0"], "--set 'ppo_update=0': 'ppo_update' is no setting of a training; did you mean ppo_updates"),
        (["zebra=1"], "'zebra' is no setting of a training; there are slots, width, hosts"),
        (["rounds"], "--set 'rounds': must be KEY=VALUE"),
        (["rounds=two"], "--set 'rounds=two': rounds must be a whole number, from 1 to 100"),
        (["rounds=1.5"], "rounds must be a whole number"),
        (["rounds=none"], "rounds must be a whole number"),
        (["rounds=0"], "--set 'rounds=0': 0 is not from 1 to 100"),
        (["rounds=-1"], "rounds must be a whole number"),
        (["days=x"], "days must be a whole number or none"),
        (["hosts=16,4"], "--set 'hosts=16,4': the range must rise, and 16 is more than 4"),
        (["hosts=4,8,16"], "hosts must be a whole number or a range FROM,TO, from 2 to 10,000"),
        (["load=0.5,2"], "--set 'load=0.5,2': 2 is not from 0.05 to 0.95"),
        (["learning_rate=nan"], "learning_rate must be a number"),
        (["width=4000"], "--set 'width=4000': 4,000 is not from 1 to 160"),
        (["rounds=1", "rounds=2"], "--set 'rounds=2': rounds is set twice"),
        (["seed=3"], "--set 'seed=3': seed has an option of its own, --seed"),
        (["budget_seconds=3"], "budget_seconds has an option of its own, --budget-minutes"),
    ],
)
def test_one_sentence_names_key_and_value(asked: list[str], told: str) -> None:
    with pytest.raises(QuellError) as refused:
        settings_of(asked)
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_every_field_of_a_training_can_be_set_or_has_an_option() -> None:
    assert {field.name for field in fields(TrainConfig)} == {*RANGES, *OWN_OPTIONS}
    assert KINDS.keys() == RANGES.keys()


@pytest.mark.parametrize("preset", PRESETS)
def test_the_presets_themselves_are_within_the_ranges(preset: str) -> None:
    for key, kind in KINDS.items():
        value = getattr(PRESETS[preset], key)
        text = ",".join(map(str, value)) if kind.is_range else "none" if value is None else str(value)
        assert settings_of([f"{key}={text}"]) == {key: value}


def test_a_command_sets_what_is_asked_and_leaves_the_rest_as_the_preset_has_it() -> None:
    command = replace(COMMAND, settings=("ppo_updates=0", "hosts=4,8"))
    assert command.config() == replace(PRESETS["standard"], ppo_updates=0, hosts=(4, 8))
    assert command.origin() == {"preset": "standard", "set": ["ppo_updates", "hosts"]}
    assert COMMAND.config() == PRESETS["standard"]


def test_where_a_budget_is_given_time_decides_unless_a_number_is_set() -> None:
    timed = replace(COMMAND, budget_minutes=6.0).config()
    assert (timed.budget_seconds, timed.days, timed.ppo_updates) == (360.0, None, None)
    counted = replace(COMMAND, budget_minutes=6.0, settings=("days=7",)).config()
    assert (counted.days, counted.ppo_updates) == (7, None)
    assert PRESETS["standard"].days is not None and PRESETS["standard"].ppo_updates is not None
