"""Churn: as many come as are asked for, as many leave, most live for minutes or hours and some for good."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.world.churn import BATCH_SHARES, LIFE_MINUTES, LIVES_LONGER, Stays, draw_churn, life_samples
from quell.env.world.events import EventKind

DAY = 288


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_as_many_leave_as_come(seed: int, share: float) -> None:
    churn = draw_churn(np.random.default_rng(seed), 100, share)
    arrivals = [e for e in churn.events if e.kind is EventKind.ARRIVAL]
    departures = [e for e in churn.events if e.kind is EventKind.DEPARTURE]
    assert len(arrivals) == len(departures) == round(100 * share)
    assert {e.subject for e in arrivals} == set(range(100, 100 + len(arrivals)))
    assert len({e.subject for e in departures}) == len(departures)
    came = {e.subject: e.minute for e in arrivals}
    assert all(e.minute > came.get(e.subject, 0) for e in departures)
    assert all(5 <= e.minute < 1440 and e.minute % 5 == 0 for e in churn.events)


def test_without_churn_everybody_stays() -> None:
    churn = draw_churn(np.random.default_rng(0), 10, 0.0)
    assert churn.stays.is_whole_day
    assert (churn.events, churn.batches) == ([], ())


def test_batches_start_together_and_are_mostly_of_one() -> None:
    churn = draw_churn(np.random.default_rng(0), 4000, 1.0)
    assert np.concatenate(churn.batches).tolist() == list(range(4000, 8000))
    for batch in churn.batches:
        assert len(set(churn.stays.first_X[batch].tolist())) == 1
    sizes = np.array([len(batch) for batch in churn.batches])
    assert np.mean(sizes == 1) == pytest.approx(BATCH_SHARES[0], abs=0.03)
    assert sizes.max() == 8
    ends = [len(set(churn.stays.end_X[batch].tolist())) for batch in churn.batches if len(batch) > 1]
    assert 0.3 < np.mean(np.array(ends) == 1) < 0.7  # some batches end together, some do not


def test_lifetimes_are_those_of_the_trace_and_heavy_tailed() -> None:
    minutes = 5 * life_samples(np.random.default_rng(0).random(50_000))
    for known_minutes, share in zip(LIFE_MINUTES[1:-1], LIVES_LONGER[1:-1], strict=True):
        assert np.mean(minutes > known_minutes) == pytest.approx(share, abs=0.01)
    assert 60 < np.median(minutes) < 120
    assert minutes.mean() > 4 * np.median(minutes)
    assert minutes.min() == 5


def test_more_arrive_in_the_afternoon_than_at_night() -> None:
    first_X = draw_churn(np.random.default_rng(1), 4000, 1.0).stays.first_X[4000:]
    assert np.mean((first_X > 150) & (first_X < 200)) > 1.5 * np.mean((first_X > 6) & (first_X < 56))


def test_a_stay_ends_before_its_end() -> None:
    stays = Stays(np.array([0, 2]), np.array([3, DAY]))
    assert stays.is_there_XS[:, :5].tolist() == [[True, True, True, False, False], [False, False, True, True, True]]
    assert stays.is_first_X.tolist() == [True, False]
    assert not stays.is_whole_day
