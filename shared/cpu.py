"""How many cores this process may use, by its CPU affinity and its container's quota; and how many workers fit on them."""

import os
from pathlib import Path

#: On two cores or more: at least two workers. Measured on two cores (docs/performance.md), as workers x threads: 2 x 1 does the
#: most work, or little less than the best. And one worker is left if the other dies.
FEWEST = 2
#: On more cores: one worker for this many cores, since each worker holds its own copy of the model in memory.
CORES_PER_WORKER = 4
#: OpenVINO's encoder has this many times the threads of its worker. Threads of several workers that want the same cores cost
#: little there, and a worker that is alone encodes as fast as twice its cores can (decision 24).
ENCODER_THREADS = 2
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
    """How many threads each worker gets: its part of the cores, and at least one."""
    return max(1, cores // workers)


def encoder_threads_for(cores: int, threads: int) -> int:
    """How many threads OpenVINO's encoder gets in a worker that has `threads` of them."""
    return max(threads, min(cores, ENCODER_THREADS * threads))


def _quota_cores() -> float | None:
    try:
        if CGROUP_V2.exists():
            quota, period = CGROUP_V2.read_text().split()
        else:
            quota, period = (CGROUP_V1.joinpath(f"cpu.cfs_{what}_us").read_text().strip() for what in ("quota", "period"))
        return int(quota) / int(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError):
        return None
