"""The rules R1-R8 told a second time, from the words of the contract: slow, plain, and without the model's arrays.

It reads the two JSON documents (`quell.cluster/1`, `quell.plan/1`) and replays the plan move by move. It shares no code
with `env/model`, so that each finds the other's mistakes. R7 and R6 are decided by trying everything.
"""

from __future__ import annotations

import itertools
import statistics
from typing import Any

Json = dict[str, Any]
EPSILON = 2e-6


class SecondJudge:
    """A cluster document, as it changes while a plan is replayed."""

    def __init__(self, cluster: Json) -> None:
        settings = cluster.get("settings", {})
        self.cpu_threshold = settings.get("cpu_threshold", 0.85)
        self.storage_threshold = settings.get("storage_cpu_threshold", 0.85)
        self.window = -int(-settings.get("trend_window_seconds", 600) // 60)
        self.hosts = {host["id"]: host for host in cluster["hosts"]}
        self.vms = {vm["id"]: vm for vm in cluster["vms"]}
        self.sessions = {s["id"]: s for group in cluster.get("volume_groups", []) for s in group["sessions"]}
        self.policies = cluster.get("policies", [])
        self.high_availability = cluster.get("high_availability", {"mode": "best-effort"})
        self.at = {name: vm["host"] for name, vm in self.vms.items()}
        self.at |= {name: s["controller"] for name, s in self.sessions.items()}

    def broken_by(self, plan: Json) -> list[str]:
        """Every rule that the plan, or the placement, breaks at any step."""
        broken: list[str] = []
        must_reserve = self.is_reserved()
        start = dict(self.at)
        for i, move in enumerate(plan["moves"]):
            vm, source, target = move["id"], move["source"], move["target"]
            if self.at[vm] != source or source is None or source == target:
                broken.append(f"move {i}: R2: {vm} is at {self.at[vm]}, not at {source}, and is to go to {target}")
            broken += [f"move {i}: {rule}" for rule in self.broken_at(vm, target)]
            broken += [
                f"move {i}: R4" for policy in self.of(vm, "vm-vm-anti-affinity") if self.clashes(policy, vm, target)
            ]
            self.at[vm] = target
            if must_reserve and not self.is_reserved():
                broken.append(f"move {i}: R7: the reservation is lost once {vm} is on {target}")
        broken += ["R5: " + policy["id"] for policy in self.policies if self.is_split(policy, start)]
        if plan["status"] == "placed":
            vm, target = plan["vm"], plan["target"]
            if start[vm] is not None:
                broken.append(f"placement: R2: {vm} is on {start[vm]} already")
            broken += [f"placement: {rule}" for rule in self.broken_at(vm, target)]
            self.at[vm] = target
            if must_reserve and not self.is_reserved():
                broken.append(f"placement: R7: the reservation is lost once {vm} is on {target}")
        return broken

    def broken_at(self, name: str, target: str) -> list[str]:
        """R1, R2, R3, R6 and R8 of something that comes to a host."""
        host, vm = self.hosts[target], self.vms.get(name)
        there = [other for other, at in self.at.items() if at == target and other != name]
        broken = []
        if host.get("state", "up") != "up" or (vm is not None and vm.get("power", "on") != "on"):
            broken.append(f"R2: {name} on {target}")
        if sum(map(self.need, [*there, name])) > host["memory_gib"] * (1 + EPSILON):
            broken.append(f"R1: {name} on {target}")
        if vm is not None and any(target not in policy["hosts"] for policy in self.of(name, "vm-host-affinity")):
            broken.append(f"R3: {name} on {target}")
        if vm is not None and vm.get("gpu") and not self.gpus_hold(target, [*there, name]):
            broken.append(f"R6: {name} on {target}")
        for key, cores, threshold in (
            ("cpu_demand_cores", host["cpu_cores"], self.cpu_threshold),
            ("storage_cpu_demand_cores", host["storage_cpu_cores"], self.storage_threshold),
        ):
            if sum(self.demand(other, key) for other in [*there, name]) > cores * (threshold + EPSILON):
                broken.append(f"R8: {name} brings {key} of {target} above its threshold")
        return broken

    def is_on(self, name: str) -> bool:
        """Whether something uses its host: a session, or a VM that is on."""
        return name in self.sessions or self.vms[name].get("power", "on") == "on"

    def demand(self, name: str, key: str) -> float:
        """Estimated demand: the median over the window."""
        entry = self.sessions.get(name) or self.vms[name]
        if not self.is_on(name):
            return 0.0
        value = entry.get(key, 0.0)
        return float(statistics.median(value[-self.window :]) if isinstance(value, list) else value)

    def need(self, name: str) -> float:
        """Memory need, GiB."""
        vm = self.vms.get(name)
        if vm is None or not self.is_on(name):
            return 0.0
        if vm.get("overcommit"):
            return float(min(vm["memory_gib"], vm["memory_usage_gib"] + vm["memory_swap_gib"]))
        return float(vm["memory_gib"])

    def of(self, name: str, kind: str) -> list[Json]:
        """Policies of a kind that name a VM."""
        return [p for p in self.policies if p["kind"] == kind and name in p["vms"]]

    def clashes(self, policy: Json, name: str, target: str) -> bool:
        """Whether another VM of an anti-affinity policy is on the target, be it on or off."""
        return any(self.at[other] == target for other in policy["vms"] if other != name)

    def is_split(self, policy: Json, start: dict[str, str | None]) -> bool:
        """Whether VMs of an affinity policy that shared a host no longer do."""
        if policy["kind"] != "vm-vm-affinity":
            return False
        pairs = itertools.combinations(policy["vms"], 2)
        return any(start[a] == start[b] is not None and self.at[a] != self.at[b] for a, b in pairs)

    def gpus_hold(self, host: str, names: list[str]) -> bool:
        """Whether the vGPUs of some VMs fit on the GPUs of a host: every assignment is tried."""
        cards = self.hosts[host].get("gpus", [])
        wanted = [v["gpu"] for n in names if (v := self.vms.get(n)) and v.get("gpu") and self.is_on(n)]
        load: list[list[float]] = [[] for _ in cards]

        def fits(i: int) -> bool:
            if i == len(wanted):
                return True
            size = wanted[i]["memory_gib"]
            for card, held in zip(cards, load, strict=True):
                if card["model"] != wanted[i]["model"] or any(other != size for other in held):
                    continue
                if sum(held) + size > card["memory_gib"] + EPSILON:
                    continue
                held.append(size)
                if fits(i + 1):
                    return True
                held.pop()
            return False

        return fits(0)

    def is_reserved(self) -> bool:
        """R7: whichever hosts fail, their `ha` VMs can restart on the others (memory, R3, R6); True in best effort."""
        if self.high_availability["mode"] != "guaranteed":
            return True
        alive = [h for h, host in self.hosts.items() if host.get("state", "up") != "down"]
        failures = min(self.high_availability["host_failures"], len(alive))
        return all(self.survives(failed) for failed in itertools.combinations(alive, failures))

    def survives(self, failed: tuple[str, ...]) -> bool:
        """Whether the `ha` VMs of some hosts can restart on the others: every packing is tried."""
        hit = [v for v in self.vms if self.at[v] in failed and self.is_on(v) and self.vms[v].get("ha", True)]
        up = [h for h, host in self.hosts.items() if host.get("state", "up") == "up" and h not in failed]
        names = {h: [n for n, at in self.at.items() if at == h] for h in up}
        free = {h: self.hosts[h]["memory_gib"] * (1 + EPSILON) - sum(map(self.need, names[h])) for h in up}
        hit.sort(key=self.need, reverse=True)

        def fits(i: int) -> bool:
            if i == len(hit):
                return True
            vm = hit[i]
            for h in up:
                if free[h] < self.need(vm) or any(h not in p["hosts"] for p in self.of(vm, "vm-host-affinity")):
                    continue
                if self.vms[vm].get("gpu") and not self.gpus_hold(h, [*names[h], vm]):
                    continue
                free[h] -= self.need(vm)
                names[h].append(vm)
                if fits(i + 1):
                    return True
                free[h] += self.need(vm)
                names[h].pop()
            return False

        return fits(0)
