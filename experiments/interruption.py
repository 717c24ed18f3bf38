"""Being stopped: by Ctrl-C, by SIGTERM, by a terminal that closes; and work that must not be cut in two."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

AGAIN_SECONDS = 0.05

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


INTERRUPTED = 130  # exit code after Ctrl-C


class Terminated(SystemExit):
    """The process was asked to stop by a signal."""


def tell_at_end(stop: BaseException, sentence: str) -> None:
    """Has the command line say at its end what was lost and what is kept, not just that it was interrupted."""
    stop.add_note(sentence)


def told_of(stop: BaseException) -> str:
    """What there is to say of a stop, a line each; empty where nobody had anything to say."""
    return "\n".join(getattr(stop, "__notes__", ()))


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Lets Ctrl-C end the process on the spot, without a traceback: while modules are loaded and nothing has begun.

    An exception would not do: raised in the midst of an import, libraries catch it or dress it up as one of theirs.
    """

    def end(_: int, __: FrameType | None) -> None:
        with suppress(OSError):
            os.write(sys.stderr.fileno(), b"interrupted\n")
        os._exit(INTERRUPTED)

    is_ours = threading.current_thread() is threading.main_thread()
    is_ours = is_ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP unwind the stack instead of ending the process on the spot."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Terminated(128 + number)

    taken = []
    if threading.current_thread() is threading.main_thread():
        taken = [number for number in STOP_SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def never_swallowed() -> Iterator[None]:
    """Sends a stop again that fell into a finalizer or a callback of the garbage collector, where Python drops it."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            number = int(signal.SIGINT)
        elif isinstance(unraisable.exc_value, Terminated) and isinstance(unraisable.exc_value.code, int):
            number = unraisable.exc_value.code - 128
        else:
            before(unraisable)
            return
        # Later and from another thread: raised here it would be dropped as well.
        timer = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def undisturbed() -> Iterator[None]:
    """Holds back signals to stop, Ctrl-C too, until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *STOP_SIGNALS)}
    before = {number: handler for number, handler in before.items() if handler is not None}  # None: not Python's
    for number in before:
        signal.signal(number, lambda found, _: held.append(found))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])
