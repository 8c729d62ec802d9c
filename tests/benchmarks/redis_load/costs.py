"""What Redis and the supervisors take of the processors, in a stretch of time."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import psutil
import redis

#: How often the state of Redis' main thread is looked at.
LOOK_SECONDS = 0.01


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Counters at one moment, or their growth over a stretch of time. All are seconds but `commands`.

    `main_thread`: of Redis, which runs all scripts. `redis`: all its threads. `rewriting`: its children, which rewrite its files.
    """

    time: float
    main_thread: float
    redis: float
    rewriting: float
    supervisors: float
    generator: float
    commands: float

    def since(self, before: "Counters") -> "Counters":
        """The growth since an earlier moment."""
        names = [field.name for field in fields(self)]
        return Counters(**{name: getattr(self, name) - getattr(before, name) for name in names})


@dataclass
class Disk:
    """How many looks found Redis' main thread waiting for the disk, out of how many."""

    waiting: int = 0
    looks: int = 0

    @property
    def share(self) -> float:
        """The share of the time in which Redis waited for the disk, 0 to 1."""
        return self.waiting / max(1, self.looks)


def counters(client: "redis.Redis", supervisors: Sequence[psutil.Process]) -> Counters:
    """The counters now. Raises `psutil.NoSuchProcess` if a supervisor has ended."""
    info: dict[str, Any] = client.info("all")
    whole = info["used_cpu_user"] + info["used_cpu_sys"]
    return Counters(
        time=time.monotonic(),
        # Redis tells the main thread's from 6.2 on, but not on all systems.
        main_thread=info.get("used_cpu_user_main_thread", whole) + info.get("used_cpu_sys_main_thread", 0.0),
        redis=whole,
        rewriting=info["used_cpu_user_children"] + info["used_cpu_sys_children"],
        supervisors=sum(sum(process.cpu_times()[:2]) for process in supervisors),
        generator=time.process_time(),
        commands=info["total_commands_processed"],
    )


@contextmanager
def watched(redis_pid: int) -> Iterator[Disk]:
    """Look during the `with` whether Redis' main thread waits for the disk: then it is occupied, but takes no processor time."""
    seen, ended, process = Disk(), threading.Event(), psutil.Process(redis_pid)

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            seen.waiting += process.status() == psutil.STATUS_DISK_SLEEP
            seen.looks += 1

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield seen
    finally:
        ended.set()
        looking.join(5)
