"""Text with ids of other people in it, made fit for a terminal: nothing but what can be read, and no id without end.

JSON is not touched: it has every id as it is.
"""

from __future__ import annotations

import re

from rich.text import Text

LONGEST_WORD = 80  # characters; an id of a host or VM has rarely more
HEAD, TAIL = 56, 20  # of a longer one
LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")


def escaped(text: str) -> str:
    """The text with every character that is not printable as its escape: ESC is `\\x1b`, a line feed `\\n`.

    Terminals act on control characters, and others hide what is there or turn its direction.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def legible_words(text: str) -> str:
    """The escaped text with the middle of very long words left out."""
    return LONG_WORD.sub(lambda word: f"{word[0][:HEAD]}...{word[0][-TAIL:]}", escaped(text))


def legible(text: str, style: str = "") -> Text:
    """The same for rich, which does not look for markup in it."""
    return Text(legible_words(text), style=style)
