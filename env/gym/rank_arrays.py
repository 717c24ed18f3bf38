"""What the kernels of the shortlist remember: who is worth a look, room to make, and the rows of movables and targets.

Shapes besides those of `look_arrays.py`: B buckets, F families, N rows for room, 2 orders of movables.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..model.cluster import RESOURCES, Array, BoolArray, IntArray

BUCKETS = 128  # to sort movables by
PER_ROOT = 3  # of `Ranks.free_XM`, behind the resources


class Ranks(NamedTuple):
    """Movables in order, what room is made for, and the rows of every family."""

    gain_M: Array
    most_M: Array  # what leaving wins at most by the outlook, cores; NaN where it has not been worked out
    worth_2M: Array  # gain / root of cost, and what is resolved for each GiB; 0 where nothing is or it may not leave
    order_2M: IntArray  # movables in the order of these
    known_2: IntArray  # how many are there yet
    place_B: IntArray  # room to sort in
    picked_M: IntArray
    first_home_H: IntArray  # (H + 2,): the movables that are free to move from each host in `home_member_M`
    home_member_M: IntArray
    free_XM: Array  # what their leaving frees, and 1 / root of cost; in that order
    bound_M: Array  # what they are worth at most as room; in that order
    host_order_H: IntArray  # hosts by what the node score with any movable is at least
    hot_Q: IntArray
    need_RQ: Array  # what hot movables need
    gain_HQ: Array  # what they gain on a host where they lack something, 0 where they do not
    short_HRQ: Array  # what they lack there
    steep_HR: Array  # what each core or GiB that becomes free there brings at most
    place_gain_H: Array  # highest gain of a hot movable for which room could be made on the host
    most_Q: Array  # room to work in
    guess_N: IntArray  # the rows for room of the last list
    is_tried_M: BoolArray  # whether one has been tried; false between two calls
    family_FX: IntArray  # rows, opened ones, pairs taken, turns in `order_FP`; of each family of the shortlist
    due_F: Array  # when it is its turn again, infinite where it is through
    row_L: IntArray  # movables, by rank
    worth_L: Array
    kind_L: IntArray
    target_L: IntArray  # the next target
    last_L: Array  # its badness; what is behind it in the row is no better
    is_ready_L: BoolArray  # whether that target waits for its turn, in the family of worth
    peak_LJ: Array  # highest block of the movable, cores; there too
    ahead_L: IntArray  # the first host that has not been looked at, there too
    badness_LH: Array  # of hosts that may be the next target, or what it is at least; infinite for all others
    is_listed_MH: BoolArray  # which pairs have a slot; false between two calls


def new_ranks(M: int, H: int, F: int, L: int, Q: int, N: int) -> Ranks:
    """Buffers for the kernels' own use."""
    integers: dict[str, Any] = {"picked_M": M, "home_member_M": M, "order_2M": (2, M), "known_2": 2, "place_B": BUCKETS}
    integers |= {"first_home_H": H + 2, "hot_Q": Q, "guess_N": N, "family_FX": (F, 4)}
    integers |= dict.fromkeys(("row_L", "kind_L", "target_L", "ahead_L"), L)
    claims: dict[str, Any] = {"is_tried_M": M, "is_ready_L": L, "is_listed_MH": (M, H)}
    numbers: dict[str, Any] = dict.fromkeys(("gain_M", "most_M", "bound_M"), M)
    numbers |= {"worth_2M": (2, M), "free_XM": (PER_ROOT + 1, M)}
    numbers |= {"need_RQ": (RESOURCES, Q), "gain_HQ": (H, Q), "short_HRQ": (H, RESOURCES, Q), "most_Q": Q}
    numbers |= {"steep_HR": (H, RESOURCES), "place_gain_H": H, "due_F": F}
    numbers |= {"worth_L": L, "last_L": L, "peak_LJ": (L, 2), "badness_LH": (L, H)}
    made: dict[str, npt.NDArray[Any]] = {name: np.zeros(size, dtype=np.int64) for name, size in integers.items()}
    made |= {name: np.zeros(size, dtype=np.bool_) for name, size in claims.items()}
    made |= {name: np.zeros(size) for name, size in numbers.items()}
    return Ranks(host_order_H=np.arange(H), **made)
