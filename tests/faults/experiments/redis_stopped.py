"""Redis is halted for a minute while many clients submit at once: all get an answer in time, and then all work goes on."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

from tests.faults.experiments.settling import audited, orphans
from tests.faults.proof.checker import judge
from tests.faults.proof.clients import Clients
from tests.faults.proof.fleet import fleet_around
from tests.faults.proof.history import Operation, Recorder, read_history
from tests.faults.proof.plans import JobPlan, Story
from tests.faults.proof.stories import Player, acknowledged
from tests.processes import WITHOUT_FILES
from tests.report import Finding, spread

CLIENTS = 200
STOP_SECONDS = 60.0
ANSWER_SECONDS = 2.0
#: How long the clients pause after a 503: the value of `Retry-After`.
RETRY_SECONDS = 2.0
#: How many jobs are under way when Redis is halted.
BEFORE = 40


def redis_stopped(folder: Path, seconds: float = STOP_SECONDS) -> Iterator[Finding]:
    """Two gateways and two workers have BEFORE jobs under way; then Redis is halted, and CLIENTS clients submit."""
    with ExitStack() as stack:
        fleet = stack.enter_context(fleet_around(folder / "fleet", *WITHOUT_FILES))
        for _ in range(2):
            fleet.add_gateway()
            fleet.add_worker()
        fleet.wait_ready()
        recorder = stack.enter_context(closing(Recorder(folder / "history.jsonl", time.monotonic)))
        clients = stack.enter_context(closing(Clients(fleet.urls, recorder, RETRY_SECONDS)))
        with fleet.kept_alive(), ThreadPoolExecutor(CLIENTS) as pool:
            player = Player(clients, pool)
            list(pool.map(lambda plan: acknowledged(clients.mine(), plan), _plans(BEFORE, "before", 1_000)))
            stopped = recorder.now()
            stop = threading.Thread(target=fleet.server.stop_for, args=(seconds,))
            stop.start()
            list(pool.map(player.play, _plans(CLIENTS, "meanwhile", 100)))
            stop.join()
            stats = audited(fleet, clients, read_history(folder / "history.jsonl"))
            left = orphans(fleet)
    operations = read_history(folder / "history.jsonl")
    meanwhile = [one for one in operations if stopped + 0.2 < one.began and one.ended < stopped + seconds]
    yield _finding(operations, meanwhile, [*map(str, judge(operations, stats)), *left], seconds)


def _plans(jobs: int, name: str, milliseconds: int) -> list[JobPlan]:
    """Stories without long-polls, so that each request should be answered at once."""
    first = milliseconds
    return [
        JobPlan(at=0, story=Story.POLLED, number=first + n, milliseconds=milliseconds, key=f"{name}-{n}", patience=0)
        for n in range(jobs)
    ]


def _finding(operations: Sequence[Operation], meanwhile: Sequence[Operation], faults: Sequence[str], seconds: float) -> Finding:
    took = [one.ended - one.began for one in meanwhile]
    answers = Counter(one.lost or str(one.status) for one in meanwhile)
    jobs = {one.seen.job for one in operations if one.action == "submit" and one.seen is not None}
    ends = Counter(
        state for _, state in {(one.subject, one.seen.state) for one in operations if one.action == "result" and one.seen}
    )
    in_time = bool(took) and max(took) <= ANSWER_SECONDS
    return Finding(
        experiment=f"Redis stopped (SIGSTOP) for {seconds:g} s, {CLIENTS} clients at once, {BEFORE} jobs under way",
        must="every answer within 2 s and 503 with Retry-After; all work goes on afterwards",
        seen=f"{len(took)} answers after {spread(took) if len(took) > 1 else took}: {dict(answers)}; then {len(jobs)} of "
        f"{CLIENTS + BEFORE} jobs acknowledged, results {dict(ends)}; {len(faults)} faults"
        + "".join(f"; {f}" for f in faults[:3]),
        holds=in_time and set(answers) == {"503"} and len(jobs) == CLIENTS + BEFORE and not faults,
    )
