"""Many clusters as arrays that one compiled loop can step: a seat holds everything about one of them.

Python sits down another cluster where a day is over (`fleet.py`), and does what is rare; the kernels
(`fleet_kernels.py`) do the rest. Seats of all sizes have the same type. Shapes: E seats, K slots, S = K + 1 actions,
L moves of a plan, Q rounds of a day.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.typed import List

from ..model.cluster import Array, BoolArray, IntArray
from ..model.compiled import kernel
from ..world.arrays import Day, Now, Pace, Term
from .day_tables import DayTables
from .features import SCHEMA
from .look_arrays import LookArrays, PlanArrays, RoundArrays, Scratch

CONTROL = np.dtype(
    [
        ("until", "i8"),  # minute of the day up to which time goes on
        ("round_minutes", "i8"),
        ("plan_limit", "i8"),
        ("skips_quiet", "?"),
        ("is_python", "?"),  # whether the plan is made in Python, as only the numpy twin knows what is allowed
        ("scale", "f8"),  # core-minutes that make a reward of 1
        ("has_outlook", "?"),  # whether a forecast takes the place of the last hour
        ("is_foreseen", "?"),  # whether it is there for the look that is due
        ("first_minute", "i8"),  # of the clock, at minute 0 of the day
        ("seen_minute", "i8"),  # of the last look, where its arrays still show it; else `see_kernels.NOTHING_SEEN`
    ],
    align=True,
)
TOLD = np.dtype(
    [
        ("minute", "i8"),
        ("moves", "i8"),  # handed to the hosts with this step
        ("is_masked_action", "?"),
        ("waiting_vms", "i8"),
        ("costs", "f8", len(Term)),  # of the day so far, core-minutes
        ("twin_costs", "f8", len(Term)),
        ("rewards", "f8", len(Term)),
    ],
    align=True,
)
"""What `info` tells of each cluster, a row each."""


class Seat(NamedTuple):
    """One cluster on its day."""

    day: Day
    pace: Pace
    now: Now
    log: np.ndarray
    fixed: LookArrays
    look: RoundArrays
    plan: PlanArrays
    scratch: Scratch
    tables: DayTables
    control: np.ndarray  # one row of CONTROL
    chosen_L2: IntArray  # moves of the plan so far: movable, target
    twin_Q4: Array  # what the twin's day has cost at the end of each round
    booked_24: Array  # costs of twin and own day that rewards have been given for
    forecast_MJB: Array  # cores
    need_V: Array  # GiB, as telemetry shows it
    swap_V: Array


class Board(NamedTuple):
    """What all clusters put before the policy; the first five belong to the caller, who may have made them."""

    candidates_ESF: npt.NDArray[np.float32]
    context_EC: npt.NDArray[np.float32]
    mask_ES: BoolArray
    rewards_E: Array
    is_over_E: BoolArray
    movable_EK: IntArray
    target_EK: IntArray
    kind_EK: IntArray
    told_E: np.ndarray  # rows of TOLD
    action_E: IntArray
    phase_E: IntArray  # what the kernels are to do
    is_new_E: BoolArray  # whether the day has just begun: there is no reward for what was before the first choice
    stop_E: IntArray  # why the kernels have stopped
    ticks_P: IntArray  # what each task has taken so far, in ticks of the CPU's counter; by task of `fleet_kernels`


def new_board(count: int, slots: int, buffers: dict[str, npt.NDArray[Any]] | None = None) -> Board:
    """A board for so many clusters, some of its arrays being the caller's (`candidates`, `context`, `mask`, ...).

    Raises:
        ValueError: a buffer has the wrong name, shape or type.
    """
    made: dict[str, npt.NDArray[Any]] = {
        "candidates": np.zeros((count, slots + 1, len(SCHEMA.candidate)), dtype=np.float32),
        "context": np.zeros((count, len(SCHEMA.context)), dtype=np.float32),
        "mask": np.zeros((count, slots + 1), dtype=np.bool_),
        "rewards": np.zeros(count),
        "truncated": np.zeros(count, dtype=np.bool_),
    }
    for name, buffer in (buffers or {}).items():
        if name not in made:
            raise ValueError(f"buffer {name!r} is unknown; there are {', '.join(made)}")
        wanted = made[name]
        if buffer.shape != wanted.shape or buffer.dtype != wanted.dtype or not buffer.flags.c_contiguous:
            raise ValueError(
                f"buffer {name!r} is {buffer.dtype} of shape {buffer.shape}; it must be {wanted.dtype} of shape "
                f"{wanted.shape}, contiguous"
            )
        made[name] = buffer
    empty_EK = np.full((count, slots), -1, dtype=np.int64)
    return Board(
        candidates_ESF=made["candidates"],
        context_EC=made["context"],
        mask_ES=made["mask"],
        rewards_E=made["rewards"],
        is_over_E=made["truncated"],
        movable_EK=empty_EK,
        target_EK=empty_EK.copy(),
        kind_EK=np.zeros((count, slots), dtype=np.int64),
        told_E=np.zeros(count, dtype=TOLD),
        action_E=np.zeros(count, dtype=np.int64),
        phase_E=np.zeros(count, dtype=np.int64),
        is_new_E=np.zeros(count, dtype=np.bool_),
        stop_E=np.zeros(count, dtype=np.int64),
        ticks_P=np.zeros(8, dtype=np.int64),
    )


@kernel
def listed(board: Board) -> List:
    """A list of the board alone, as which Python hands it over faster."""
    boards = List()
    boards.append(board)
    return boards


@kernel
def new_seats(seat: Seat, count: int) -> List:
    """So many seats, the same cluster on all of them."""
    seats = List()
    for _ in range(count):
        seats.append(seat)
    return seats


@kernel
def sit_down(seats: List, e: int, seat: Seat) -> None:
    """Puts another cluster on a seat."""
    seats[e] = seat
