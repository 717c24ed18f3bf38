"""The exact planner against the truth: exhaustive search on tiny clusters, proven optima on larger ones."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.baseline.ads import Ads
from quell.baseline.exact import Exact
from quell.baseline.exact_limits import ExactLimits, ExactResult
from quell.baseline.exact_model import scaled
from quell.baseline.exact_order import FOUND, IMPOSSIBLE, Draft, Orders
from quell.baseline.exact_proof import prove
from quell.baseline.search import SearchLimits
from quell.baseline.search_board import board_of
from quell.env.model.cluster import Cluster
from quell.env.model.contention import unresolved_H
from quell.env.model.plan import Plan, Status, validate
from quell.env.model.rules import check_move, is_ha_binding
from quell.env.model.snapshot import plan_document, read_snapshot
from quell.env.model.state import State, state_of
from tests.baseline.test_search import cheapest
from tests.builders import build_cluster, clusters, random_cluster, together, vm
from tests.env.model.clusters import random_clusters, small_cluster

ALONE = ExactLimits(work=3.0, search=SearchLimits(nodes=0))
"""The search proposes nothing: the proof finds every plan itself."""


def judge(state: State, found: ExactResult) -> None:
    """Compares what was found, and what is claimed to be proven, with the truth."""
    truth = cheapest(state)
    assert found.is_proven, "clusters this small leave nothing open"
    assert (found.moves is None) == (truth is None)
    if truth is not None:
        assert found.cost_gib == pytest.approx(truth, abs=1e-3)
        assert found.bound_gib == pytest.approx(truth, abs=1e-3)


@settings(max_examples=60)
@given(cluster=random_clusters(max_hosts=3, max_vms=4))
def test_odd_tiny_clusters_against_exhaustive_search(cluster: Cluster) -> None:
    state = state_of(cluster)
    judge(state, prove(state, ALONE))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), hosts=st.integers(2, 4), load=st.floats(0.3, 0.75))
def test_full_tiny_clusters_against_exhaustive_search(seed: int, hosts: int, load: float) -> None:
    """Contended more often than not, with rules of every kind."""
    cluster = random_cluster(seed, hosts=hosts, vms_per_host=2, load=load)
    if cluster.inventory.movable_count <= 7:
        state = state_of(cluster)
        judge(state, prove(state, ALONE))


@pytest.mark.parametrize("seed", [135, 336, 1168, 2390, 2437, 2464, 2583, 2900])
def test_placements_that_no_few_stops_lead_to(seed: int) -> None:
    """Clusters in which cheaper placements exist that moves with several stops may or may not lead to."""
    rng = np.random.default_rng(seed)
    hosts = int(rng.integers(2, 5))
    state = state_of(random_cluster(seed, hosts=hosts, vms_per_host=2, load=float(rng.uniform(0.3, 0.75))))
    judge(state, prove(state, ALONE))


@settings(max_examples=25)
@given(cluster=clusters(max_hosts=6, max_vms_per_host=6))
def test_whatever_ends_the_proof_the_plan_is_valid_and_the_bound_holds(cluster: Cluster) -> None:
    """With little effort and with more: the plan gets no dearer, and no bound is above it."""
    state, costs, bounds = state_of(cluster), [], []
    for work in (0.0, 0.01, 1.0):
        found = prove(state, ExactLimits(work, search=SearchLimits(nodes=200)))
        plan = Exact(limits=ExactLimits(work, search=SearchLimits(nodes=200))).plan(cluster)
        assert validate(state, plan) == ()
        costs.append(np.inf if found.moves is None else found.cost_gib)
        bounds.append(found.bound_gib)
    assert costs == sorted(costs, reverse=True)
    assert max(bounds) <= costs[-1] + 1e-3


def test_it_agrees_with_every_proven_optimum(shared_dir: Path) -> None:
    """Status and cost of all clusters whose optimum is known, and its own proof of each but the hardest."""
    optima = json.loads((shared_dir / "spec/instances/optimum.json").read_text())
    unproven = []
    for name, truth in optima.items():
        state = state_of(read_snapshot(shared_dir / f"spec/instances/{name}.json"))
        found = prove(state, ExactLimits(work=1.0))
        unproven += [] if found.is_proven else [name]
        assert (found.moves is None) == (truth["status"] == "refused"), name
        if found.moves is not None and truth["cost_gib"] == truth["lower_bound_gib"]:
            assert found.cost_gib == pytest.approx(truth["cost_gib"], abs=0.01), name
    assert set(unproven) <= {"3028"}


@pytest.mark.slow
def test_the_hardest_cluster_is_proven_with_a_parking_move(shared_dir: Path) -> None:
    """Known before: 467.59 to 478.85 GiB. No order leads to the placement of 467.59 unless one VM stops on the way."""
    cluster = read_snapshot(shared_dir / "spec/instances/3028.json")
    plan = Exact(limits=ExactLimits(work=60)).plan(cluster)
    assert validate(state_of(cluster), plan) == ()
    assert plan.proven and plan.cost_gib == pytest.approx(470.34)
    assert len({move.id for move in plan.moves}) == len(plan.moves) - 1


def swap_cluster(*, can_step_aside: bool) -> Cluster:
    """b must leave host-0 (46 + 40 cores) for host-1, where c has to make room; c must end where f can be: on host-0.

    While b is there host-0 takes nobody. Only on host-2 can c wait for b to pass, if it may; f never can.
    """
    pins = {"a": [0], "b": [0, 1], "c": [0, 1, 2] if can_step_aside else [0, 1], "d": [1], "e": [2], "f": [0, 1]}
    policies = [
        {"kind": "vm-host-affinity", "vms": [name], "hosts": [f"host-{h}" for h in hosts]}
        for name, hosts in pins.items()
    ]
    return small_cluster(
        {f"host-{h}": {} for h in range(3)},
        {
            "a": {"host": "host-0", "cpu_demand_cores": 46},
            "b": {"host": "host-0", "cpu_demand_cores": 40, "memory_gib": 20},
            "c": {"host": "host-1", "cpu_demand_cores": 30, "memory_gib": 8},
            "d": {"host": "host-1", "cpu_demand_cores": 27},
            "e": {"host": "host-2", "cpu_demand_cores": 50},
            "f": {"host": "host-1", "cpu_demand_cores": 8, "memory_gib": 4},
        },
        policies=[*policies, {"kind": "vm-vm-affinity", "vms": ["c", "f"]}],
    )


def test_a_parking_move_is_found_where_only_that_helps() -> None:
    state = state_of(swap_cluster(can_step_aside=True))
    found = prove(state, ALONE)
    assert found.moves is not None and found.is_proven
    assert found.moves[:2] == ((2, 2), (1, 1)) and set(found.moves[2:]) == {(2, 0), (5, 0)}
    assert found.cost_gib == 8 + 20 + 8 + 4 == cheapest(state)


def test_where_nothing_can_step_aside_the_swap_is_refused_and_that_is_proven() -> None:
    state = state_of(swap_cluster(can_step_aside=False))
    found = prove(state, ALONE)
    assert found.moves is None and found.is_proven and cheapest(state) is None
    assert "no move is allowed by the rules" in found.reason


def orders_of(cluster: Cluster) -> Orders:
    """Answers about orders in a cluster."""
    return Orders(board_of(state_of(cluster)))


class TestOrders:
    """Whether an order exists, and what is to blame where none does."""

    def circle(self, extra: int = 0) -> Cluster:
        """x and y fill their hosts and want to change places; host-2 has room; some small VMs have no part in it."""
        small = [vm(f"s{i}", i % 3, 1) for i in range(extra)]
        return build_cluster(3, [vm("x", 0, 60), vm("y", 1, 60), *small])

    def test_two_that_wait_for_each_other_are_the_core(self) -> None:
        orders = orders_of(self.circle(extra=6))
        draft = Draft(((0, 1), (1, 0), (2, 2)), (3, 4, 5, 6, 7))
        assert orders.find(draft)[0] == IMPOSSIBLE
        assert orders.core(draft) == Draft(((0, 1), (1, 0)), ())

    def test_one_stop_on_a_third_host_makes_it_possible(self) -> None:
        verdict, moves = orders_of(self.circle()).find(Draft(((0, 1), (1, 0)), (), stops=(0,)))
        assert verdict == FOUND
        assert moves == ((0, 2), (1, 0), (0, 1))

    def test_stops_are_allowed_and_not_demanded(self) -> None:
        verdict, moves = orders_of(self.circle()).find(Draft(((0, 2),), (1,), stops=(1,)))
        assert (verdict, moves) == (FOUND, ((0, 2),))

    def test_those_who_fill_the_host_are_part_of_the_core(self) -> None:
        """x does not fit beside y, whoever else leaves; the small VM is not to blame."""
        cluster = build_cluster(2, [vm("x", 0, 60), vm("y", 1, 60), vm("s", 1, 1)])
        assert orders_of(cluster).core(Draft(((0, 1),), (1, 2))) == Draft(((0, 1),), (1,))

    def test_any_number_of_stops_is_looked_at_where_few_move(self) -> None:
        orders = orders_of(self.circle())
        assert orders.detours(Draft(((0, 1), (1, 0)), ()), [0, 1])[1] == ((0, 2), (1, 0), (0, 1))
        two_hosts = orders_of(build_cluster(2, [vm("x", 0, 60), vm("y", 1, 60)]))
        assert two_hosts.detours(Draft(((0, 1), (1, 0)), ()), [0, 1])[0] == IMPOSSIBLE

    @settings(max_examples=60)
    @given(cluster=clusters(max_hosts=4, max_vms_per_host=2), data=st.data())
    def test_orders_exist_exactly_where_trying_all_finds_one(self, cluster: Cluster, data: st.DataObject) -> None:
        state = state_of(cluster)
        board = board_of(state)
        units = [u for u in range(board.units.size) if board.can_UH[u].any()]
        chosen = data.draw(st.lists(st.sampled_from(units), max_size=4, unique=True)) if units else []
        moving = tuple((u, data.draw(st.sampled_from(np.flatnonzero(board.can_UH[u]).tolist()))) for u in chosen)
        staying = tuple(u for u in range(board.units.size) if board.units["home"][u] >= 0 and u not in chosen)
        orders = Orders(board)
        moves = [(m, h) for u, h in moving for m in orders.members([u])]
        truth = any(can_be_made(state, order) for order in permutations(moves))
        verdict, order = orders.find(Draft(moving, staying))
        assert verdict == (FOUND if truth else IMPOSSIBLE)
        assert not truth or can_be_made(state, order)
        if not truth:
            assert orders.find(orders.core(Draft(moving, staying)))[0] == IMPOSSIBLE


def can_be_made(state: State, moves: tuple[tuple[int, int], ...]) -> bool:
    """Whether every move is allowed at its turn."""
    is_ha_enforced = is_ha_binding(state)
    for m, h in moves:
        if check_move(state, m, h, is_ha_enforced=is_ha_enforced):
            return False
        state = state.moved(m, h)
    return True


@settings(max_examples=100)
@given(st.lists(st.floats(0, 500), min_size=1, max_size=20), st.floats(0, 2000))
def test_whole_numbers_never_forbid_what_the_figures_allow(values: list[float], most: float) -> None:
    figures = np.array(values)
    whole = scaled(figures)
    for chosen in product([False, True], repeat=min(len(values), 6)):
        picked = np.flatnonzero(chosen)
        assert figures[picked].sum() > most or whole.values[picked].sum() <= whole.limit(most)


def test_figures_have_no_more_decimals_than_they_need() -> None:
    assert scaled(np.array([1.5, 2.25])).scale == 100
    assert scaled(np.array([1.0, 7.0])).scale == 1
    assert scaled(np.array([1 / 3])).values[0] == 333_333


class TestThePlanner:
    """`Exact`: documents, reasons and limits."""

    def cluster(self) -> Cluster:
        """Two cheap ways and a dear one to cool host-0; b and c belong together."""
        vms = [vm("a", 0, 50, 64), vm("b", 0, 30, 16), vm("c", 0, 15, 8), vm("d", 1, 60, 8)]
        return build_cluster(3, vms, rules=[together("b", "c")])

    def test_the_plan_says_that_it_is_proven_and_names_the_bound(self) -> None:
        plan = Exact().plan(self.cluster())
        assert {(move.id, move.target) for move in plan.moves} == {("b", "host-2"), ("c", "host-2")}
        assert plan.proven and "no plan is cheaper (proven, bound 24.00 GiB)" in plan.reason
        assert plan_document(plan)["proven"] is True
        assert plan.moves[0].reason == "relieves CPU of host-0"

    def test_what_the_limit_leaves_open_is_said(self) -> None:
        """44 VMs of odd sizes, full to the brim; hardly any work allowed."""
        vms = [vm(f"v{i}", i % 12, 17 + 7 * i % 13, 8 + i) for i in range(44)]
        plan = Exact(limits=ExactLimits(1e-4, search=SearchLimits(nodes=10))).plan(build_cluster(12, vms))
        assert plan.proven is False and "limit of 0.0001 units of work" in plan.reason

    def test_no_contention_is_nothing_to_prove(self) -> None:
        plan = Exact().plan(build_cluster(2, [vm("a")]))
        assert plan.status is Status.NO_CONTENTION and plan.proven is None
        assert "proven" not in plan_document(plan)

    @settings(max_examples=40)
    @given(cluster=clusters())
    def test_the_same_work_gives_the_same_plan(self, cluster: Cluster) -> None:
        first, second = (Exact(limits=ExactLimits(0.2)).plan(cluster) for _ in range(2))
        assert (first.moves, first.reason, first.proven) == (second.moves, second.reason, second.proven)

    def test_never_dearer_than_ads_with_the_same_search(self) -> None:
        for seed in range(30):
            cluster = random_cluster(seed, hosts=5, vms_per_host=4, load=0.7)
            ads, exact = Ads().plan(cluster), Exact().plan(cluster)
            assert not resolved(ads) or (resolved(exact) and exact.cost_gib <= ads.cost_gib + 1e-6)
            assert not ads.proven or (exact.proven and exact.cost_gib == pytest.approx(ads.cost_gib))

    def test_somebody_who_waits_gets_an_answer_by_the_clock(self) -> None:
        cluster = random_cluster(3, hosts=4, vms_per_host=4, load=0.7)
        assert unresolved_H(state_of(cluster)).any()
        plan = Exact(is_interactive=True).plan(cluster)
        assert validate(state_of(cluster), plan) == () and plan.proven


def resolved(plan: Plan) -> bool:
    """Whether the plan resolves the contentions."""
    return plan.status is Status.PLANNED


CTRL_C = """
import signal
from quell.baseline.exact_limits import ExactLimits
from quell.baseline.exact_proof import prove
from quell.baseline.search import SearchLimits
from quell.env.model.state import state_of
from tests.baseline.test_exact import contended

assert prove(state_of(contended()), ExactLimits(work=3.0, search=SearchLimits(nodes=0))).is_proven_by_model
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("stopped")
"""


def contended() -> Cluster:
    """Two hosts, one of them too full."""
    return build_cluster(2, vms=[vm("a", 0, cpu=50), vm("b", 0, cpu=40)])


def test_ctrl_c_still_stops_the_program_after_a_proof() -> None:
    """OR-tools takes the signal for itself while it works, and does not give it back, unless told not to."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", CTRL_C], cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout == "stopped\n", (done.returncode, done.stderr)
