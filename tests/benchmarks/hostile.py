"""Fifty callers at once send files made to break their reader, beside one caller who only wants clips transcribed.

`python -m tests.benchmarks.hostile PORT SECONDS` runs the fifty in a process of its own, as they would be on other machines.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.audio_files import RATE_HZ, tone, with_av
from tests.benchmarks.load import Connection, request
from tests.benchmarks.submit_latency import clip
from tests.hostile_files import HOSTILE, varied
from tests.processes import ROOT, running_stack, wait_until
from tests.report import Finding, milliseconds, p95

CALLERS, FLOOD_SECONDS, NICENESS = 50, 20.0, 10
WAVS, WEBMS = 150, 150
MOST_GROWTH_MB, MOST_RATIO, MOST_READER_MB = 50, 2.0, 300
MEGABYTE = 1_000_000
LOOK_SECONDS = 0.05


def hostile(folder: Path) -> Iterator[Finding]:
    """One gateway, one worker. The quiet fleet is measured first, in the same run."""
    wavs, webms = [clip(700_000 + n) for n in range(2 * WAVS)], [_webm(n) for n in range(2 * WEBMS)]
    with running_stack(folder / "hostile", MAX_QUEUE_AUDIO_SECONDS="1000000000", ENABLE_CACHE="false") as stack:
        # Some of the files are valid, if absurd, and become jobs of hours. The queue's limit is not measured here.
        gateway, port = psutil.Process(stack.gateways[0].pid), stack.port()
        quiet_wav, quiet_webm = _both(port, wavs[:WAVS], webms[:WEBMS])
        files_before = gateway.num_fds()
        with _watched(gateway) as seen, _flood(port, FLOOD_SECONDS) as fifty:
            loud_wav, loud_webm = _both(port, wavs[WAVS:], webms[WEBMS:])
            outcome: dict[str, Any] = json.loads(fifty.communicate(timeout=180)[0])
        wait_until(lambda: gateway.num_fds() <= files_before + 2, "the gateway holds no file open", 30)
    yield _growth(seen, outcome)
    yield from _latencies(quiet_wav, loud_wav, quiet_webm, loud_webm)
    yield Finding(
        experiment="the largest reader meanwhile, memory that it shares with others included",
        must=f"<= {MOST_READER_MB} MB",
        seen=f"{seen.reader_mb:.0f} MB",
        holds=seen.reader_mb <= MOST_READER_MB,
    )
    yield _answers(outcome)


@dataclass
class _Seen:
    """Memory in megabytes: the gateway's at first and at most, and the most of any of its readers."""

    first_mb: float
    gateway_mb: float = 0.0
    reader_mb: float = 0.0
    is_over: threading.Event = field(default_factory=threading.Event)

    def look(self, gateway: psutil.Process) -> None:
        """Look until it is over. Looking costs little: the measured clients also run in this process."""
        keepers = [keeper.pid for keeper in gateway.children()]
        while not self.is_over.wait(LOOK_SECONDS):
            self.gateway_mb = max(self.gateway_mb, gateway.memory_info().rss / MEGABYTE)
            for keeper in keepers:
                for reader in Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split():
                    with suppress(OSError):
                        self.reader_mb = max(self.reader_mb, _most_mb(int(reader)))


