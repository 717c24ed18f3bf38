"""ganeti's `hbal` on our clusters: its text format, its commands back as moves (Debian package `ganeti-htools`).

Hosts and movables go by number (`h3`, `m17`), so that no id can break the format. What it can be told: memory need,
demand (as dynamic utilization), anti-affinity (exclusion tags), hosts that are not up (offline), and who must not be
moved at all: so VMs with VM-host affinity, with a vGPU, or that VM-VM affinity keeps together stay where they are,
unless their host has to be emptied. What it cannot be told: the controllers' demand, sessions, thresholds.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..env.model.cluster import CPU, MEMORY, NOWHERE
from ..env.model.errors import QuellError
from ..env.model.rules import bound_M
from ..env.model.state import State

NAME = "hbal"
GROUP = "11111111-1111-1111-1111-111111111111"
MIB_PER_GIB = 1024
DISK_MIB = 1_000_000  # storage is shared: everybody has enough
COMMAND = re.compile(r"gnt-instance (?:migrate|failover)\b.*\s-n h(\d+) m(\d+)\s*$")


def find_hbal() -> str | None:
    """The path of the program, None where it is not installed."""
    return shutil.which(NAME)


def hbal_moves(state: State, seconds: float, program: str = NAME) -> list[tuple[int, int]] | None:
    """(movable, target host) in order, as `hbal` wants them; None where it did not answer in time.

    Raises:
        QuellError: it cannot be run, or its answer cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        data, demand = Path(folder, "cluster.data"), Path(folder, "utilization")
        data.write_text(cluster_text(state))
        demand.write_text(utilization_text(state))
        command = [program, "-t", str(data), "-U", str(demand), "-C"]
        if held := held_vms(state):
            command.append("--exclude-instances=" + ",".join(f"m{v}" for v in held))
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        except OSError as error:
            raise QuellError(f"{program} cannot be run: {error.strerror or error}") from None
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()[-1]
        raise QuellError(f"{program} ended with exit code {done.returncode}: {last}")
    return parse_commands(done.stdout, state)


def held_vms(state: State) -> list[int]:
    """VMs that rules bind of which it knows nothing (R3, R5, R6): it is asked to leave them alone.

    Source: hbal(1), option `--exclude-instances`. Those on a host in maintenance have to leave, whatever binds them.
    """
    inventory = state.inventory
    is_bound_M = bound_M(state) | ~inventory.is_allowed_MH.all(axis=1)
    is_bound_M[inventory.gpu_movables] = True
    return [v for v in _running(state) if is_bound_M[v] and inventory.is_up_H[state.host_of_M[v]]]


def cluster_text(state: State) -> str:
    """The cluster in the text format of htools: group, nodes, instances, tags; memory in MiB."""
    inventory = state.inventory
    running = _running(state)
    used_H = [0] * inventory.host_count
    for v in running:
        used_H[state.host_of_M[v]] += _mib(state, v)
    nodes = []
    for h, host in enumerate(inventory.hosts):
        total = int(host.memory_gib * MIB_PER_GIB)
        offline = "N" if inventory.is_up_H[h] else "Y"
        free = max(0, total - used_H[h])
        sizes = (total, 0, free, DISK_MIB, DISK_MIB, int(host.cpu_cores))
        nodes.append("|".join(map(str, (f"h{h}", *sizes, offline, GROUP, 1, "", "N", 0, 0, "1.0"))))
    instances = []
    for v in running:
        tags = ",".join(f"apart:{a}" for a in range(inventory.is_anti_MA.shape[1]) if inventory.is_anti_MA[v, a])
        vcpus = max(1, int(inventory.vms[v].vcpus))
        node = f"h{state.host_of_M[v]}"
        fields = (f"m{v}", _mib(state, v), 0, vcpus, "running", "Y", node, "", "ext", tags, 0)
        instances.append("|".join(map(str, fields)))
    sections = ([f"group|{GROUP}|preferred||"], nodes, instances, ["htools:iextags:apart"])
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def utilization_text(state: State) -> str:
    """What every VM uses: CPU and memory as shares of the largest host, no disk, no network."""
    inventory = state.inventory
    cores, memory_gib = inventory.capacity_HR[:, CPU].max(), inventory.capacity_HR[:, MEMORY].max()
    rows = [
        f"m{v} {state.demand_MR[v, CPU] / cores:.6f} {state.demand_MR[v, MEMORY] / memory_gib:.6f} 0 0"
        for v in _running(state)
    ]
    return "\n".join(rows) + "\n"


def parse_commands(text: str, state: State) -> list[tuple[int, int]]:
    """The migrations in what `hbal -C` prints, in order.

    Raises:
        QuellError: a command is no migration to a host, or names what the cluster does not have.
    """
    moves = []
    for line in text.splitlines():
        if "gnt-instance" not in line:
            continue
        match = COMMAND.search(line)
        if match is None:
            raise QuellError(f"{NAME} answers with {line.strip()!r}, which is no migration to a host")
        h, m = int(match[1]), int(match[2])
        if h >= state.inventory.host_count or m >= state.inventory.vm_count:
            raise QuellError(f"{NAME} answers with {line.strip()!r}, which names no host or no VM of the cluster")
        moves.append((m, h))
    return moves


def _running(state: State) -> list[int]:
    """VMs that are on and on a host."""
    inventory = state.inventory
    return [v for v in range(inventory.vm_count) if inventory.is_on_M[v] and state.host_of_M[v] != NOWHERE]


def _mib(state: State, v: int) -> int:
    """Memory need in MiB."""
    return round(float(state.demand_MR[v, MEMORY]) * MIB_PER_GIB)
