"""What a size or a rate of a trace can be: beyond it the file is damaged, however well it reads as numbers.

The bounds lie far above any machine, so that no data set is refused for being large; they are there so that one absurd
value is told in a sentence and does not end up in the cost of a day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bitbrains import FloatArray


@dataclass(frozen=True)
class Bounds:
    """What the values of a column can be, besides 0.

    Attributes:
        most: the largest value, in the unit of the column.
        least: the smallest value above 0.
        is_whole: whether they count something.
    """

    most: float
    least: float = 0.0
    is_whole: bool = False

    def first_fault(self, values_N: FloatArray) -> tuple[int, str] | None:
        """The first value that cannot be: its position, and a sentence that begins with it; None where all can.

        Args:
            values_N: a column; shape (N,).
        """
        is_number_N = np.isfinite(values_N) & (values_N >= 0)
        is_good_N = is_number_N & (values_N <= self.most) & ((values_N >= self.least) | (values_N == 0))
        if self.is_whole:
            is_good_N &= np.floor(values_N) == values_N
        bad = np.flatnonzero(~is_good_N)
        if not bad.size:
            return None
        i, value = int(bad[0]), values_N[bad[0]]
        if not is_number_N[i]:
            return i, f"{value:g} is not a number >= 0"
        if value > self.most:
            return i, f"{value:g} is above {self.most:g}, the most that can be"
        if 0 < value < self.least:
            return i, f"{value:g} is above 0, yet below {self.least:g}, the least that can be"
        return i, f"{value:g} is not a whole number"


CORES = Bounds(most=4096, least=1)
USED_MHZ = Bounds(most=1e8)  # 4,096 cores of 24 GHz
SIZE_MHZ = Bounds(most=USED_MHZ.most, least=1)
MEMORY_KIB = Bounds(most=2.0**40)  # 1 PiB
MEMORY_MIB = Bounds(most=2.0**30)
DISK_KBS = Bounds(most=1e9)  # 1 TB a second
TIMESTAMP = Bounds(most=2.5e14)  # milliseconds of the year 9892: calendars end with 9999
SHARE = Bounds(most=1)
COUNT = Bounds(most=2.0**53, is_whole=True)  # beyond it neighbours are the same floating-point number
