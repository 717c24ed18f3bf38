"""How the commands of `quell` end where they do not end well: what Typer makes of that is not what we promise.

Nothing heavy is imported here: `quell --help` should not wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from ..env.model.errors import QuellError
from .interruption import INTERRUPTED, Terminated, told_of
from .legible import legible_words
from .terminal import notice

UsageError: type[Exception] = typer.BadParameter.mro()[1]  # of click, or of Typer's own: that depends on its version
SHOWS_HELP = "NoArgsIsHelpError"
PREFIX = "Value error, "  # of pydantic, which checks values in newer versions of Typer


class ReaderLeftError(Exception):
    """Who reads our output has closed it: `quell ... | head`."""


class Commands(TyperGroup):
    """Wrong options and interruptions in one sentence; and who has left is told from a fault.

    Typer shows a box for the first, says nothing of the second, and makes the third an exit code of 1.
    """

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Reads the options before the command."""
        with _in_one_sentence():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            with _in_one_sentence():
                return super().invoke(ctx)
        except BrokenPipeError as fault:
            raise ReaderLeftError from fault
        except (KeyboardInterrupt, Terminated) as stop:
            notice(told_of(stop) or f"quell {ctx.invoked_subcommand} was interrupted")
            if isinstance(stop, Terminated):
                raise
            raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    """Makes Typer's usage errors ours."""
    try:
        yield
    except UsageError as error:
        if type(error).__name__ == SHOWS_HELP:
            raise
        raise QuellError(usage_sentence(error)) from None


def usage_sentence(error: Any) -> str:
    """What is wrong with the command line: option and value where it is a value, and where to read on else."""
    option = getattr(getattr(error, "param", None), "opts", None)
    if option and error.message:  # of what is missing the message is empty
        return f"{option[0]}: {legible_words(error.message.removeprefix(PREFIX).rstrip('.'))}"
    text = re.sub(r"\. Did you mean (.*)\?$", r" (did you mean \1?)", error.format_message()).rstrip(".")
    where = f"; see {error.ctx.command_path} --help" if error.ctx is not None else ""
    return legible_words(text[:1].lower() + text[1:]) + where
