"""How many cores this process may really use: affinity, then the container's quota."""

import os
from pathlib import Path

#: Two workers where there are two cores: they do more than one of two threads (docs/performance.md), whose threads wait for each
#: other, and each survives the other's loss. Beyond that one for so many cores, since each holds the model in memory once more.
FEWEST_WORKERS, CORES_PER_WORKER = 2, 4
CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def usable_cores() -> int:
    """At least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota_cores()
    return max(1, min(cores, int(quota)) if quota else cores)


def workers_for(cores: int) -> int:
    """How many workers to run on so many cores."""
    return max(min(FEWEST_WORKERS, cores), cores // CORES_PER_WORKER)


def threads_for(cores: int, workers: int) -> int:
    """How many threads each of them gets: as many as there are cores for all."""
    return max(1, cores // workers)


def _quota_cores() -> float | None:
    try:
        if CGROUP_V2.exists():
            quota, period = CGROUP_V2.read_text().split()
        else:
            quota, period = (CGROUP_V1.joinpath(f"cpu.cfs_{what}_us").read_text().strip() for what in ("quota", "period"))
        return int(quota) / int(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError):
        return None
