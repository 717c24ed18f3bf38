"""Packing vGPUs on physical GPUs (R6): a GPU takes profiles of its model, of one size at a time, up to its memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from .cluster import NOWHERE, TOLERANCE, GpuProfile
from .state import State

Stock = tuple[tuple[str, float], ...]  # (model, memory in GiB) per GPU


def profiles_on(state: State, h: int, *, without: int = -1) -> list[GpuProfile]:
    """The vGPU profiles of the powered-on VMs on host h, leaving out movable `without`."""
    inventory = state.inventory
    found = []
    for m in inventory.gpu_movables:
        profile = inventory.vms[m].gpu
        if state.host_of_M[m] == h and m != without and inventory.is_on_M[m] and profile is not None:
            found.append(profile)
    return found


def profiles_by_host(state: State) -> list[list[GpuProfile]]:
    """The vGPU profiles of the powered-on VMs on every host; H lists."""
    found: list[list[GpuProfile]] = [[] for _ in state.inventory.hosts]
    for m in state.inventory.gpu_movables:
        profile, h = state.inventory.vms[m].gpu, state.host_of_M[m]
        if h != NOWHERE and state.inventory.is_on_M[m] and profile is not None:
            found[h].append(profile)
    return found


def vgpus_fit(stock: Stock, profiles: Iterable[GpuProfile]) -> bool:
    """Whether the profiles can be packed on the GPUs of a host, exactly (no heuristic)."""
    return _packs(stock, tuple(sorted(Counter((p.model, p.memory_gib) for p in profiles).items())))


@lru_cache(maxsize=65536)
def _packs(stock: Stock, wanted: tuple[tuple[tuple[str, float], int], ...]) -> bool:
    """Whether `wanted` ((model, size), count) fits: gives the first GPU to one size or to nobody, then the rest."""
    if not wanted:
        return True
    if not stock:
        return False
    (model, memory_gib), rest = stock[0], stock[1:]
    for i, ((wanted_model, size), count) in enumerate(wanted):
        slots = int((memory_gib + TOLERANCE) / size) if wanted_model == model else 0
        if slots > 0:
            left = (((model, size), count - slots),) if count > slots else ()
            if _packs(rest, wanted[:i] + left + wanted[i + 1 :]):
                return True
    return _packs(rest, wanted)
