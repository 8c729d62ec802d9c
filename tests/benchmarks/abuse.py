"""Measures a client that submits clips, with and without an attacker who holds connections or sends too much."""

import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.benchmarks.attacks import ATTACKS
from tests.benchmarks.load import Connection, request
from tests.benchmarks.submit_latency import clip
from tests.processes import ROOT, Stack, redis_server
from tests.report import Finding, p95

#: Number of submits in one turn, and the pause between two.
SUBMITS, PAUSE_SECONDS = 60, 0.02
#: Rounds of each attack; a round is a quiet turn and a loud one, with the attack. A burst of uploads ends soon; an attack that
#: holds connections lasts for the whole turn.
ROUNDS = {"half-sent heads": 3, "bodies that trickle": 3, "uploads of 95 MB": 5, "a header of 100 MB": 5, "12 MB of keys": 5}
#: For attacks that end soon, the BURSTS, a loud turn lasts as long as the attack, and has at least this number of submits.
FEWEST_SUBMITS = 20
BURSTS = frozenset({"uploads of 95 MB", "a header of 100 MB", "12 MB of keys"})
MOST_RATIO, MOST_MB, CUT_SECONDS, MEGABYTE = 2.0, 300, 30.0, 1_000_000
LOOK_SECONDS, LONGEST_SECONDS = 0.05, 90.0


@dataclass
class _Seen:
    """Measurements of one attack: p95 of each quiet and each loud turn (ms), and the worst of the other values."""

    quiet: list[float] = field(default_factory=list)
    loud: list[float] = field(default_factory=list)
    gateway_mb: float = 0.0
    last_cut_seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def ratio(self) -> float:
        """How much slower the loud turn is: the median of the rounds, since other guests of the host spoil some rounds."""
        return statistics.median(loud / quiet for loud, quiet in zip(self.loud, self.quiet, strict=True))


def abuse(folder: Path) -> Iterator[Finding]:
    """Attack one gateway that has no key. The measuring client cancels its jobs at once."""
    folder.mkdir(exist_ok=True)
    with redis_server(folder) as server:
        stack = Stack(server=server, folder=folder, environment={"ENABLE_CACHE": "false", "MAX_QUEUE_AUDIO_SECONDS": "100000000"})
        try:
            stack.start_gateway()
            _turn(stack.port(), range(SUBMITS))
            for name in ATTACKS:
                yield _finding(name, _rounds(stack, name))
        finally:
            stack.stop()


def _rounds(stack: Stack, name: str) -> _Seen:
    seen, port, gateway = _Seen(), stack.port(), psutil.Process(stack.gateways[0].pid)
    for _ in range(ROUNDS[name]):
        seen.quiet.append(p95(_turn(port, range(SUBMITS))))
        with _watched(gateway, seen), _attack(name, port) as attack:
            seen.loud.append(p95(_turn(port, _while_it_lasts(attack) if name in BURSTS else range(SUBMITS))))
            told = json.loads(attack.communicate(timeout=LONGEST_SECONDS)[0])
        seen.last_cut_seconds = max(seen.last_cut_seconds, told["last_cut_seconds"])
        seen.answers.update(told["answers"])
    return seen


def _while_it_lasts(attack: "subprocess.Popen[str]") -> Iterable[int]:
    ends = itertools.takewhile(lambda _: attack.poll() is None, itertools.count())
    return itertools.chain(range(FEWEST_SUBMITS), ends)


def _turn(port: int, submits: Iterable[int]) -> list[float]:
    """Submit clips one by one, and return the milliseconds of each submit."""
    took = list[float]()
    with Connection(port) as connection:
        for _ in submits:
            content = clip(time.time_ns() % 10**9)
            started = time.perf_counter()
            status, body = connection.exchange(request("/v1/jobs?beam_size=1&temperature=0", content, "audio/wav"))
            took.append((time.perf_counter() - started) * 1000)
            assert status == 202, body
            connection.exchange(f"DELETE /v1/jobs/{json.loads(body)['job_id']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            time.sleep(PAUSE_SECONDS)
    return took


@contextmanager
def _attack(name: str, port: int) -> Iterator["subprocess.Popen[str]"]:
    """Run an attack in a process of its own. Yields when the attack has begun."""
    command = [sys.executable, "-m", "tests.benchmarks.attacks", name, str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as attack:
        try:
            assert attack.stdout is not None
            attack.stdout.readline()
            yield attack
        finally:
            attack.kill()


@contextmanager
def _watched(gateway: psutil.Process, seen: _Seen) -> Iterator[None]:
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_SECONDS):
            seen.gateway_mb = max(seen.gateway_mb, gateway.memory_info().rss / MEGABYTE)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()


def _finding(name: str, seen: _Seen) -> Finding:
    count = ATTACKS[name][1]
    answers = ", ".join(f"{number} x {status}" for status, number in sorted(seen.answers.items()))
    rounds = f", median of {len(seen.loud)} rounds" if len(seen.loud) > 1 else ""
    loud, quiet = statistics.median(seen.loud), statistics.median(seen.quiet)
    return Finding(
        experiment=f"{count} x {name}, no key: submits of 3 s clips meanwhile, the gateway's memory, when the last one is cut",
        must=f"p95 <= {MOST_RATIO:g} x; <= {MOST_MB} MB; <= {CUT_SECONDS:g} s",
        seen=f"p95 {seen.ratio:.1f} x ({loud:.1f} against {quiet:.1f} ms{rounds}); {seen.gateway_mb:.0f} MB; "
        f"{seen.last_cut_seconds:.1f} s ({answers})",
        holds=seen.ratio <= MOST_RATIO and seen.gateway_mb <= MOST_MB and seen.last_cut_seconds <= CUT_SECONDS,
    )
