"""A gateway without HTTP that keeps many jobs under way, and checks that each ends once and with its own transcript."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

from pydantic import SecretStr
from starlette.requests import Request

from gateway.app import create_app
from gateway.fleet.store import Snapshot, snapshot_of
from gateway.services import Services
from gateway.submitting.bodies import Upload
from gateway.submitting.uploaded import UploadedAudio
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
    """Submits distinct clips. `acknowledged` holds the number of each clip by the id of its job; `ends`, how many have ended."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.acknowledged: dict[str, int] = {}
        self.ends = 0
        self._numbers: Iterator[int] = count()
        self._stopped = asyncio.Event()

    async def ready_supervisors(self) -> int:
        """How many supervisors are ready now."""
        return sum(worker.is_ready for worker in await self.services.fleet.workers())

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
        """Submit a job as `POST /v1/jobs?wait=` does, and wait for its end.

        Raises `TimeoutError` if it has not ended in time, and `AssertionError` if it has not ended well.
        """
        number = next(self._numbers)
        request = Request({"type": "http"})
        upload = Upload(audio=UploadedAudio(clip(number, size_bytes, hold_ms)), fields={"language": "en"})
        submitter, waiters = self.services.submitter, self.services.waiters
        prepared = await submitter.prepare(request, upload)
        with waiters.watch(prepared.job_id) as watch:
            snapshot = await submitter.submit(prepared, TENANT, None)
            self.acknowledged[prepared.job_id] = number
            while not snapshot.job.state.is_terminal:
                await asyncio.wait_for(watch.woken.wait(), END_SECONDS + hold_ms / 1000)
                watch.woken.clear()
                told = watch.told
                snapshot = snapshot_of(json.loads(told)) if told else await self.services.store.read(prepared.job_id, TENANT)
        assert fault(snapshot, number) is None, fault(snapshot, number)
        self.ends += 1

    async def faults(self) -> Counter[str]:
        """Read all acknowledged jobs from Redis. What is wrong with them, and with how many."""
        found = Counter[str]()
        ids = list(self.acknowledged)
        for start in range(0, len(ids), READ_AT_ONCE):
            some = ids[start : start + READ_AT_ONCE]
            snapshots = await asyncio.gather(*(self.services.store.read(job_id, TENANT) for job_id in some))
            found.update(filter(None, (fault(s, self.acknowledged[s.job.id]) for s in snapshots)))
        totals = (await self.services.fleet.stats())["totals"]
        if totals.get("completed") != len(ids):
            found[f"{totals.get('completed')} ends counted by the fleet"] = len(ids)
        return found


def fault(ended: Snapshot, number: int) -> str | None:
    """What is wrong with a job that should have been decoded once, and have the transcript of the clip with this number."""
    job = ended.job
    if job.state is not JobState.COMPLETED:
        return job.state.value
    if job.attempt != 1:
        return "decoded more than once"
    if ended.transcript is None or ended.transcript.transcript != text_of(number):
        return "another transcript"
    return None
