"""Thousands of long-polls on one gateway process: their memory, their cost in Redis, and how soon they wake."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from shared.settings import WorkerSettings
from shared.transcripts.transcript import Transcript
from tests.faults import zoo
from tests.faults.zoo import Animal
from tests.processes import Stack, running_stack, wait_until
from tests.report import Finding, milliseconds
from worker.queue.assembly import assemble

WAITERS, QUIET_SECONDS, SETTLED_SECONDS = 2_000, 3.0, 0.5


def waiting(folder: Path) -> Iterator[Finding]:
    """Each waiter has a job of its own. All jobs then end one after the other, and every waiter notes when its answer comes."""
    with running_stack(folder / "waiting", workers=0) as stack:
        megabytes, commands, delays = asyncio.run(_wait_for_all(stack))
    yield Finding(
        experiment=f"{WAITERS:,} long-polls on one gateway process",
        must="<= 200 MB, no Redis command per waiter, all woken within 1 s of their results",
        seen=f"{megabytes:.0f} MB, {commands / QUIET_SECONDS / WAITERS:.4f} commands per waiter and second, woken after "
        f"{milliseconds(delays)}, max {max(delays):.0f} ms",
        holds=megabytes <= 200 and commands / QUIET_SECONDS < WAITERS / 100 and max(delays) <= 1000,
    )


async def _wait_for_all(stack: Stack) -> tuple[float, int, list[float]]:
    ids = await asyncio.to_thread(_submit, stack)
    ended: dict[str, float] = {}
    looks = _scripts_run(stack) + WAITERS
    polls = [asyncio.create_task(_poll(stack, job_id)) for job_id in ids]
    await asyncio.to_thread(wait_until, lambda: _scripts_run(stack) >= looks and _is_quiet(stack), "everybody waits", 60.0, 0.0)
    before = _commands(stack)
    await asyncio.sleep(QUIET_SECONDS)  # the time over which commands are counted
    commands = _commands(stack) - before
    megabytes = psutil.Process(stack.gateways[0].pid).memory_info().rss / 1e6
    await asyncio.to_thread(_finish_all, stack, ended)
    woken = dict(await asyncio.wait_for(asyncio.gather(*polls), 60))
    return megabytes, commands, [max(0.0, (woken[job_id] - ended[job_id]) * 1000) for job_id in ids]


def _submit(stack: Stack) -> list[str]:
    with stack.client() as client:
        return [client.post("/v1/jobs", content=zoo.clip(Animal.GOOD, n, seconds=0.1)).json()["job_id"] for n in range(WAITERS)]


def _commands(stack: Stack) -> int:
    with stack.server.client() as client:
        info: dict[str, Any] = client.info("stats")
        return int(info["total_commands_processed"])


def _scripts_run(stack: Stack) -> int:
    """Script calls so far: one for each submit, and one for each look at a job."""
    with stack.server.client() as client:
        statistics: dict[str, Any] = client.info("commandstats")
        return int(statistics["cmdstat_evalsha"]["calls"])


def _is_quiet(stack: Stack) -> bool:
    """Whether hardly any commands run any more: every waiter has had its first look at its job."""
    before = _commands(stack)
    time.sleep(SETTLED_SECONDS)  # the time over which commands are counted
    return _commands(stack) - before < WAITERS / 100


async def _poll(stack: Stack, job_id: str) -> tuple[str, float]:
    """The job's id, and the time when the answer to its long-poll began to arrive."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port())
    writer.write(f"GET /v1/jobs/{job_id}?wait=60 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    first = await reader.readline()
    heard = time.perf_counter()
    body = await reader.read()
    writer.close()
    assert b"200" in first and b'"completed"' in body
    return job_id, heard


def _finish_all(stack: Stack, ended: dict[str, float]) -> None:
    """Finish all jobs as a worker does, but without a model."""
    settings = WorkerSettings(redis_url=stack.server.url, whisper_model="demo")  # type: ignore[arg-type]
    with stack.server.client() as client:
        worker = assemble(client, settings, "bench")
        while claimed := worker.claims.claim(1, []):
            for held in claimed:
                transcript = Transcript(
                    transcript="x", language="en", language_probability=1.0, duration=0.1, segments=[], preprocess_ms=0.0,
                    transcribe_ms=0.0, model="demo", model_revision="r", device="cpu",
                )  # fmt: skip
                assert worker.leases.finish(held, transcript).verdict == "completed"
                ended[held.job.id] = time.perf_counter()
