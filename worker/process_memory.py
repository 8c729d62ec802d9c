"""How much memory a process holds, and how much is still available. Read from /proc; unknown on systems without it."""

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def resident_bytes(pid: int) -> int:
    """Resident memory (VmRSS) of a process; 0 when unknown."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS:") * 1024


def available_bytes() -> int:
    """Memory that can be used without swapping, within the container's limit; 0 when unknown."""
    free = _kilobytes(Path("/proc/meminfo"), "MemAvailable:") * 1024
    try:
        limit, used = (CGROUP.joinpath(f"memory.{what}").read_text().strip() for what in ("max", "current"))
        return min(free, int(limit) - int(used))
    except (OSError, ValueError):
        return free  # no container, or one without a limit


def _kilobytes(path: Path, name: str) -> int:
    try:
        return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(name)), 0)
    except (OSError, ValueError, IndexError):
        return 0
