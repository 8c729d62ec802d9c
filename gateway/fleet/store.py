"""The gateway's access to jobs in Redis: scripts that submit, cancel, retry, expire and clear, and reads that are atomic."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from gateway.fleet.replicas import Replicas
from gateway.fleet.script_batches import Call, ScriptBatches
from shared.errors import JobGone, JobNotRetryable, QueueFull, UnknownJob
from shared.jobs import rq_transport, scripting
from shared.jobs.job import Job, JobState
from shared.jobs.keys import UNREADABLE_SECONDS, Keys
from shared.jobs.lanes import Lane
from shared.redis_server.trouble import Trouble, trouble_of
from shared.settings import GatewaySettings
from shared.transcripts.stitching import joined_text
from shared.transcripts.transcript import Segment, Transcript, join_text

ID = re.compile(r"[0-9a-f-]{32,36}")
CURSOR = re.compile(r"(\d{1,16})-([0-9a-f-]{32,36})")
IDEMPOTENCY_SECONDS = 86_400
#: The most equal submits that may wait for one decode. They all end in one step, which takes Redis some 20 ms for this many.
MOST_FOLLOWERS = 250
#: The same limit in seconds of their audio, since each follower gets a copy of the transcript: an hour with word times is 1 MB.
MOST_FOLLOWED_SECONDS = 100_000
#: Retry-After when Redis itself is out of memory: then no drain rate says when there will be room.
FULL_MEMORY_RETRY_SECONDS = 30
SCRIPTS = ("submit", "read", "cancel", "retry", "expire", "reconcile", "take_turn", "clear_cache")
LANE_KINDS = [lane.value for lane in Lane]
#: How many connections are opened at the start, so that the first burst of requests does not wait for handshakes.
WARM_CONNECTIONS = 16
#: Submits with more audio than this use the upload connections, so that small submits and reads do not wait behind them.
SMALL_BYTES = 256 * 1024
ANSWER_SECONDS = 1.0
#: How long Redis may take to store a large upload, which may take longer than a read.
UPLOAD_SECONDS = 20.0
#: How many overdue jobs one sweep ends at most, and how long after its start no other sweep may begin.
EXPIRY_LIMIT, EXPIRY_LOCK_MS = 200, 900
#: How many jobs of a lane one sweep compares with the lane's list, and how long after its start no other sweep may begin.
RECONCILE_LIMIT, RECONCILE_LOCK_MS = 10_000, 4_500
#: How many records a filtered listing looks at before it returns what it has, with a cursor.
LIST_SCAN = 1_000


@dataclass(frozen=True, slots=True)
class Ahead:
    """The jobs, and the seconds of audio, that are started before a waiting job."""

    jobs: int
    audio_seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A job at one moment.

    `transcript` is set once the job has completed. `partial` is the text so far. `ahead` is set while the job, or the leader that
    it follows, waits in a lane.
    """

    job: Job
    transcript: Transcript | None
    partial: str
    ahead: Ahead | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A job that is about to be submitted. `record` holds the fields of its Redis hash; `description` is for RQ's tools."""

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
    """The result of a sweep: ids of jobs that it ended, and broken records by id, each with the reason."""

    ids: list[str]
    broken: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The result of a sweep: ids of jobs put back into their lane, of jobs cancelled, of files to be cut anew, of jobs requeued.

    `broken` holds broken records by id, each with the reason.
    """

    put_back: list[str]
    canceled: list[str]
    cut_anew: list[str]
    revived: list[str]
    broken: Mapping[str, str]


class JobStore:
    """Writes and reads jobs. Methods raise redis-py's errors when Redis is away."""

    def __init__(self, redis: "Redis", uploads: "Redis", keys: Keys, settings: GatewaySettings) -> None:
        self._redis, self._keys, self._settings = redis, keys, settings
        # Large uploads have connections of their own, so that no other call waits behind them.
        replicas = _replicas(keys, settings)
        self._scripts = ScriptBatches(redis, SCRIPTS, replicas)
        self._upload_scripts = ScriptBatches(uploads, SCRIPTS, replicas)

    async def warm_up(self) -> None:
        """Open connections and load the scripts. If Redis is away, the first requests do this instead."""
        with suppress(RedisError):
            await asyncio.gather(*(self._redis.ping() for _ in range(WARM_CONNECTIONS)))
            await self._scripts.load()

    async def submit(self, draft: Draft, audio: bytes) -> tuple[str, str | None, Snapshot | None]:
        """Run the submit script. With empty `audio`, it tries without: the cache or an equal job in flight may serve.

        Returns the script's verdict (see submit.lua); for `replay` the id of the earlier job, else None; and the job as it is
        now if the call created one, else None. Raises `QueueFull` when Redis has no memory left. For the verdict `full`, the
        caller raises the error.
        """
        scripts = self._upload_scripts if len(audio) > SMALL_BYTES else self._scripts
        rq_fields = rq_transport.hash_fields(draft.id, draft.record["lane"], draft.description)
        call = self._call("submit", {**self._submission(draft), "has_audio": bool(audio)}, *rq_fields)
        if audio:
            call = replace(call, then=("SET", self._keys.audio(draft.id), audio, "XX", "KEEPTTL"))
        try:
            ((verdict, *rest),) = await scripts.run(call, lasting=True)
        except ResponseError as error:
            if trouble_of(error) is Trouble.FULL:
                return await self._without_memory(draft, audio, error)
            raise
        if verdict == "queued":
            return verdict, None, _queued(draft, *rest)
        new = snapshot_of(rest[0]) if verdict in ("cached", "following") else None
        return verdict, rest[0] if verdict == "replay" else None, new

    async def _without_memory(self, draft: Draft, audio: bytes, error: ResponseError) -> tuple[str, str | None, Snapshot | None]:
        """The answer when Redis takes no audio: that of a try without it, if that creates no job. Raises `QueueFull`."""
        if audio:
            answer = await self.submit(draft, b"")
            if answer[0] != "need_audio":
                return answer
        raise QueueFull("The queue's memory is full; try again later.", FULL_MEMORY_RETRY_SECONDS) from error

    def _submission(self, draft: Draft) -> Mapping[str, Any]:
        settings = self._settings
        return {
            "job": draft.record,
            "lane_kinds": LANE_KINDS,
            "use_cache": settings.enable_cache,
            "alive_ms": int(3 * settings.lease_seconds * 1000),
            "idempotency": draft.idempotency,
            "most_followers": MOST_FOLLOWERS,
            "most_followed_seconds": MOST_FOLLOWED_SECONDS,
            "pieces_lane": self._keys.lane(draft.record["model"], Lane.LONG),
            "max_bytes": settings.max_queue_bytes,
            "max_audio_ms": settings.max_queue_audio_seconds * 1000,
            "start_deadline_ms": draft.start_deadline_seconds * 1000,
            "deadline_ms": None if draft.deadline_seconds is None else draft.deadline_seconds * 1000,
            "audio_ttl": settings.audio_ttl_seconds(),
            "idempotency_ttl": IDEMPOTENCY_SECONDS,
        }

    async def read(self, job_id: str, tenant: str) -> Snapshot:
        """A job of this tenant. Raises `UnknownJob`, or `JobGone` when the job was erased or is kept no longer."""
        if not ID.fullmatch(job_id):
            raise _unknown()
        answer = await self._run("read", {"id": job_id, "tenant": tenant, "lane_kinds": LANE_KINDS})
        if isinstance(answer, str):
            if answer == "gone":
                raise JobGone("This job was erased, or was kept no longer; submit the audio again if you need its transcript.")
            raise _unknown()
        return snapshot_of(answer)

    async def cancel(self, job_id: str, tenant: str, idempotency_key: str | None = None) -> str:
        """Cancel an unfinished job or erase a finished one. Returns 'canceled' or 'erased'. Raises `UnknownJob`, `JobGone`.

        The call that cancelled a job is recognised by its key when it is sent again, and erases nothing.
        """
        if not ID.fullmatch(job_id):
            raise _unknown()
        named = {"id": job_id, "tenant": tenant, "key": idempotency_key or ""}
        verdict = scripting.text(await self._run("cancel", named, lasting=True))
        if verdict == "unknown":
            raise _unknown()
        if verdict == "gone":
            raise JobGone("This job has already been erased, or was kept no longer.")
        return verdict

    async def retry(self, job_id: str, tenant: str, idempotency_key: str | None = None) -> None:
        """Queue a failed or expired job again, under its id. Raises `UnknownJob`, `JobGone`, `JobNotRetryable`.

        The call that did so is recognised by its key when it is sent again, and changes nothing.
        """
        if not ID.fullmatch(job_id):
            raise _unknown()
        named = {"id": job_id, "tenant": tenant, "audio_ttl": self._settings.audio_ttl_seconds(), "key": idempotency_key or ""}
        verdict = scripting.text(await self._run("retry", named, lasting=True))
        if verdict == "unknown":
            raise _unknown()
        if verdict == "gone":
            raise JobGone("This job was erased, or was kept no longer; submit the audio again.")
        if verdict == "not_retryable":
            raise JobNotRetryable("Only a failed or an expired job can be retried; look at its status.")
        if verdict == "no_audio":
            raise JobNotRetryable("The audio of this job is kept no longer; submit it again as a new job.")

    async def expire(self) -> Expired:
        """End jobs whose deadline has passed. Does nothing if a gateway has just done so."""
        if not await self._run("take_turn", {"what": "expiring", "every_ms": EXPIRY_LOCK_MS}):
            return Expired([], {})
        ids, broken = await self._run("expire", {"limit": EXPIRY_LIMIT})
        return Expired(ids, scripting.broken_records("expire", broken))

    async def reconcile(self) -> Reconciled:
        """Repair lanes and files from which RQ's tools removed jobs. Does nothing if a gateway has just done so."""
        if not await self._run("take_turn", {"what": "reconciling", "every_ms": RECONCILE_LOCK_MS}):
            return Reconciled([], [], [], [], {})
        named = {"most": RECONCILE_LIMIT, "audio_ttl": self._settings.audio_ttl_seconds()}
        back, canceled, cut_anew, revived, broken = await self._run("reconcile", named)
        return Reconciled(back, canceled, cut_anew, revived, scripting.broken_records("reconcile", broken))

    async def clear_cache(self, tenant: str) -> int:
        """Delete the tenant's cached transcripts, and return how many there were."""
        return int(await self._run("clear_cache", {"tenant": tenant}, lasting=True))

    async def is_unreadable(self, sha256: str) -> bool:
        """Whether this file is remembered as one that broke or exhausted its reader, at a gateway or at a worker."""
        return bool(await self._redis.exists(self._keys.unreadable(sha256)))

    async def remember_unreadable(self, sha256: str) -> None:
        """Remember for a day that this file broke or exhausted its reader."""
        await self._redis.set(self._keys.unreadable(sha256), 1, ex=UNREADABLE_SECONDS)

    async def page(
        self, tenant: str, *, limit: int, cursor: tuple[int, str] | None, state: JobState | None
    ) -> tuple[list[Job], str | None]:
        """Jobs older than the cursor, newest first, and the cursor of the next page (None at the end).

        A page can be shorter than `limit` although more jobs follow: a filtered search stops after LIST_SCAN records.
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
        """The next `limit` entries below the cursor, as (milliseconds, id, record). The record is None if it is gone."""
        newest = str(cursor[0]) if cursor else "+inf"
        # Redis returns all entries of the cursor's millisecond, also those already listed. Any number of jobs may share it.
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

    async def _run(self, script: str, named: Mapping[str, Any], *, lasting: bool = False) -> Any:
        return (await self._scripts.run(self._call(script, named), lasting=lasting))[0]

    def _call(self, script: str, named: Mapping[str, Any], *tail: str | bytes) -> Call:
        named = {**named, **self._settings.terminal_ttls()}
        return Call(script, scripting.arguments(self._keys.prefix, named, *tail))


def snapshot_of(answer: Any) -> Snapshot:
    """Read a job as `view` (`parts/access.lua`) returns it: from a script's answer, or decoded from the JSON of an event."""
    stored, transcript, partial, ahead, pieces = answer
    job = Job.from_hash(scripting.text_hash(stored))
    return Snapshot(
        job,
        _with_tracks(Transcript.model_validate_json(transcript), job) if transcript else None,
        joined_text(scripting.text_hash(pieces)) or join_text([Segment.model_validate_json(segment) for segment in partial]),
        Ahead(int(ahead[0]), int(ahead[1]) / 1000) if ahead else None,
    )


def _with_tracks(transcript: Transcript, job: Job) -> Transcript:
    """The transcript with the tracks of its file. It is stored without them if the job's record has the same."""
    if not transcript.audio or transcript.audio.tracks or not job.audio:
        return transcript
    return transcript.model_copy(update={"audio": transcript.audio.model_copy(update={"tracks": job.audio.tracks})})


def _queued(draft: Draft, now_ms: str, ahead: Sequence[Any]) -> Snapshot:
    """A job that has just been queued."""
    record = {field: str(value) for field, value in draft.record.items()}
    job = Job.from_hash(record | {"state": JobState.QUEUED.value, "created_at_ms": now_ms})
    return Snapshot(job, None, "", Ahead(int(ahead[0]), int(ahead[1]) / 1000))


def _replicas(keys: Keys, settings: GatewaySettings) -> Replicas | None:
    """None where an answer waits for none."""
    wanted = settings.redis_wait_replicas
    return Replicas(wanted, settings.redis_wait_seconds, keys.replicated) if wanted else None


def _unknown() -> UnknownJob:
    return UnknownJob("There is no such job, or it is not yours; check the id that the submit returned.")
