"""What is on and does not run: on hosts that are down, and on none."""

from __future__ import annotations

from dataclasses import replace

from quell.baseline.ads import Ads
from quell.baseline.explain import Fate, VmAnswer, explain_cluster, explain_movable
from quell.baseline.stranded import DownHost, some, stranded, told_stranded
from quell.env.model.cluster import Cluster, HostState
from quell.env.model.state import state_of
from tests.builders import build_cluster, host, pinned, session, vm


def failed() -> Cluster:
    """host-1 is down: a (HA) has cores on host-2 only, b has no HA, c (HA) may run there only; d is on no host."""
    hosts = [host("host-0"), replace(host("host-1"), state=HostState.DOWN), host("host-2")]
    vms = [vm("a", 1, cpu=30), vm("b", 1, is_ha=False), vm("c", 1), vm("d", -1), vm("e", 0, cpu=70)]
    vms.append(vm("off", 1, is_on=False))
    return build_cluster(hosts, vms, sessions=[session("s", 1)], rules=[pinned("c", hosts=[1])])


def answer_of(name: str) -> VmAnswer:
    """Why the VM or session is where it is."""
    cluster = failed()
    index = cluster.inventory.session_index | cluster.inventory.vm_index
    return explain_movable(cluster, Ads().plan(cluster), index[name])


def test_what_does_not_run_is_found() -> None:
    found = stranded(state_of(failed()))
    assert found.down == (DownHost("host-1", (("a", "host-2"), ("c", "")), ("b",), ("s",)),)
    assert found.unplaced == ("d",)


def test_where_all_that_is_on_runs_nothing_is_said() -> None:
    assert told_stranded(stranded(state_of(build_cluster(2, [vm("a", 0), vm("b", 1, is_on=False)])))) == ()


def test_the_cluster_names_them() -> None:
    cluster = failed()
    down, unplaced = explain_cluster(cluster, Ads().plan(cluster)).reasons[-2:]
    assert down == (
        "host-1 is down: a has HA and restarts elsewhere (as things are, on host-2); c has HA and waits, for no host "
        "that is up can take it; b has no HA and waits until host-1 is back; s is a session and is to be directed to "
        "another host"
    )
    assert unplaced.startswith("d is on but has no host: `quell place SNAPSHOT --vm ID` ")


def test_a_refusal_names_them_too() -> None:
    hosts = [host("host-0"), replace(host("host-1"), state=HostState.DOWN)]
    cluster = build_cluster(hosts, [vm("a", 0, cpu=60), vm("b", 0, cpu=40), vm("c", -1)])
    answer = explain_cluster(cluster, Ads().plan(cluster))
    assert answer.conflict is not None
    assert answer.reasons[0] == "host-1 is down: it takes nothing, and nothing that should run is on it"
    assert answer.reasons[1].startswith("c is on but has no host")


def test_a_vm_with_ha_restarts() -> None:
    answer = answer_of("a")
    assert (answer.fate, answer.host, answer.target) == (Fate.RESTARTS, "host-1", "host-2")
    assert answer.reasons == (
        "a does not run: its host host-1 is down, and no plan moves it",
        "it has HA, so it restarts elsewhere; as things are host-2 can take it",
    )
    standing = {h.host: (h.standing, h.rule) for h in answer.hosts}
    assert standing["host-1"] == ("blocked", "R2 host state")
    assert standing["host-0"] == ("open", ""), "a restart may exceed the threshold"
    assert answer.hosts[0].detail.endswith("; host-0 would be contended, which is a last resort")


def test_a_vm_with_ha_that_no_host_can_take_waits() -> None:
    answer = answer_of("c")
    assert (answer.fate, answer.target) == (Fate.WAITS, "")
    assert "no host that is up can take it" in answer.reasons[1]
    assert [h.rule for h in answer.hosts] == ["R3 vm-host-affinity", "R2 host state", "R3 vm-host-affinity"]


def test_a_vm_without_ha_waits_for_its_host() -> None:
    answer = answer_of("b")
    assert (answer.fate, answer.hosts) == (Fate.WAITS, ())
    assert answer.reasons[1] == "it has no HA, so it does not restart elsewhere: it waits until host-1 is back"


def test_a_session_is_directed_elsewhere() -> None:
    answer = answer_of("s")
    assert answer.fate is Fate.WAITS and "its host host-1 is down" in answer.reasons[0]


def test_a_vm_that_is_off_has_no_fate_of_its_host() -> None:
    assert answer_of("off").fate is Fate.OFF


def test_a_vm_without_a_host_is_placed() -> None:
    answer = answer_of("d")
    assert (answer.fate, answer.target) == (Fate.PLACED, "host-2")
    assert answer.reasons[0] == "d is on but has no host: no plan moves it, a placement starts it"
    assert answer.reasons[-1] == "`quell place SNAPSHOT --vm d` gives this as a plan"


def test_many_names_are_cut_short() -> None:
    assert some(["a"]) == "a" and some(["a", "b", "c"]) == "a, b and c"
    assert some([f"v{i}" for i in range(10)]) == "v0, v1, v2, v3, v4, v5 and 4 more"
