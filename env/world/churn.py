"""Who comes and goes during a day: batches of VMs that arrive, how long they live, and which others leave.

Source of the figures: arrivals with lifetimes of the public Azure trace of 2017 (53,109 batches of 259,159 VMs over 3.5
days, sampled every 5 minutes; Cortez et al., SOSP 2017, prepared by Bergsma et al., SOSP 2021). Batches count alike
here, whatever their size: a cluster of a few dozen hosts sees one batch in some hundreds, hardly ever a huge one.
Shapes: X rows (VMs or movables), S samples of 5 minutes of the day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model.cluster import IntArray
from .events import Event, EventKind
from .trace import SAMPLE_MINUTES, SAMPLES_PER_DAY

BoolArray = npt.NDArray[np.bool_]

# VMs that start together, and the share of batches of 1, 2, 3, 4, 5 to 8, and more, which count as 8 here
BATCH_SIZES = (1, 2, 3, 4, 6, 8)
BATCH_SHARES = (0.579, 0.185, 0.062, 0.038, 0.057, 0.079)
ONE_LIFE_SHARE = 0.44  # of the batches of two or more end all at once
# Share of batches that live longer than so many minutes (Kaplan-Meier estimate, first VM of each batch): half of them
# more than an hour and a half, one in eleven more than a day, and 5 % longer than the 3.5 days that were watched.
LIFE_MINUTES = (0, 5, 15, 30, 60, 120, 240, 480, 720, 1440, 2880, 5760)
LIVES_LONGER = (0.97, 0.90, 0.77, 0.64, 0.54, 0.46, 0.38, 0.28, 0.20, 0.09, 0.056, 0.046)
DAILY_SWING, BUSIEST_HOUR = 0.39, 14.5  # of the rate of batches: 8,200 an hour at its lowest, 18,500 at its highest
APART_SHARE = 0.5  # of batches of two or more must not share a host; assumed


@dataclass(frozen=True, eq=False)
class Stays:
    """When each row is there: from sample `first_X` of the day on (0: from the start) until `end_X` (288: it stays)."""

    first_X: IntArray
    end_X: IntArray

    @staticmethod
    def all_day(count: int) -> Stays:
        """Rows that are there all day."""
        return Stays(np.zeros(count, dtype=np.int64), np.full(count, SAMPLES_PER_DAY))

    def joined(self, other: Stays) -> Stays:
        """These rows, then the others."""
        return Stays(np.concatenate([self.first_X, other.first_X]), np.concatenate([self.end_X, other.end_X]))

    @property
    def is_first_X(self) -> BoolArray:
        """Rows that are there at the start of the day; shape (X,)."""
        return self.first_X == 0

    @property
    def is_whole_day(self) -> bool:
        """Whether nobody comes or goes."""
        return not self.first_X.any() and bool((self.end_X == SAMPLES_PER_DAY).all())

    @property
    def is_there_XS(self) -> BoolArray:
        """Whether each row is there in each sample of the day; shape (X, S)."""
        sample_S = np.arange(SAMPLES_PER_DAY)
        return np.asarray((sample_S >= self.first_X[:, None]) & (sample_S < self.end_X[:, None]))


@dataclass(frozen=True, eq=False)
class Churn:
    """The VMs of a day: those there at its start, then those that arrive; and which of these start together."""

    stays: Stays
    batches: tuple[IntArray, ...] = ()

    @property
    def events(self) -> list[Event]:
        """Arrivals and departures."""
        first_V, end_V = self.stays.first_X, self.stays.end_X
        came, gone = np.flatnonzero(first_V > 0), np.flatnonzero(end_V < SAMPLES_PER_DAY)
        return [Event(int(first_V[v]) * SAMPLE_MINUTES, EventKind.ARRIVAL, int(v)) for v in came] + [
            Event(int(end_V[v]) * SAMPLE_MINUTES, EventKind.DEPARTURE, int(v)) for v in gone
        ]


def draw_churn(generator: np.random.Generator, count: int, share: float) -> Churn:
    """Arrivals and departures of a day, each at the start of a 5-minute sample.

    Args:
        generator: of the churn alone.
        count: VMs there at the start of the day.
        share: of `count` that arrive. As many leave: those of them whose life ends, and for the rest some of the VMs
            that were there.
    """
    arrivals = round(share * count)
    if arrivals == 0:
        return Churn(Stays.all_day(count))
    sizes: list[int] = []
    while sum(sizes) < arrivals:
        sizes.append(min(int(generator.choice(BATCH_SIZES, p=BATCH_SHARES)), arrivals - sum(sizes)))
    starts = np.sort(generator.choice(np.arange(1, SAMPLES_PER_DAY), size=len(sizes), p=_rate()))
    first_A = np.repeat(starts, sizes)
    life_A = _lives(generator, sizes)
    end_A = np.minimum(first_A + life_A, SAMPLES_PER_DAY)
    stays = Stays.all_day(count).joined(Stays(first_A, end_A))
    leaving = arrivals - int((end_A < SAMPLES_PER_DAY).sum())
    stays.end_X[generator.choice(count, size=leaving, replace=False)] = generator.integers(
        1, SAMPLES_PER_DAY, size=leaving
    )
    edges = count + np.cumsum([0, *sizes])
    return Churn(stays, tuple(np.arange(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)))


def _rate() -> npt.NDArray[np.float64]:
    """Probability that a batch starts in each sample of the day but the first; shape (S - 1,)."""
    hour_S = np.arange(1, SAMPLES_PER_DAY) * SAMPLE_MINUTES / 60
    rate_S = 1 + DAILY_SWING * np.cos(2 * np.pi * (hour_S - BUSIEST_HOUR) / 24)
    return np.asarray(rate_S / rate_S.sum())


def _lives(generator: np.random.Generator, sizes: list[int]) -> IntArray:
    """Lifetime of each arriving VM in samples, at least 1; some batches have one for all; shape (A,)."""
    own_A = life_samples(generator.random(sum(sizes)))
    edges = np.cumsum([0, *sizes])
    for start, end, has_one in zip(edges[:-1], edges[1:], generator.random(len(sizes)) < ONE_LIFE_SHARE, strict=True):
        if has_one:
            own_A[start:end] = own_A[start]
    return own_A


def life_samples(share_X: npt.NDArray[np.float64]) -> IntArray:
    """The lifetime in samples that a share of batches outlives: the quantile function; shape (X,).

    Between the known points it is interpolated over the logarithm of time; beyond the last one a VM lives on.
    """
    shares, log_minutes = np.array(LIVES_LONGER)[::-1], np.log(np.maximum(LIFE_MINUTES, 1.0))[::-1]
    minutes_X = np.exp(np.interp(share_X, shares, log_minutes))
    return np.maximum(1, np.ceil(minutes_X / SAMPLE_MINUTES - 1e-9)).astype(np.int64)
