"""Those who act on the fleet: callers, workers, operators and the clock, through the real scripts and RQ's own tools."""

from typing import Any

import redis
from rq import Queue
from rq.job import Job as RqJob
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from shared.jobs import rq_transport
from tests.properties.claims import Claim
from tests.properties.records import (
    LONG_SECONDS,
    MOST_AUDIO_MS,
    MOST_BYTES,
    MOST_FOLLOWERS,
    PATIENCE,
    Upload,
    lanes_of,
)
from tests.script_driver import KEYS, PREFIX, ScriptDriver

FOREVER_MS = 10_000_000
REVISION = "r1"


class Actors(ScriptDriver):
    """The driver of the scripts, with several models, lanes, workers and claims."""

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__(client)
        self._events: Any = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._events.subscribe(KEYS.events)
        self._events.get_message(timeout=1)

    def close(self) -> None:
        self._events.close()

    def greet(self, models: tuple[str, ...]) -> None:
        """Workers of these models are heard of."""
        for model in models:
            self.redis.zadd(KEYS.revisions(model), {REVISION: self.redis.time()[0] * 1000 + FOREVER_MS})

    def told_ends(self, at_least: int) -> list[str]:
        """The ids of jobs whose ends have been told since the last call."""
        ends = list[str]()
        while message := self._events.get_message(timeout=1 if len(ends) < at_least else 0):
            ends.append(message["data"].partition(b"\n")[0].decode())
        return ends

    # -- callers and workers ---------------------------------------------------------------------------------------

    def submit_upload(self, job_id: str, upload: Upload) -> str:
        job = {
            "model": upload.model,
            "priority": "batch" if upload.is_batch else "interactive",
            "audio_seconds": upload.clip.seconds,
            "digest": upload.digest,
        }
        limits: dict[str, Any] = {"most_followers": MOST_FOLLOWERS, "max_bytes": MOST_BYTES, "max_audio_ms": MOST_AUDIO_MS}
        limits |= {"start_deadline_ms": FOREVER_MS, "deadline_ms": FOREVER_MS * 2 if upload.has_end else None}
        limits |= {"pieces_lane": lanes_of(upload.model)[1]}
        audio = b"R" * upload.clip.size
        return str(self.submit(job_id, audio=audio, lane=upload.lane, use_cache=upload.use_cache, job=job, **limits)[0])

    def claim_jobs(self, claim: Claim) -> list[tuple[str, int]]:
        """Ids and tokens."""
        lanes, in_hand = lanes_of(claim.model), int(claim.is_busy)
        many: dict[str, Any] = {
            "urgent_room": claim.room,
            "urgent_few": 100,
            "background_room": claim.room,
            "background_few": 100,
        }
        jobs = self.claim_several(
            claim.room,
            claim.worker,
            FOREVER_MS,
            execution=claim.execution,
            model=claim.model,
            lanes=lanes,
            patience=list(PATIENCE.values()),
            urgent_lane=lanes[0],
            background_in_hand=in_hand,
            has_long=claim.has_long,
            long_seconds=LONG_SECONDS,
            **many,
        )
        return [(job["id"], int(job["token"])) for job in jobs]

    def finish_as(self, job_id: str, token: int, worker: str, execution: str, transcript: str) -> tuple[str, int | None]:
        """The verdict, and the token of the file to put together."""
        named = {"worker": worker, "execution": execution, "lease_ms": FOREVER_MS, "revision": REVISION}
        verdict = self.finish(job_id, str(token), transcript, text=transcript, **named)
        return verdict, int(self.to_stitch["token"]) if self.to_stitch else None

    def split_as(
        self, job_id: str, token: int, worker: str, execution: str, cut: tuple[str, ...], lane: str
    ) -> tuple[str, int | None]:
        named = {"worker": worker, "execution": execution, "lease_ms": FOREVER_MS, "lane": lane, "start_deadline_ms": FOREVER_MS}
        verdict = self.split(job_id, str(token), list(cut), put_audio=False, **named)
        return verdict, int(self.to_stitch["token"]) if self.to_stitch else None

    def publish_as(self, job_id: str, token: int, published: int, segments: list[str]) -> str:
        mine = {"id": job_id, "token": token, "progress_seconds": 1.0, "published": published, "segments": segments}
        return str(self.run("publish", jobs=[mine], audio_ttl=600)[0])

    def beat_as(self, worker: str, held: list[dict[str, str]]) -> list[str]:
        """The verdicts on the jobs that a worker believes to hold."""
        silent = {"is_ready": False, "revision": "", "lease_ms": FOREVER_MS}
        verdicts: list[str] = self.beat(*held, worker=worker, **silent)[0]
        self.redis.delete(KEYS.worker(worker), KEYS.workers)
        return verdicts

    def drop_put_pieces(self, job_id: str, token: int) -> int:
        return int(self.run("put_piece", b"", id=job_id, token=token, number=0, ttl=0))

    def lanes_seen(self) -> list[str]:
        """Every lane in which jobs have waited or which RQ knows, in the order in which a sweep looks at them."""
        fields: Any = self.redis.hkeys(KEYS.load)
        used = {field.decode().removeprefix("through:") for field in fields if field.startswith(b"through:")}
        queues: Any = self.redis.smembers(rq_transport.QUEUES_KEY)
        return sorted(used | {queue.decode().removeprefix(rq_transport.queue_key("")) for queue in queues})

    # -- operators -------------------------------------------------------------------------------------------------

    def empty_queue(self, lane: str) -> None:
        queue: Any = Queue(lane, connection=self.redis, serializer=JSONSerializer)
        queue.empty()

    def take_out(self, lane: str, job_id: str) -> None:
        self.redis.lrem(rq_transport.queue_key(lane), 1, job_id)

    def delete_in_rq(self, job_id: str) -> None:
        RqJob.fetch(job_id, connection=self.redis, serializer=JSONSerializer).delete()

    def requeue(self, job_id: str, lane: str) -> None:
        FailedJobRegistry(lane, connection=self.redis, serializer=JSONSerializer).requeue(job_id)

    def is_dead_letter(self, job_id: str, lane: str) -> bool:
        return self.redis.zscore(f"rq:failed:{lane}", job_id) is not None

    # -- time and loss ---------------------------------------------------------------------------------------------

    def lapse(self, job_id: str) -> None:
        self.redis.zadd(KEYS.in_flight, {job_id: 0})

    def pass_deadline(self, job_id: str, *, of_the_end: bool) -> None:
        self.redis.zadd(f"{PREFIX}:deadlines", {job_id: 0})
        if of_the_end:
            self.redis.hset(KEYS.job(job_id), "ends_by_ms", 0)

    def lose(self, *names: str) -> None:
        """These keys have outlived their time, or were evicted."""
        self.redis.delete(*names)

    def forget(self, job_id: str) -> None:
        """The time of all that is left of a job is up."""
        kept = (KEYS.job, KEYS.transcript, KEYS.audio, KEYS.pieces)
        self.lose(*(name(job_id) for name in kept), f"{PREFIX}:said:{job_id}", f"{rq_transport.KEY_PREFIX}:job:{job_id}")

    def wait_out_all_ttls(self) -> None:
        """As after a month."""
        mortal = [name for name in self.redis.keys("*") if self.redis.ttl(name) >= 0]
        if mortal:
            self.redis.delete(*mortal)
