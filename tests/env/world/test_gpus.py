"""GPUs: real cards in a share of the hosts, and vGPUs that fit on them from the start."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.model.cluster import NOWHERE, Host
from quell.env.model.gpu import vgpus_fit
from quell.env.world.gpus import MODELS, Vgpus, draw_vgpus, with_gpus

HOSTS = tuple(Host(f"host-{h + 1}", 48, 512, 6) for h in range(8))
EVERYBODY = np.ones(120, dtype=np.bool_)


def fitted(hosts: tuple[Host, ...], vgpus: Vgpus) -> list[bool]:
    """Whether the vGPUs at home on each host fit on its GPUs."""
    found = []
    for h, host in enumerate(hosts):
        stock = tuple(sorted((gpu.model, gpu.memory_gib) for gpu in host.gpus))
        found.append(vgpus_fit(stock, [p for p, at in zip(vgpus.profiles, vgpus.home_V, strict=True) if p and at == h]))
    return found


def test_a_share_of_the_hosts_has_one_to_four_cards_of_a_known_model() -> None:
    known = {(model, memory_gib) for model, memory_gib, _ in MODELS}
    for seed in range(10):
        hosts = with_gpus(np.random.default_rng(seed), HOSTS, 0.5)
        equipped = [host for host in hosts if host.gpus]
        assert len(equipped) == 4
        assert all(1 <= len(host.gpus) <= 4 for host in equipped)
        assert {(gpu.model, gpu.memory_gib) for host in equipped for gpu in host.gpus} <= known
        assert len({gpu.id for host in equipped for gpu in host.gpus}) == sum(len(h.gpus) for h in equipped)
    assert with_gpus(np.random.default_rng(0), HOSTS, 0.0) is HOSTS
    assert sum(bool(h.gpus) for h in with_gpus(np.random.default_rng(0), HOSTS, 0.01)) == 1


@pytest.mark.parametrize("seed", range(20))
def test_vgpus_fit_where_they_stand_and_leave_capacity_free(seed: int) -> None:
    generator = np.random.default_rng(seed)
    hosts = with_gpus(generator, HOSTS, 0.5)
    vgpus = draw_vgpus(generator, hosts, EVERYBODY, EVERYBODY)
    assert all(fitted(hosts, vgpus))
    used = sum(profile.memory_gib for profile in vgpus.profiles if profile)
    assert used < 0.95 * sum(gpu.memory_gib for host in hosts for gpu in host.gpus)
    assert ((vgpus.home_V != NOWHERE) == [p is not None for p in vgpus.profiles]).all()


def test_profiles_are_of_several_sizes_and_most_of_the_time_there_are_some() -> None:
    drawn = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        vgpus = draw_vgpus(generator, with_gpus(generator, HOSTS, 0.5), EVERYBODY, EVERYBODY)
        drawn.append([profile for profile in vgpus.profiles if profile])
    assert sum(not profiles for profiles in drawn) <= 2
    assert len({profile.memory_gib for profiles in drawn for profile in profiles}) >= 4


def test_only_those_who_may_have_a_vgpu_have_one() -> None:
    may_have_V = np.arange(120) % 3 == 0
    generator = np.random.default_rng(0)
    vgpus = draw_vgpus(generator, with_gpus(generator, HOSTS, 1.0), may_have_V, EVERYBODY)
    assert not any(vgpus.profiles[v] for v in np.flatnonzero(~may_have_V))
    assert any(vgpus.profiles)


def test_some_that_arrive_ask_for_one_and_have_no_home_yet() -> None:
    is_first_V = np.arange(120) < 60
    generator = np.random.default_rng(0)
    vgpus = draw_vgpus(generator, with_gpus(generator, HOSTS, 0.5), EVERYBODY, is_first_V)
    asking = [v for v in range(60, 120) if vgpus.profiles[v]]
    assert 5 < len(asking) < 40
    assert (vgpus.home_V[60:] == NOWHERE).all()
