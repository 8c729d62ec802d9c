"""The gateway's half of Redis: the scripts that submit, cancel and clear, and reads that see one moment each."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from gateway.scripts import Call, Scripts
from shared import rq_transport, scripting
from shared.errors import JobGone, JobNotRetryable, QueueFull, UnknownJob
from shared.job import Job, JobState
from shared.keys import UNREADABLE_SECONDS, Keys
from shared.lanes import Lane
from shared.redis_trouble import Trouble, trouble_of
from shared.settings import GatewaySettings
from shared.stitching import joined_text
from shared.transcript import Segment, Transcript, join_text

ID = re.compile(r"[0-9a-f-]{32,36}")
CURSOR = re.compile(r"(\d{1,16})-([0-9a-f-]{32,36})")
IDEMPOTENCY_SECONDS = 86_400
#: How many equal submits may wait for one decode: to end that many with it takes Redis some 20 ms.
MOST_FOLLOWERS = 250
#: When Redis itself is out of memory there is no drain rate to go by.
FULL_MEMORY_RETRY_SECONDS = 30
SCRIPTS = ("submit", "read", "cancel", "retry", "expire", "reconcile", "take_turn", "clear_cache")
LANES = [lane.value for lane in Lane]
#: Opened at the start, so that the first burst does not wait for handshakes.
WARM_CONNECTIONS = 16
#: Sending so much audio costs Redis and us less than asking first whether it is needed.
SMALL_BYTES = 256 * 1024
ANSWER_SECONDS = 1.0
#: Storing a large upload may take longer than a read.
UPLOAD_SECONDS = 20.0
#: How many overdue jobs one sweep ends, and for how long no other gateway sweeps.
EXPIRY_LIMIT, EXPIRY_LOCK_MS = 200, 900
#: How many jobs of a lane are compared with its list, and for how long no other gateway does.
RECONCILE_LIMIT, RECONCILE_LOCK_MS = 10_000, 4_500
#: How many records a filtered listing looks at before it hands out a cursor.
LIST_SCAN = 1_000


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is started before a job that waits."""

    jobs: int
    audio_seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A job at one moment: its transcript when completed, the text so far, what is before it while it waits."""

    job: Job
    transcript: Transcript | None
    partial: str
    ahead: Ahead | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A job about to be submitted. `record` holds the fields of its Redis hash."""

    record: Mapping[str, Any]
    description: str
    start_deadline_seconds: int
    deadline_seconds: int | None
    idempotency: Mapping[str, str] | None

    @property
    def id(self) -> str:
        return str(self.record["id"])


