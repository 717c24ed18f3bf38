"""Resizes: swapping ended by sharing memory anew, never below a minimum, never above what the host has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.env.model.cluster import MEMORY
from quell.env.model.contention import contentions, unresolved_H
from quell.env.model.memory import Resize, missing_resizes, resizes, wrong_resizes
from quell.env.model.plan import Plan, Status, validate
from quell.env.model.rules import Reason
from quell.env.model.state import State, state_of
from tests.env.model.clusters import small_cluster


def overcommit(usage: float, swap: float, minimum: float = 0, memory: float = 60, host: str = "h") -> dict[str, Any]:
    """An overcommit VM."""
    return {
        "host": host,
        "memory_gib": memory,
        "overcommit": True,
        "memory_usage_gib": usage,
        "memory_swap_gib": swap,
        "memory_minimum_gib": minimum,
    }


def state_with(vms: dict[str, Any], hosts: dict[str, Any] | None = None) -> State:
    """A state of hosts with 100 GiB each."""
    return state_of(small_cluster(hosts or {"h": {}, "g": {}}, vms))


FIXED = {"host": "h", "memory_gib": 30}


@pytest.mark.parametrize(
    ("vms", "expected"),
    [
        ({"a": overcommit(20, 0)}, {}),  # nobody swaps
        ({"a": overcommit(20, 10)}, {"a": 30}),
        ({"a": overcommit(55, 20)}, {"a": 60}),  # never more than configured
        ({"a": overcommit(20, 10), "b": overcommit(25, 0)}, {"a": 30, "b": 25}),  # b gives back what it does not need
        ({"a": overcommit(20, 10), "b": overcommit(5, 0, minimum=8)}, {"a": 30, "b": 8}),
        ({"a": overcommit(20, 10), "fixed": FIXED}, {"a": 30}),
        ({"a": overcommit(20, 10), "b": overcommit(25, 0, host="g")}, {"a": 30}),  # another host
        ({"a": overcommit(20, 10), "b": overcommit(25, 0) | {"power": "off"}}, {"a": 30}),
        ({"a": overcommit(20, 10) | {"power": "off"}}, {}),
        ({"a": overcommit(20, 10) | {"host": None}}, {}),
        ({"a": overcommit(50, 10), "b": overcommit(41, 0)}, {}),  # 101 of 100 GiB: only moves help
        ({"a": overcommit(50, 10), "b": overcommit(40, 0)}, {"a": 60, "b": 40}),
        # The needs fit (90), b's minimum does not leave room for them: a gets what is left.
        ({"a": overcommit(40, 20), "b": overcommit(0, 0, minimum=20), "fixed": FIXED}, {"a": 50, "b": 20}),
        # The minimums alone do not fit: nothing can be promised.
        ({"a": overcommit(5, 5), "b": overcommit(0, 0, minimum=20), "fixed": FIXED | {"memory_gib": 85}}, {}),
        # Two swap: each gets the same share (3/4) of what it needs.
        (
            {"a": overcommit(10, 30), "b": overcommit(10, 10), "c": overcommit(0, 0, minimum=25), "fixed": FIXED},
            {"a": 30, "b": 15, "c": 25},
        ),
    ],
)
def test_examples(vms: dict[str, Any], expected: dict[str, float]) -> None:
    state = state_with(vms)
    found = resizes(state, state)
    assert {resize.vm: resize.memory_gib for resize in found} == pytest.approx(expected, abs=1e-3)
    assert {resize.host for resize in found} <= {"h"}


def test_a_host_that_is_down_is_left_alone() -> None:
    state = state_with({"a": overcommit(20, 10)}, {"h": {"state": "down"}, "g": {}})
    assert resizes(state, state) == ()


def test_memory_is_shared_where_the_vms_are_after_the_moves() -> None:
    before = state_with({"a": overcommit(50, 10), "b": overcommit(41, 0), "c": overcommit(10, 0, 4, host="g")})
    assert unresolved_H(before).tolist() == [True, False]
    after = before.moved(0, 1)
    assert unresolved_H(after).tolist() == [False, False]
    assert resizes(before, after) == (Resize("a", "g", 60.0), Resize("c", "g", 10.0))


overcommit_vms = st.builds(
    lambda usage, swap, minimum, above, host, is_on: (
        overcommit(usage, swap, minimum, minimum + above, host) | {"power": "on" if is_on else "off"}
    ),
    st.floats(0, 60),
    st.one_of(st.just(0.0), st.floats(0, 30)),
    st.floats(0, 30),
    st.floats(1, 60),
    st.sampled_from(["h", "g"]),
    st.booleans(),
)
fixed_vms = st.builds(
    lambda memory, host: {"host": host, "memory_gib": memory}, st.floats(1, 60), st.sampled_from(["h", "g"])
)


@given(st.lists(st.one_of(overcommit_vms, fixed_vms), max_size=6))
def test_resizes_can_be_carried_out_and_are_what_the_judge_asks_for(vms: list[dict[str, Any]]) -> None:
    state = state_with({f"vm-{v}": vm for v, vm in enumerate(vms)})
    found = resizes(state, state)
    assert list(wrong_resizes(state, found)) == []
    assert list(missing_resizes(state, state, found)) == []
    inventory = state.inventory
    physical_V = state.demand_MR[:, MEMORY].copy()
    for resize in found:
        v = inventory.vm_index[resize.vm]
        assert inventory.vms[v].is_overcommit
        assert inventory.hosts[state.host_of_M[v]].id == resize.host
        assert inventory.vms[v].memory_minimum_gib <= resize.memory_gib
        assert resize.memory_gib <= max(inventory.vms[v].memory_minimum_gib, physical_V[v]) + 1e-9
        physical_V[v] = resize.memory_gib
    for resize in found:
        h = inventory.host_index[resize.host]
        assert physical_V[state.host_of_M == h].sum() <= 100.001


@given(st.lists(st.one_of(overcommit_vms, fixed_vms), max_size=6))
def test_where_minimums_leave_room_every_vm_gets_its_need(vms: list[dict[str, Any]]) -> None:
    vms = [vm | {"memory_minimum_gib": 0} if "overcommit" in vm else vm for vm in vms]
    state = state_with({f"vm-{v}": vm for v, vm in enumerate(vms)})
    given_gib = {resize.vm: resize.memory_gib for resize in resizes(state, state)}
    needs_moves_H = unresolved_H(state)
    for v, vm in enumerate(state.inventory.vms):
        if state.swap_V[v] > 1e-6 and not needs_moves_H[state.host_of_M[v]]:
            assert given_gib[vm.id] == pytest.approx(state.demand_MR[v, MEMORY], abs=1e-3)


# The judge of a plan's resizes

SWAPPING = {
    "a": overcommit(20, 10, minimum=5),
    "b": overcommit(40, 0, minimum=25),
    "fixed": FIXED,
    "off": overcommit(20, 10) | {"power": "off"},
}


def plan_with(*wanted: Resize, status: Status = Status.PLANNED) -> Plan:
    """A plan without moves."""
    return Plan("small", "test", status, "", resizes=wanted)


GOOD = (Resize("a", "h", 30.0), Resize("b", "h", 40.0))


def test_swapping_is_resolved_by_resizes_alone() -> None:
    state = state_with(SWAPPING)
    assert len(contentions(state)) == 1
    assert resizes(state, state) == GOOD
    assert validate(state, plan_with(*GOOD)) == ()


@pytest.mark.parametrize(
    ("wanted", "detail"),
    [
        ([Resize("zzz", "h", 30)], "there is no VM zzz to resize"),
        ([Resize("a", "zzz", 30)], "there is no host zzz to resize"),
        ([*GOOD, GOOD[0]], "a is resized twice"),
        ([*GOOD, Resize("fixed", "h", 30)], "fixed is resized, but its memory is not overcommitted"),
        ([*GOOD, Resize("off", "h", 30)], "off is resized, but it is off"),
        ([Resize("a", "g", 30)], "a is resized on g, where it is not once the moves are done"),
        ([GOOD[0], Resize("b", "h", 24.9)], "b gets 24.90 GiB, minimum 25.00 GiB"),
        (
            [Resize("a", "h", 60.0), Resize("b", "h", 40)],
            "h would hold 130.00 GiB after the resizes, it has 100.00 GiB",
        ),
        ([Resize("a", "h", 30.5)], "h would hold 100.50 GiB after the resizes, it has 100.00 GiB"),
    ],
)
def test_resizes_that_cannot_be_carried_out_break_a_plan(wanted: list[Resize], detail: str) -> None:
    for must_resolve in (True, False):
        broken = validate(state_with(SWAPPING), plan_with(*wanted), must_resolve=must_resolve)
        assert (Reason.PLAN, detail) in [(violation.reason, violation.detail) for violation in broken]


@pytest.mark.parametrize(
    ("wanted", "detail"),
    [
        ([], "a swaps and needs 30.00 GiB of physical memory, the plan does not resize it"),
        ([Resize("a", "h", 25.0)], "a swaps and needs 30.00 GiB of physical memory, the plan gives it 25.00 GiB"),
    ],
)
def test_a_plan_that_leaves_a_vm_swapping_has_not_resolved_everything(wanted: list[Resize], detail: str) -> None:
    state = state_with(SWAPPING)
    (broken,) = validate(state, plan_with(*wanted))
    assert (broken.reason, broken.detail) == (Reason.R9_UNRESOLVED, detail)
    assert validate(state, plan_with(*wanted), must_resolve=False) == ()


def test_a_vm_that_is_not_resized_holds_what_it_has_not_what_it_needs() -> None:
    state = state_with({"a": overcommit(40, 30, memory=80), "b": overcommit(50, 10)})
    assert unresolved_H(state).any()
    assert validate(state, plan_with(Resize("a", "h", 45.0)), must_resolve=False) == ()
    assert validate(state, plan_with(Resize("a", "h", 55.0)), must_resolve=False) != ()


def test_rounded_resizes_are_good_enough() -> None:
    state = state_with({"a": overcommit(20, 10.00449)})
    assert validate(state, plan_with(Resize("a", "h", 30.0))) == ()