def _most_mb(pid: int) -> float:
    """The highest memory use of a process so far, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 / MEGABYTE for line in lines if line.startswith("VmHWM:")), 0.0)


@contextmanager
def _watched(gateway: psutil.Process) -> Iterator[_Seen]:
    seen = _Seen(gateway.memory_info().rss / MEGABYTE)
    watching = threading.Thread(target=seen.look, args=(gateway,))
    watching.start()
    try:
        yield seen
    finally:
        seen.is_over.set()
        watching.join()


@contextmanager
def _flood(port: int, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """The flood, running, from the first answer on."""
    command = [sys.executable, "-m", "tests.benchmarks.hostile", str(port), str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as fifty:
        try:
            assert fifty.stdout is not None
            fifty.stdout.readline()
            yield fifty
        finally:
            fifty.kill()


def _webm(number: int) -> bytes:
    samples = tone(3.0)
    samples[number % RATE_HZ] += 0.1
    return with_av(samples, "webm", "libopus")


def _both(port: int, wavs: list[bytes], webms: list[bytes]) -> tuple[list[float], list[float]]:
    """Milliseconds of each submit. One client sends wav and another one webm, both evenly over the time of the flood."""
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(_submits, port, contents, kind) for contents, kind in ((wavs, "wav"), (webms, "webm"))]
        wav, webm = (sending.result() for sending in sent)
    return wav, webm


def _submits(port: int, contents: list[bytes], kind: str) -> list[float]:
    """Submit one after another until the time is over. Each job is withdrawn: the gateway is measured, not the worker."""
    took, begun = list[float](), time.perf_counter()
    with Connection(port) as connection:
        for number, content in enumerate(contents):
            time.sleep(max(0.0, begun + number * FLOOD_SECONDS / len(contents) - time.perf_counter()))
            started = time.perf_counter()
            if started > begun + FLOOD_SECONDS and number > 1:
                break
            status, body = connection.exchange(request("/v1/jobs?beam_size=1&temperature=0", content, f"audio/{kind}"))
            took.append((time.perf_counter() - started) * 1000)
            assert status == 202, body
            _withdraw(connection, body)
    return took


def _withdraw(connection: Connection, answer: bytes) -> None:
    connection.exchange(f"DELETE /v1/jobs/{json.loads(answer)['job_id']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def _growth(seen: _Seen, outcome: dict[str, Any]) -> Finding:
    grown = seen.gateway_mb - seen.first_mb
    return Finding(
        experiment=f"{CALLERS} callers send {len(HOSTILE)} kinds of hostile files at once for {FLOOD_SECONDS:.0f} s, each with a "
        "hash of its own: the gateway's memory",
        must=f"+{MOST_GROWTH_MB} MB at most",
        seen=f"+{grown:.0f} MB, from {seen.first_mb:.0f} MB ({outcome['count']} files)",
        holds=grown <= MOST_GROWTH_MB,
    )


def _latencies(
    quiet_wav: list[float], loud_wav: list[float], quiet_webm: list[float], loud_webm: list[float]
) -> Iterator[Finding]:
    for name, quiet, loud in (("wav", quiet_wav, loud_wav), ("webm", quiet_webm, loud_webm)):
        ratio = p95(loud) / p95(quiet)
        yield Finding(
            experiment=f"submits of 3 s {name} clips meanwhile, evenly over that time; baseline: a quiet fleet",
            must=f"p95 <= {MOST_RATIO:g} x",
            seen=f"p95 {ratio:.1f} x: {milliseconds(loud)} against {milliseconds(quiet)}",
            holds=ratio <= MOST_RATIO,
        )


def _answers(outcome: dict[str, Any]) -> Finding:
    statuses = {int(status): count for status, count in outcome["statuses"].items()}
    told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    return Finding(
        experiment="what the hostile callers are answered",
        must="202, 4xx, or 503 (come again) for those that wait behind slow ones; no connection lost",
        seen=f"{told}; p50 {outcome['median']:.2f} s, slowest {outcome['slowest']:.1f} s ({outcome['slowest_file']})",
        holds=all(200 <= status < 500 or status == 503 for status in statuses),
    )


# --- the fifty ---


def main(port: int, seconds: float) -> None:
    """Send until the time is over. Prints a summary of the answers."""
    os.nice(NICENESS)
    files = {name: make() for name, make in HOSTILE.items()}
    names, answered = itertools.cycle(files), list[tuple[str, int, float]]()
    lock, first = threading.Lock(), threading.Event()
    until = time.perf_counter() + seconds

    def one_caller(_: int) -> None:
        while time.perf_counter() < until:
            with lock:
                name = next(names)
            answered.append(_send(port, name, varied(files[name])))
            first.set()

    with ThreadPoolExecutor(CALLERS) as pool:
        sending = pool.map(one_caller, range(CALLERS))
        first.wait()
        print("begun", flush=True)
        list(sending)
    slowest = max(answered, key=lambda answer: answer[2])
    told = {
        "count": len(answered),
        "statuses": Counter(status for _, status, _ in answered),
        "median": statistics.median(took for *_, took in answered),
        "slowest": slowest[2],
        "slowest_file": slowest[0],
    }
    print(json.dumps(told))


def _send(port: int, name: str, content: bytes) -> tuple[str, int, float]:
    """Send one file. Returns its name, the status (0: no answer), and the seconds it took."""
    started, status = time.perf_counter(), 0
    with suppress(OSError, IndexError, ValueError), Connection(port) as connection:
        status, body = connection.exchange(request("/v1/jobs", content, "application/octet-stream"))
        if status == 202:
            _withdraw(connection, body)
    return name, status, time.perf_counter() - started


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