@dataclass(frozen=True, slots=True)
class Expired:
    """Ids of jobs that a sweep has ended; records that it could not handle, and why."""

    ids: list[str]
    broken: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Ids of jobs that were put back into their lane, cancelled, or are to be cut anew; broken records, and why."""

    put_back: list[str]
    canceled: list[str]
    cut_anew: list[str]
    broken: Mapping[str, str]


class JobStore:
    """Everything about jobs. Methods raise redis-py's errors when Redis is away."""

    def __init__(self, redis: "Redis", uploads: "Redis", keys: Keys, settings: GatewaySettings) -> None:
        self._redis, self._keys, self._settings = redis, keys, settings
        # Large uploads on their own: nobody waits behind them.
        self._scripts, self._upload_scripts = Scripts(redis, SCRIPTS), Scripts(uploads, SCRIPTS)

    async def warm_up(self) -> None:
        """Open connections and load the scripts. While Redis is away this is left to the first requests."""
        with suppress(RedisError):
            await asyncio.gather(*(self._redis.ping() for _ in range(WARM_CONNECTIONS)))
            await self._scripts.load()

    async def submit(self, draft: Draft, audio: bytes) -> tuple[str, str | None, Snapshot | None]:
        """Run the submit script. Empty `audio` tries without.

        The verdict; for `replay`, the id of the job that is meant; and the job as it now is, where there is a new one. Raises
        `QueueFull` when Redis has no memory left; the verdict `full` is the caller's to explain.
        """
        scripts = self._upload_scripts if len(audio) > SMALL_BYTES else self._scripts
        rq_fields = rq_transport.hash_fields(draft.id, draft.record["lane"], draft.description)
        try:
            ((verdict, *rest),) = await scripts.run(self._call("submit", self._submission(draft), audio, *rq_fields))
        except ResponseError as error:
            if trouble_of(error) is Trouble.FULL:
                raise QueueFull("The queue's memory is full; try again later.", FULL_MEMORY_RETRY_SECONDS) from error
            raise
        new = snapshot_of(rest[0]) if verdict in ("cached", "following", "queued") else None
        return verdict, rest[0] if verdict == "replay" else None, new

    def _submission(self, draft: Draft) -> Mapping[str, Any]:
        settings = self._settings
        return {
            "job": draft.record,
            "lanes": LANES,
            "use_cache": settings.enable_cache,
            "alive_ms": int(3 * settings.lease_seconds * 1000),
            "idempotency": draft.idempotency,
            "most_followers": MOST_FOLLOWERS,
            "max_bytes": settings.max_queue_bytes,
            "max_audio_ms": settings.max_queue_audio_seconds * 1000,
            "start_deadline_ms": draft.start_deadline_seconds * 1000,
            "deadline_ms": None if draft.deadline_seconds is None else draft.deadline_seconds * 1000,
            "audio_ttl": settings.audio_ttl_seconds(),
            "idempotency_ttl": IDEMPOTENCY_SECONDS,
        }

    async def read(self, job_id: str, tenant: str) -> Snapshot:
        """A job of this tenant. Raises `UnknownJob`, or `JobGone` when it has been erased or has outlived its time."""
        if not ID.fullmatch(job_id):
            raise _unknown()
        answer = await self._run("read", {"id": job_id, "tenant": tenant, "lanes": LANES})
        if isinstance(answer, str):
            if answer == "gone":
                raise JobGone("This job was erased, or was kept no longer; submit the audio again if you need its transcript.")
            raise _unknown()
        return snapshot_of(answer)

    async def cancel(self, job_id: str, tenant: str) -> str:
        """Cancel or erase: 'canceled' or 'erased'. Raises `UnknownJob`, `JobGone`."""
        if not ID.fullmatch(job_id):
            raise _unknown()
        verdict = scripting.text(await self._run("cancel", {"id": job_id, "tenant": tenant}))
        if verdict == "unknown":
            raise _unknown()
        if verdict == "gone":
            raise JobGone("This job has already been erased, or was kept no longer.")
        return verdict

    async def retry(self, job_id: str, tenant: str) -> None:
        """Queue a failed or expired job again, under its id. Raises `UnknownJob`, `JobGone`, `JobNotRetryable`."""
        if not ID.fullmatch(job_id):
            raise _unknown()
        named = {"id": job_id, "tenant": tenant, "audio_ttl": self._settings.audio_ttl_seconds()}
        verdict = scripting.text(await self._run("retry", named))
        if verdict == "unknown":
            raise _unknown()
        if verdict == "gone":
            raise JobGone("This job was erased, or was kept no longer; submit the audio again.")
        if verdict == "not_retryable":
            raise JobNotRetryable("Only a failed or an expired job can be retried; look at its status.")
        if verdict == "no_audio":
            raise JobNotRetryable("The audio of this job is kept no longer; submit it again as a new job.")

    async def expire(self) -> Expired:
        """End jobs whose deadline has passed. Nothing when another gateway has just done so."""
        if not await self._run("take_turn", {"what": "expiring", "every_ms": EXPIRY_LOCK_MS}):
            return Expired([], {})
        ids, broken = await self._run("expire", {"limit": EXPIRY_LIMIT})
        return Expired(ids, scripting.broken_records(broken))

    async def reconcile(self) -> Reconciled:
        """Mend what RQ's tools have taken away without asking. Nothing when another gateway has just done so."""
        if not await self._run("take_turn", {"what": "reconciling", "every_ms": RECONCILE_LOCK_MS}):
            return Reconciled([], [], [], {})
        back, canceled, cut_anew, broken = await self._run("reconcile", {"most": RECONCILE_LIMIT})
        return Reconciled(back, canceled, cut_anew, scripting.broken_records(broken))

    async def clear_cache(self, tenant: str) -> int:
        """Forget the tenant's cached transcripts; how many there were."""
        return int(await self._run("clear_cache", {"tenant": tenant}))

    async def is_unreadable(self, sha256: str) -> bool:
        """Whether this file has broken or exhausted its reader, here or at a worker."""
        return bool(await self._redis.exists(self._keys.unreadable(sha256)))

    async def remember_unreadable(self, sha256: str) -> None:
        """It has."""
        await self._redis.set(self._keys.unreadable(sha256), 1, ex=UNREADABLE_SECONDS)

    async def page(
        self, tenant: str, *, limit: int, cursor: tuple[int, str] | None, state: JobState | None
    ) -> tuple[list[Job], str | None]:
        """Jobs, newest first, older than the cursor; and the cursor of the next page, None at the end.

        A page can be shorter than `limit` although more follow: a filtered search stops after a bounded stretch.
        """
        found: list[Job] = []
        scanned = 0
        while scanned < LIST_SCAN:
            batch = await self._batch(tenant, cursor, limit)
            for score, job_id, job in batch:
                cursor = (score, job_id)
                if job and (state is None or job.state is state):
                    found.append(job)
                if len(found) == limit:
                    return found, f"{score}-{job_id}"
            scanned += len(batch)
            if len(batch) < limit:
                return found, None
        return found, f"{cursor[0]}-{cursor[1]}" if cursor else None

    async def _batch(self, tenant: str, cursor: tuple[int, str] | None, limit: int) -> list[tuple[int, str, Job | None]]:
        """The next `limit` ids below the cursor, with their records where these still exist."""
        newest = str(cursor[0]) if cursor else "+inf"
        # Entries of the cursor's own millisecond come again; there are as many as were submitted within it.
        ids: list[tuple[int, str]] = []
        offset = 0
        while len(ids) < limit:
            page: Any = await self._redis.zrevrangebyscore(
                self._keys.jobs(tenant), newest, "-inf", start=offset, num=limit, withscores=True
            )
            entries = [(int(score), scripting.text(job_id)) for job_id, score in page]
            ids += [entry for entry in entries if cursor is None or entry < cursor]
            if len(page) < limit:
                break
            offset += limit
        ids = ids[:limit]
        async with self._redis.pipeline(transaction=False) as pipeline:
            for _, job_id in ids:
                pipeline.hgetall(self._keys.job(job_id))
            stored = await pipeline.execute() if ids else []
        return [(score, job_id, Job.from_hash(h) if h else None) for (score, job_id), h in zip(ids, stored, strict=True)]

    async def _run(self, script: str, named: Mapping[str, Any]) -> Any:
        return (await self._scripts.run(self._call(script, named)))[0]

    def _call(self, script: str, named: Mapping[str, Any], *tail: str | bytes) -> Call:
        named = {**named, **self._settings.terminal_ttls()}
        return Call(script, scripting.arguments(self._keys.prefix, named, *tail))


def snapshot_of(answer: Any) -> Snapshot:
    """From what `view` (`shared/scripts/_access.lua`) makes of a job; as Redis answers it, or as JSON from an event."""
    stored, transcript, partial, ahead, pieces = answer
    return Snapshot(
        Job.from_hash(scripting.text_hash(stored)),
        Transcript.model_validate_json(transcript) if transcript else None,
        joined_text(scripting.text_hash(pieces)) or join_text([Segment.model_validate_json(segment) for segment in partial]),
        Ahead(int(ahead[0]), int(ahead[1]) / 1000) if ahead else None,
    )


def _unknown() -> UnknownJob:
    return UnknownJob("There is no such job, or it is not yours; check the id that the submit returned.")
