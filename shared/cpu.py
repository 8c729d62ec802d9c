"""How many cores this process may use, by its CPU affinity and its container's quota; and how many workers fit on them."""

import os
from pathlib import Path

#: On two cores or more: at least two workers, and at least two threads of each. Measured on two cores (docs/performance.md), as
#: workers x threads, with either encoder: sometimes 1 x 2 does more work, sometimes 2 x 1. 2 x 2 is never far from the better of
#: them, and finishes a single clip about as soon as two cores can: while threads of one worker wait for each other, those of the
#: other run. And one worker is left if the other dies.
FEWEST = 2
#: On more cores: one worker for this many cores, since each worker holds its own copy of the model in memory.
CORES_PER_WORKER = 4
CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def usable_cores() -> int:
    """How many cores this process may use; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota_cores()
    return max(1, min(cores, int(quota)) if quota else cores)


def has_cores_of_its_own() -> bool:
    """Whether a quota of its container says how many cores this process may use: then it shares them with no other worker."""
    return _quota_cores() is not None


def workers_for(cores: int) -> int:
    """How many workers to run on this many cores."""
    return max(min(FEWEST, cores), cores // CORES_PER_WORKER)


def threads_for(cores: int, workers: int) -> int:
    """How many threads each worker gets: its part of the cores, but at least two. One if there are more workers than cores."""
    return 1 if workers > cores else max(min(FEWEST, cores), cores // workers)


def _quota_cores() -> float | None:
    try:
        if CGROUP_V2.exists():
            quota, period = CGROUP_V2.read_text().split()
        else:
            quota, period = (CGROUP_V1.joinpath(f"cpu.cfs_{what}_us").read_text().strip() for what in ("quota", "period"))
        return int(quota) / int(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError):
        return None
