"""Worker processes: they do what they are asked, and none is left behind."""

from __future__ import annotations

import multiprocessing
import time

import pytest

from quell.agents.processes import Workers

LONG_SECONDS = 60.0


def prepare(_: str) -> None:
    """Nothing has to be prepared."""


def test_they_work_and_are_gone_afterwards() -> None:
    with Workers(2, prepare, ("ready",)) as pool:
        futures = [pool.submit(divmod, i, 2) for i in range(4)]
        assert [future.result() for future in futures] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert multiprocessing.active_children() == []


def test_an_interrupt_does_not_wait_for_their_work() -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Workers(1, prepare, ("ready",)) as pool:
        pool.submit(int).result()
        pool.submit(time.sleep, LONG_SECONDS)
        raise KeyboardInterrupt
    assert time.monotonic() - began < LONG_SECONDS / 2
    assert multiprocessing.active_children() == []
