"""Time: workloads, traces, and the simulator that plays them minute by minute."""
