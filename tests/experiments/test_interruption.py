"""Signals: they unwind the stack, and wait for work that must not be cut in two."""

from __future__ import annotations

import signal
import threading

import pytest

from quell.experiments.interruption import STOP_SIGNALS, Terminated, stopped_by_signals, undisturbed


class TestStoppedBySignals:
    @pytest.mark.parametrize("number", STOP_SIGNALS)
    def test_the_stack_unwinds_and_the_handlers_are_put_back(self, number: int) -> None:
        before = signal.getsignal(number)
        with pytest.raises(Terminated) as raised, stopped_by_signals(), stopped_by_signals():
            signal.raise_signal(number)
        assert raised.value.code == 128 + number
        assert signal.getsignal(number) is before

    def test_a_handler_of_somebody_else_stays(self) -> None:
        heard: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
        try:
            with stopped_by_signals():
                signal.raise_signal(signal.SIGTERM)
        finally:
            signal.signal(signal.SIGTERM, before)
        assert heard == [signal.SIGTERM]


class TestUndisturbed:
    def test_ctrl_c_waits_until_the_work_is_done(self) -> None:
        done = []
        with pytest.raises(KeyboardInterrupt), undisturbed():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")
        assert done == ["all of it"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_an_ignored_signal_stays_ignored(self) -> None:
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            with undisturbed():
                signal.raise_signal(signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGTERM, before)

    def test_another_thread_may_use_both(self) -> None:
        done = []

        def work() -> None:
            with stopped_by_signals(), undisturbed():
                done.append(True)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert done == [True]
