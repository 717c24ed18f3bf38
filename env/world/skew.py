"""The example of the first ADS document as a day: three hosts at 50 %, 5 % and 5 %, and nothing ever changes.

There is skew and no contention, so every move is one too many.

    host-1  vm-1 ... vm-10   20 of 40 cores   50 %
    host-2  vm-11             2 of 40 cores    5 %
    host-3  vm-12             2 of 40 cores    5 %

Each VM demands 2 cores, holds 16 GiB and loads its storage controller with 0.2 of 8 cores.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import Host, Inventory, Vm, make_cluster, read_only
from .workload import DAY_MINUTES, Episode

NAME = "skew"
HISTORY_MINUTES = 120
VMS_OF_HOSTS = (10, 1, 1)
HOST_CORES, HOST_MEMORY_GIB, CONTROLLER_CORES = 40.0, 256.0, 8.0
VM_CORES, VM_MEMORY_GIB, VM_CONTROLLER_CORES = 2.0, 16.0, 0.2


def skew_episode(seed: int = 0) -> Episode:
    """The day; the seed is only its name, so that results pair."""
    hosts = tuple(Host(f"host-{h + 1}", HOST_CORES, HOST_MEMORY_GIB, CONTROLLER_CORES) for h in range(3))
    host_of_V = np.repeat(np.arange(3), VMS_OF_HOSTS)
    vms = tuple(Vm(f"vm-{v + 1}", 2 * VM_CORES, VM_MEMORY_GIB) for v in range(len(host_of_V)))
    shape = len(vms), HISTORY_MINUTES + DAY_MINUTES
    cpu_VN, storage_VN = np.full(shape, VM_CORES), np.full(shape, VM_CONTROLLER_CORES)
    return Episode(
        cluster=make_cluster(Inventory(hosts, vms), host_of_V, cpu_VN[:, :1], storage_VN[:, :1], name=NAME),
        cpu_VN=read_only(cpu_VN, dtype=np.float32),
        storage_MN=read_only(storage_VN, dtype=np.float32),
        seed=seed,
        day_name=NAME,
        vm_names=tuple(vm.id for vm in vms),
        history_minutes=HISTORY_MINUTES,
    )
