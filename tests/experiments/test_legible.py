"""Ids of other people on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.experiments.legible import LONGEST_WORD, escaped, legible, legible_words


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("vm-7 moves to host-1 (16.0 GiB)", "vm-7 moves to host-1 (16.0 GiB)"),
        ("Köln-日本 [bold]", "Köln-日本 [bold]"),
        ("a\x1b[31mb\x07", "a\\x1b[31mb\\x07"),
        ("two\nlines\r\ttab", "two\\nlines\\r\\ttab"),
        ("turned\u202eround", "turned\\u202eround"),
        ("half\ud800", "half\\ud800"),
    ],
)
def test_what_cannot_be_read_is_escaped(text: str, told: str) -> None:
    assert escaped(text) == told
    assert legible(text).plain == told


def test_the_middle_of_long_words_is_left_out() -> None:
    said = legible_words(f"{'v' * 5_000}-end moves to host-1")
    assert said.startswith("vvvv") and "...vvvv" in said and said.endswith("-end moves to host-1")
    assert len(said.split()[0]) < LONGEST_WORD


@given(st.text())
def test_nothing_that_acts_on_a_terminal_is_left(text: str) -> None:
    said = legible_words(text)
    assert said.isprintable() and all(len(word) <= LONGEST_WORD for word in said.split())
