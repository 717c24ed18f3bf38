"""Signals: they unwind the stack, and wait for work that must not be cut in two."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from quell.experiments import planning, simulation
from quell.experiments.cli import main
from quell.experiments.interruption import (
    INTERRUPTED,
    STOP_SIGNALS,
    Terminated,
    ended_at_once,
    stopped_by_signals,
    undisturbed,
)


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


class TestTheLastWord:
    """After Ctrl-C there was exit code 130, and not a word of what had become of the files."""

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_days_that_are_interrupted(
        self, number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
    ) -> None:
        def play(*_: object) -> None:
            signal.raise_signal(number)

        monkeypatch.setattr(simulation, "play_suite", play)
        monkeypatch.setattr("sys.argv", ["quell", "evaluate", "--planners", "none", "--workload", "skew"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
        assert capsys.readouterr().err.endswith("interrupted while days were played; nothing was written\n")

    def test_of_work_with_nothing_to_say_the_command_is_named(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
    ) -> None:
        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(planning, "plan_snapshot", stop)
        monkeypatch.setattr("sys.argv", ["quell", "plan", "snapshot.json"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code, capsys.readouterr().err) == (INTERRUPTED, "quell plan was interrupted\n")


class TestEndedAtOnce:
    """Ctrl-C while modules were still being loaded showed forty lines of traceback."""

    @pytest.mark.parametrize("body", ["raise_signal(SIGINT)", "with suppress(BaseException): raise_signal(SIGINT)"])
    def test_nothing_comes_after_ctrl_c_and_nobody_can_catch_it(self, body: str) -> None:
        code = (
            "from contextlib import suppress\n"
            "from signal import SIGINT, raise_signal\n"
            "from quell.experiments.interruption import ended_at_once\n"
            f"with ended_at_once():\n    {body}\n"
            "print('still there')\n"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
        assert (ended.returncode, ended.stdout, ended.stderr) == (INTERRUPTED, "", "interrupted\n")

    def test_afterwards_ctrl_c_is_an_exception_again(self) -> None:
        with ended_at_once():
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_who_ignores_ctrl_c_goes_on_ignoring_it(self) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with ended_at_once():
                signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGINT, before)

    @pytest.mark.slow
    @pytest.mark.parametrize("seconds", [0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 1.2, 1.6, 2.0])
    def test_the_command_shows_no_traceback_however_early_it_is_stopped(self, seconds: float) -> None:
        command = [sys.executable, "-X", "importtime", "-m", "quell", "evaluate", "--episodes", "500"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as started:
            assert started.stdout is not None and started.stderr is not None
            # Before our first lines Python itself answers to Ctrl-C, however long a busy machine takes to get there.
            before = next(line for line in started.stderr if line.endswith("quell.experiments.interruption\n"))
            time.sleep(seconds)
            started.send_signal(signal.SIGINT)
            out, errors = started.communicate(timeout=60)
        # Python ends itself by the signal where it fell into `exec` (as of a dataclass): a shell says 130 to both.
        assert started.returncode in (INTERRUPTED, -signal.SIGINT)
        assert before and (out, "Traceback" in errors) == ("", False), errors
