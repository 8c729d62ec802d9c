"""The Redis master dies, hangs, or is ahead of its replica, and the Sentinels name another. No acknowledged job is lost."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import cast

import httpx
import pytest

from tests.failover import SAFE, Watched, watched_servers
from tests.faults.experiments.arena import Arena
from tests.faults.zoo import Animal, clip
from tests.processes import RedisServer, Stack, wait_until

SENDERS, SOME = 3, 25
ZOO = {"WHISPER_ENGINE": "tests.faults.zoo:ZooEngine", "WHISPER_MODEL": "zoo", "LEASE_SECONDS": "2"}


@contextmanager
def fleet_at(watched: Watched, folder: Path, *, workers: int = 1, replicas: int = 1) -> Iterator[Arena]:
    """A gateway and workers that ask the Sentinels. `replicas`: how many must have a change before it is acknowledged."""
    folder.mkdir()
    stack = Stack(server=cast("RedisServer", watched), folder=folder, environment=ZOO)
    try:
        stack.start_gateway(REDIS_WAIT_REPLICAS=str(replicas))
        for _ in range(workers):
            stack.start_worker()
        stack.wait_ready(workers)
        with closing(Arena(stack)) as arena:
            yield arena
    finally:
        stack.stop()


@dataclass(kw_only=True)
class Traffic:
    """Clients that submit jobs all the time, and one client that reads the acknowledged ones."""

    fleet: Arena
    acknowledged: dict[str, int] = field(default_factory=dict)
    #: Answers about acknowledged jobs that are neither the job nor 503.
    strange: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    numbers: Iterator[int] = field(default_factory=lambda: count(100))

    @contextmanager
    def flows(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._send) for _ in range(SENDERS)] + [threading.Thread(target=self._look)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join(90)
        assert not self.errors

    def more(self) -> None:
        """Wait until SOME more jobs have been acknowledged."""
        enough = len(self.acknowledged) + SOME
        wait_until(lambda: len(self.acknowledged) >= enough or self.errors, f"{SOME} more are acknowledged", 60)

    def _send(self) -> None:
        while not self.over.wait(0.02):
            number = next(self.numbers)
            try:
                self.acknowledged[self.fleet.submit(Animal.GOOD, number)] = number
            except (AssertionError, httpx.HTTPError) as error:
                self.errors.append(repr(error))
                return

    def _look(self) -> None:
        while not self.over.wait(0.01):
            for job_id in list(self.acknowledged)[-3:]:
                try:
                    answer = self.fleet.client.get(f"/v1/jobs/{job_id}", timeout=10)
                except httpx.TransportError as error:
                    self.strange.append(repr(error))
                    continue
                if answer.status_code not in (200, 503):
                    self.strange.append(f"{answer.status_code} {answer.text[:200]}")


def all_said(fleet: Arena, numbers: dict[str, int]) -> None:
    """Check that every acknowledged job completes with its own transcript."""
    jobs = fleet.all_end(list(numbers), 90)
    wrong = [job for job in jobs if job["status"] != "completed" or job["result"]["transcript"] != str(numbers[job["job_id"]])]
    assert not wrong, wrong[:3]


def test_a_killed_master_takes_no_acknowledged_job_along(tmp_path: Path) -> None:
    with watched_servers(tmp_path, replicas=2, options=SAFE) as watched, fleet_at(watched, tmp_path / "fleet") as fleet:
        traffic, old = Traffic(fleet=fleet), watched.master()
        running = fleet.submit(Animal.GOOD, 1, milliseconds=8000)
        fleet.runs(running)
        with ThreadPoolExecutor() as pool, traffic.flows():
            long_poll = pool.submit(fleet.job, running, wait=45)
            traffic.more()
            old.kill()
            watched.wait_for_another(old)
            traffic.more()
            assert long_poll.result(50)["status"] == "completed", "a long-poll goes on at the new master"
            old.start()
            wait_until(lambda: watched.is_replica(old), "the old master is a replica", 40)
            traffic.more()
        assert not traffic.strange
        all_said(fleet, traffic.acknowledged | {running: 1})
        assert not fleet.faults()
        started = time.monotonic()
        assert fleet.job(fleet.submit(Animal.GOOD, 2), wait=30)["status"] == "completed"
        assert time.monotonic() - started < 5, "the bell and the subscription are at the new master"


def test_a_master_that_hangs_and_comes_back_splits_no_brain(tmp_path: Path) -> None:
    with watched_servers(tmp_path, replicas=2, options=SAFE) as watched, fleet_at(watched, tmp_path / "fleet") as fleet:
        traffic, old = Traffic(fleet=fleet), watched.master()
        assert old.running is not None
        with traffic.flows():
            traffic.more()
            old.running.signal(signal.SIGSTOP)
            watched.wait_for_another(old)
            # Now the old master still takes itself for the master, and carries out the commands that were sent to it meanwhile.
            old.running.signal(signal.SIGCONT)
            traffic.more()
            wait_until(lambda: watched.is_replica(old), "the old master is a replica", 40)
            traffic.more()
        assert not traffic.strange
        all_said(fleet, traffic.acknowledged)
        assert not fleet.faults()


@dataclass
class Sent:
    """A submit that was sent once: the id of its job if it was acknowledged."""

    number: int
    job_id: str | None


def send_once(fleet: Arena, number: int) -> Sent:
    # Sixty clips of this size are more than the sockets between master and replica hold.
    content = clip(Animal.GOOD, number, seconds=10)
    headers = {"Idempotency-Key": f"once-{number}"}
    answer = fleet.client.post("/v1/jobs", content=content, headers=headers, timeout=20)
    assert answer.status_code in (202, 503), answer.text
    return Sent(number, answer.json()["job_id"] if answer.status_code == 202 else None)


@pytest.mark.parametrize("replicas", [1, 0])
def test_what_no_replica_has_is_not_acknowledged(tmp_path: Path, replicas: int) -> None:
    """With `replicas=0` such jobs are acknowledged and lost: this shows that the other run tests something."""
    with (
        watched_servers(tmp_path, replicas=1) as watched,
        fleet_at(watched, tmp_path / "fleet", workers=0, replicas=replicas) as fleet,
        ThreadPoolExecutor(20) as pool,
    ):
        old, replica = watched.master(), watched.replicas()[0]
        assert replica.running is not None
        assert send_once(fleet, 1).job_id
        replica.running.signal(signal.SIGSTOP)
        sent = list(pool.map(lambda number: send_once(fleet, number), range(2, 62)))
        old.kill()
        replica.running.signal(signal.SIGCONT)
        watched.wait_for_another(old)
        # The old master becomes the replica for which the gateway can wait.
        old.start()
        wait_until(lambda: watched.is_replica(old), "the old master is a replica", 40)
        wait_until(lambda: fleet.client.get("/stats").status_code == 200, "the gateway is at the new master")
        statuses = {one.number: fleet.client.get(f"/v1/jobs/{one.job_id}").status_code for one in sent if one.job_id}
        lost = [number for number, status in statuses.items() if status == 404]
        if replicas == 0:
            assert lost, "without waiting for the replica, some acknowledged jobs are lost"
            return
        assert not lost and len(statuses) < len(sent)
        fleet.stack.start_worker()
        again = {fleet.submit(Animal.GOOD, one.number, query="?priority=interactive"): one.number for one in sent}
        all_said(fleet, again)


def test_a_result_that_was_lost_is_written_again_by_its_worker(tmp_path: Path) -> None:
    """A caller has seen the job's end, but the end has not reached the replica that becomes the master."""
    with watched_servers(tmp_path, replicas=1) as watched, fleet_at(watched, tmp_path / "fleet", replicas=0) as fleet:
        old, replica = watched.master(), watched.replicas()[0]
        assert replica.running is not None
        job_id = fleet.submit(Animal.GOOD, 7, milliseconds=2000)
        fleet.runs(job_id)
        assert fleet.redis.wait(1, 2000) == 1, "the replica knows that it runs"
        replica.running.signal(signal.SIGSTOP)
        with old.client() as client:
            for number in range(20):
                client.set(f"fleet:cache:padding{number}", b"x" * 1_000_000, ex=600)
        assert fleet.job(job_id, wait=20)["status"] == "completed"
        old.kill()
        replica.running.signal(signal.SIGCONT)
        watched.wait_for_another(old)
        job = fleet.ended(job_id)
        assert (job["status"], job["result"]["transcript"], job["attempt"]) == ("completed", "7", 1)
        assert "written_again" in fleet.stack.workers[0].log_text(), "else the replica had the result already"
