"""A gateway without HTTP that keeps many jobs under way, and checks that each ends once and with its own transcript."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count

from pydantic import SecretStr
from starlette.requests import Request

from gateway.app import create_app
from gateway.fleet.store import Snapshot, snapshot_of
from gateway.following.waiting import Watch
from gateway.services import Services
from gateway.submitting.bodies import Upload
from gateway.submitting.uploaded import UploadedAudio
from shared.errors import JobGone, UnknownJob
from shared.jobs.job import JobState
from shared.settings import GatewaySettings
from tests.benchmarks.redis_load.instant_model import clip, text_of

TENANT = "default"
#: How long a job that was submitted may take to end.
END_SECONDS = 30.0
#: How many jobs are read at a time when all of them are checked.
READ_AT_ONCE = 64


@asynccontextmanager
async def gateway(redis_url: str, model: str) -> AsyncIterator["Generator"]:
    """All parts of a gateway except its HTTP server, for the time of a `with`."""
    app = create_app(GatewaySettings(redis_url=SecretStr(redis_url), whisper_model=model))
    async with app.router.lifespan_context(app):
        yield Generator(app.state.services)


class Generator:
    """Submits distinct clips. `acknowledged`: the numbers of the clips by the ids of their jobs. `ends`: how many have ended."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.acknowledged: dict[str, int] = {}
        self.ends = 0
        self._numbers: Iterator[int] = count()
        self._stopped = asyncio.Event()

    async def ready_supervisors(self) -> int:
        """How many supervisors are ready now."""
        return sum(worker.is_ready for worker in await self._services.fleet.workers())

    async def supervisors_used(self) -> int:
        """How many supervisors have decoded the jobs so far."""
        return len({snapshot.job.worker async for _, snapshot in self._all_read() if snapshot})

    async def keep_busy(self, under_way: int, size_bytes: int) -> None:
        """Keep this many jobs of this size under way until `stop`. Returns when the last of them has ended."""
        self._stopped.clear()
        await asyncio.gather(*(self._one_after_another(size_bytes) for _ in range(under_way)))

    def stop(self) -> None:
        """Submit no more jobs."""
        self._stopped.set()

    async def _one_after_another(self, size_bytes: int) -> None:
        while not self._stopped.is_set():
            await self.one_job(size_bytes)

    async def one_job(self, size_bytes: int, hold_ms: int = 0) -> None:
        """Submit a job as `POST /v1/jobs?wait=` does, and wait for its end, but not forever: `faults` finds those without one."""
        number = next(self._numbers)
        upload = Upload(audio=UploadedAudio(clip(number, size_bytes, hold_ms)), fields={"language": "en"})
        prepared = await self._services.submitter.prepare(Request({"type": "http"}), upload)
        with self._services.waiters.watch(prepared.job_id) as watch:
            snapshot = await self._services.submitter.submit(prepared, TENANT, None)
            self.acknowledged[prepared.job_id] = number
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._end(snapshot, watch), END_SECONDS + hold_ms / 1000)
                self.ends += 1

    async def _end(self, snapshot: Snapshot, watch: Watch) -> None:
        job = snapshot.job
        while not job.state.is_terminal:
            await watch.woken.wait()
            watch.woken.clear()
            told = snapshot_of(json.loads(watch.told)) if watch.told else await self._services.store.read(job.id, TENANT)
            job = told.job

    async def faults(self) -> Counter[str]:
        """Read all acknowledged jobs from Redis. What is wrong with them, and with how many."""
        found = Counter[str]()
        async for number, snapshot in self._all_read():
            if wrong := fault(snapshot, number):
                found[wrong] += 1
        ended = (await self._services.fleet.stats())["totals"].get("completed", 0)
        if ended != len(self.acknowledged):
            found["more or fewer ends than jobs"] = abs(ended - len(self.acknowledged))
        return found

    async def _all_read(self) -> AsyncIterator[tuple[int, Snapshot | None]]:
        """The number of each acknowledged clip, with its job as Redis has it now, or None if Redis has none."""
        jobs = list(self.acknowledged.items())
        for start in range(0, len(jobs), READ_AT_ONCE):
            some = jobs[start : start + READ_AT_ONCE]
            read = await asyncio.gather(*(self._read(job_id) for job_id, _ in some))
            for (_, number), snapshot in zip(some, read, strict=True):
                yield number, snapshot

    async def _read(self, job_id: str) -> Snapshot | None:
        try:
            return await self._services.store.read(job_id, TENANT)
        except (UnknownJob, JobGone):
            return None


def fault(ended: Snapshot | None, number: int) -> str | None:
    """What is wrong with a job that should have been decoded once, and have the transcript of the clip with this number."""
    if ended is None:
        return "lost"
    if ended.job.state is not JobState.COMPLETED:
        return str(ended.job.state.value)
    if ended.job.attempt != 1:
        return "decoded more than once"
    if ended.transcript is None or ended.transcript.transcript != text_of(number):
        return "with another transcript"
    return None
