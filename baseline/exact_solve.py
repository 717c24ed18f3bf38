"""CP-SAT within limits, and stopped at once by Ctrl-C or a signal.

Python handles signals between its own instructions only, and the solver is one long call. So it runs in a thread of its
own, and whoever asked waits where signals are heard.
"""

from __future__ import annotations

import threading
from contextlib import suppress

import numpy as np
from ortools.sat.python import cp_model

STOP_SECONDS = 0.02  # between two requests to stop


def solve(model: cp_model.CpModel, work: float, seconds: float) -> tuple[cp_model.CpSolver, cp_model.CpSolverStatus]:
    """Runs CP-SAT with one worker and a fixed seed: limits on work give the same answer on every machine.

    Args:
        model: what to solve.
        work: limit in CP-SAT's deterministic time, inf for none.
        seconds: wall-clock limit, inf for none.

    Raises:
        BaseException: whatever interrupted the wait; the solver has stopped by then.
    """
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.catch_sigint_signal = False  # it would take Ctrl-C from Python, for good
    solver.parameters.max_deterministic_time = work
    if seconds < np.inf:
        solver.parameters.max_time_in_seconds = max(seconds, 0.0)
    call = _Call(solver, model)
    try:
        threading.Thread(target=call.run, name="cp-sat", daemon=True).start()
        call.is_done.wait()
    except BaseException:
        call.stop()
        raise
    if call.error is not None:
        raise call.error
    return solver, call.status


class _Call:
    """One run of the solver in another thread."""

    def __init__(self, solver: cp_model.CpSolver, model: cp_model.CpModel) -> None:
        self.solver, self.model = solver, model
        self.is_begun, self.is_done, self.is_unwanted = threading.Event(), threading.Event(), False
        self.status: cp_model.CpSolverStatus = cp_model.UNKNOWN
        self.error: Exception | None = None

    def run(self) -> None:
        """Solves, unless that is no longer wanted."""
        self.is_begun.set()
        try:
            if not self.is_unwanted:
                self.status = self.solver.solve(self.model)
        except Exception as error:
            self.error = error
        finally:
            self.is_done.set()

    def stop(self) -> None:
        """Returns once nothing runs any more: Python must not end while the solver does, that would abort it.

        A signal may come at any time, even before the thread has begun: that one then sees that it is unwanted.
        """
        self.is_unwanted = True
        while self.is_begun.is_set() and not self.is_done.is_set():
            with suppress(KeyboardInterrupt, SystemExit):  # one more: we are at it
                self.solver.stop_search()  # asked before the search has begun, it would not hear
                self.is_done.wait(STOP_SECONDS)
