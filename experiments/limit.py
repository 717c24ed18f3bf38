"""How long somebody is willing to wait for a plan."""

from __future__ import annotations

import math

from ..env.model.errors import QuellError

MOST_SECONDS = 86_400  # a day


def seconds_of(text: str) -> float:
    """The seconds that people type after `--limit`.

    Raises:
        QuellError: that is no number of seconds, or none that somebody can wait for.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MOST_SECONDS:
        raise QuellError(f"--limit: must be seconds, above 0 and at most {MOST_SECONDS:,}, not {text!r}")
    return seconds
