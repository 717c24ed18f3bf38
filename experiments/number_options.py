"""Options of the command line that are numbers: what is none, or lies out of range, is refused in one sentence.

Typer's own words leave out the value, and differ from version to version; of NaN they say that it is too large.
"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Any

import typer

from ..env.model.errors import QuellError
from .legible import legible_words

MOST_DIGITS = 18
MOST_SEED = 2**32 - 1  # what numpy and torch take


def whole_option(name: str, low: int, high: int | None = None, **settings: Any) -> Any:
    """An option for a whole number, for `Annotated`.

    Args:
        name: of the option, with its dashes.
        low: the least that it may be.
        high: the most that it may be; None where there is no limit.
        **settings: further ones of `typer.Option`, such as `help`.
    """
    parser = partial(whole_of, name, low, high)
    return typer.Option(name, min=low, max=high, parser=parser, metavar="INTEGER", **settings)


def decimal_option(name: str, low: float, high: float, **settings: Any) -> Any:
    """An option for a number that need not be whole; arguments as for `whole_option`."""
    parser = partial(decimal_of, name, low, high)
    return typer.Option(name, min=low, max=high, parser=parser, metavar="NUMBER", **settings)


def whole_of(name: str, low: int, high: int | None, text: str | int) -> int:
    """The whole number that somebody typed after an option.

    Raises:
        QuellError: it is none, or lies out of range.
    """
    text = str(text).strip()  # Typer sends the default through this as well, as it is
    if re.fullmatch(rf"[+-]?[0-9]{{1,{MOST_DIGITS}}}", text) is None:
        raise QuellError(f"{name} {_shown(text)}: it must be a whole number, {_allowed(low, high)}")
    return int(_within(name, low, high, text, int(text)))


def decimal_of(name: str, low: float, high: float, text: str | float) -> float:
    """The number that somebody typed after an option.

    Raises:
        QuellError: it is none (NaN and infinity are none), or lies out of range.
    """
    text = str(text).strip()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise QuellError(f"{name} {_shown(text)}: it must be a number, {_allowed(low, high)}")
    return _within(name, low, high, text, number)


def _within(name: str, low: float, high: float | None, text: str, number: float) -> float:
    """The number, if it lies in its range."""
    if number < low or (high is not None and number > high):
        raise QuellError(f"{name} {_shown(text)}: it must be {_allowed(low, high)}")
    return number


def _allowed(low: float, high: float | None) -> str:
    """The range for people; numbers as they would be typed, without thousands separators."""
    return f"at least {low}" if high is None else f"from {low} to {high}"


def _shown(text: str) -> str:
    """What was typed; an empty text can be seen by its quotes."""
    return legible_words(text) if text else "''"
