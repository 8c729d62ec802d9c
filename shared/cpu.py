"""How many cores this process may really use: affinity, then the container's quota."""

import os
from pathlib import Path

#: At least two workers, and two threads of each, where there are two cores. Measured there (docs/performance.md): of 1 x 2 and
#: 2 x 1 now one does more, now the other; 2 x 2 is never far from the better one, and a single clip is done about as soon as two
#: cores can: threads of one worker wait for each other, and those of the other run meanwhile. And a worker survives the other's
#: loss.
FEWEST = 2
#: Beyond that one worker for so many cores, since each holds the model in memory once more.
CORES_PER_WORKER = 4
CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def usable_cores() -> int:
    """At least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota_cores()
    return max(1, min(cores, int(quota)) if quota else cores)


def workers_for(cores: int) -> int:
    """How many workers to run on so many cores."""
    return max(min(FEWEST, cores), cores // CORES_PER_WORKER)


def threads_for(cores: int, workers: int) -> int:
    """How many threads each of them gets: its part of the cores, and two at least, unless there are more workers than cores."""
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
