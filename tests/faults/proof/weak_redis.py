"""A Redis server whose clock can be set, whose disk can be full, and which is started again when it dies."""

import ctypes.util
import os
import resource
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.processes import RedisServer, redis_binary, start_in, wait_until

#: Where packages install libfaketime, which is not on the usual library paths.
_LIBRARIES = (
    "/usr/lib/*/faketime/libfaketime.so.1",
    "/usr/lib*/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/libfaketime.so.1",
)
#: How many more bytes a file may grow before its disk is full.
LAST_BYTES = 2_000
START_SECONDS, TRIAL_SECONDS = 60.0, 5.0


def libfaketime() -> Path | None:
    """The library that fakes a process's clock; None if it is not installed."""
    for pattern in _LIBRARIES:
        if found := sorted(Path("/").glob(pattern.lstrip("/"))):
            return found[0]
    named = ctypes.util.find_library("faketime")
    return Path(named) if named else None


@dataclass(kw_only=True)
class WeakRedis(RedisServer):
    """A Redis server with faults. `keep` starts it again, unless a fault holds it down."""

    #: Held during each fault, so that there is one at a time, and while the server is started.
    lock: "threading.RLock" = field(default_factory=threading.RLock)
    #: Whether its clock can be set; None until that was tried.
    has_clock: bool | None = None

    def start(self) -> None:
        """Start the server, if possible with the preloaded library that fakes its clock.

        The server ignores the signal for files that are too large, so that it gets an error for its AOF instead.
        """
        if self.has_clock is None:
            self.has_clock = libfaketime() is not None and self._starts_with_a_clock()
        self._launch()
        wait_until(self._answers, "Redis answers", START_SECONDS)

    def _starts_with_a_clock(self) -> bool:
        """Try whether the server starts with libfaketime. Servers that are built with their own allocator may not."""
        self.has_clock = True
        self._launch()
        try:
            wait_until(self._answers, "Redis answers", TRIAL_SECONDS)
        except AssertionError:
            return False
        finally:
            self.kill()
        return True

    def _launch(self) -> None:
        command = [redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), *self.options]
        log, environment = self.folder / "redis.log", self._clock_environment() if self.has_clock else {}
        self.running = start_in(self.folder, command, log, environment, restore_signals=False)

    def keep(self) -> None:
        """Start it again if it has died."""
        if self.running is None or self.running.process.poll() is None or not self.lock.acquire(blocking=False):
            return
        try:
            self.start()
        finally:
            self.lock.release()

    def set_clock(self, offset: str) -> None:
        """Set the clock: `+3600` is an hour ahead, `+0` is right. libfaketime reads the offset every second."""
        new = self._clock_file.with_suffix(".new")
        new.write_text(offset)
        new.replace(self._clock_file)

    def fill_disk(self, seconds: float) -> bool:
        """Stop the AOF from growing for this time. Returns whether the server noticed: then it ended, and stays down so long."""
        with self.lock:
            room_at = time.monotonic() + seconds
            process = psutil.Process(self._pid())
            limit = max((path.stat().st_size for path in self._append_only_files()), default=0) + LAST_BYTES
            process.rlimit(psutil.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            try:
                process.wait(seconds)
            except psutil.TimeoutExpired:
                process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                return False
            time.sleep(max(0.0, room_at - time.monotonic()))
            return True

    def stop_for(self, seconds: float) -> None:
        """Halt the server for this time (SIGSTOP)."""
        with self.lock:
            os.kill(self._pid(), signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(self._pid(), signal.SIGCONT)

    def _pid(self) -> int:
        assert self.running is not None
        return self.running.pid

    def _append_only_files(self) -> list[Path]:
        """The files of the AOF: several in a folder from Redis 7 on, one before."""
        return [path for path in (*self.folder.glob("appendonlydir/*"), *self.folder.glob("appendonly.aof")) if path.is_file()]

    @property
    def _clock_file(self) -> Path:
        return self.folder / "clock"

    def _clock_environment(self) -> dict[str, str]:
        if not self._clock_file.exists():
            self._clock_file.write_text("+0")
        return {
            # libc comes before the allocator of the server: jemalloc would ask for the time before libfaketime can tell it.
            "LD_PRELOAD": f"{libfaketime()} libc.so.6",
            "FAKETIME_TIMESTAMP_FILE": str(self._clock_file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }
