"""How much memory a process holds, and how much there still is. Read from /proc; elsewhere nothing is known."""

from pathlib import Path


def resident_bytes(pid: int) -> int:
    """VmRSS of a process; 0 when unknown."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS:") * 1024


def available_bytes() -> int:
    """Memory that can be used without swapping; 0 when unknown."""
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable:") * 1024


def _kilobytes(path: Path, name: str) -> int:
    try:
        return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(name)), 0)
    except (OSError, ValueError, IndexError):
        return 0
