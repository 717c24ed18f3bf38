"""GPUs of hosts, and the vGPUs that VMs ask for.

Every cluster with GPUs has hosts of one or two GPU models. A GPU serves one profile size at a time (R6), so each one is
given a size, or left free, and VMs up to what it holds.
Shapes: H hosts, V VMs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..model.cluster import NOWHERE, BoolArray, Gpu, GpuProfile, Host, IntArray

# Model, memory and profile sizes in GiB: as NVIDIA's cards of 2021 and after, and what their vGPU software offers.
MODELS = (("A10", 24.0, (4.0, 8.0, 12.0, 24.0)), ("A40", 48.0, (8.0, 16.0, 48.0)))
GPUS_PER_HOST = (1, 2, 4)  # one of these for a host model; assumed
USED_SHARE = 0.65  # of GPUs have a profile size and VMs at the start of the day, the others are free; assumed
FILL_SHARE = 0.75  # of the slots of such a GPU are taken, on average; assumed
LARGEST_VGPU_SHARE = 0.4  # of the VMs of a host, on average, have a vGPU at most: the rest must fit too; assumed
ARRIVAL_SHARE = 0.3  # of VMs that arrive ask for a vGPU, where there are any; assumed


@dataclass(frozen=True, eq=False)
class Vgpus:
    """The vGPU of each VM, None for most, and the host each stands on at the start, -1 for anywhere; length V."""

    profiles: tuple[GpuProfile | None, ...]
    home_V: IntArray

    @staticmethod
    def none(count: int) -> Vgpus:
        """No vGPU for anybody."""
        return Vgpus((None,) * count, np.full(count, NOWHERE))


def with_gpus(generator: np.random.Generator, hosts: tuple[Host, ...], share: float) -> tuple[Host, ...]:
    """The hosts, a share of them (at least one, if it is above 0) with GPUs."""
    if share == 0:
        return hosts
    kinds = [(int(generator.integers(len(MODELS))), int(generator.choice(GPUS_PER_HOST))) for _ in range(2)]
    chosen = generator.permutation(len(hosts))[: max(1, round(share * len(hosts)))]
    found = list(hosts)
    for h in chosen:
        kind, count = kinds[int(generator.integers(2))]
        model, memory_gib, _ = MODELS[kind]
        gpus = tuple(Gpu(f"{hosts[h].id}-gpu-{g + 1}", model, memory_gib) for g in range(count))
        found[h] = replace(hosts[h], gpus=gpus)
    return tuple(found)


def draw_vgpus(
    generator: np.random.Generator, hosts: tuple[Host, ...], may_have_V: BoolArray, is_first_V: BoolArray
) -> Vgpus:
    """Who has a vGPU, and where those there at the start of the day stand, so that R6 holds.

    Args:
        generator: of the GPUs alone.
        hosts: with their GPUs.
        may_have_V: VMs that may have one, such as small ones that no rule binds; shape (V,).
        is_first_V: VMs that are there at the start of the day; shape (V,).
    """
    profiles: list[GpuProfile | None] = [None] * len(may_have_V)
    home_V = np.full(len(may_have_V), NOWHERE)
    free = [int(v) for v in generator.permutation(np.flatnonzero(may_have_V & is_first_V))]
    limit = max(1, int(LARGEST_VGPU_SHARE * is_first_V.sum() / len(hosts)))
    for h, host in enumerate(hosts):
        left = limit
        for gpu in host.gpus:
            profile, slots = _profile(generator, gpu)
            count = int(generator.binomial(slots, FILL_SHARE)) if generator.random() < USED_SHARE else 0
            for _ in range(min(count, left, len(free))):
                v = free.pop()
                profiles[v], home_V[v] = profile, h
                left -= 1
    gpus = [gpu for host in hosts for gpu in host.gpus]
    for v in np.flatnonzero(~is_first_V).tolist() if gpus else ():
        if generator.random() < ARRIVAL_SHARE:
            profiles[v] = _profile(generator, gpus[int(generator.integers(len(gpus)))])[0]
    return Vgpus(tuple(profiles), home_V)


def _profile(generator: np.random.Generator, gpu: Gpu) -> tuple[GpuProfile, int]:
    """A profile of a GPU's model, and how many of them it holds."""
    sizes = next(sizes for model, _, sizes in MODELS if model == gpu.model)
    size_gib = float(generator.choice(sizes))
    return GpuProfile(gpu.model, size_gib), int(gpu.memory_gib // size_gib)
