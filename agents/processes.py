"""Worker processes that nothing leaves behind: they leave Ctrl-C to their parent and end when it does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class Workers:
    """A pool of spawned processes; a context manager. On an exception, Ctrl-C too, they are ended at once.

    Args:
        count: how many, >= 1.
        prepare: called once in each of them before any work; it must be picklable, and so must its arguments.
        arguments: of `prepare`.
    """

    def __init__(self, count: int, prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._others = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(
            count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(prepare, arguments),
        )

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Has a function called in one of the processes.

        Raises:
            BrokenProcessPool: one of them was ended from outside.
        """
        with _interrupts_held_back():  # a worker starts with this mask, and must not die in its imports
            try:
                return self._pool.submit(work, *arguments)
            except BrokenPipeError:  # it ended while it was given what to prepare
                raise BrokenProcessPool from None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            for process in self._processes():
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _processes(self) -> set[BaseProcess]:
        """The processes that were started since the pool was made."""
        return set(multiprocessing.active_children()) - self._others


def _start(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """What each process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare(*arguments)


def _end_with_parent() -> None:
    """Ends this worker when its parent is gone, be it by kill -9: a pool's workers would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Holds back Ctrl-C until the block is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
