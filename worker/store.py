"""What a worker does to Redis: claim, renew, finish, fail, hand back, recover. Each is one Lua script, fenced by the token."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from pydantic import ValidationError
from redis import Redis
from redis.commands.core import Script

from shared import scripting
from shared.job import Job, JobError
from shared.keys import Keys, piece_id
from shared.lanes import Lane
from shared.rq_transport import describe, hash_fields
from shared.settings import WorkerSettings
from shared.stitching import Cut, Piece, stitched
from shared.transcript import Segment, Transcript
from worker.patience import WINDOW_SECONDS, Patience
from worker.routing import CPU, route_for

#: How many lapsed jobs one sweep handles; the next sweep follows within a second.
SWEEP_LIMIT = 50
#: Of longer audio a worker decodes one at a time: four hours are a gigabyte of samples.
LONG_SECONDS = 300
#: What one claim brings at most (or one job, whatever its size): while it is fetched, no lease is renewed.
FETCH_BYTES = 32_000_000
#: How long the audio of a piece lasts until its file has been cut to the end.
UNSPLIT_TTL_SECONDS = 3600


@dataclass(kw_only=True)
class Held:
    """A job under this worker's lease, and what has been heard of it since the last renewal."""

    job: Job
    token: int
    done_seconds: float = 0.0
    unsent: list[Segment] = field(default_factory=list)
    published: int = 0
    #: Of the file that it may bring us to stitch; one id, so that asking twice for it is asking for the same.
    next_execution: str = field(default_factory=lambda: uuid4().hex)

    @property
    def attempt_id(self) -> str:
        """Names this attempt, and no earlier or later one of the same job, towards the model process."""
        return f"{self.job.id}:{self.token}"


@dataclass(frozen=True, kw_only=True)
class Swept:
    """Ids that one recovery sweep put back and gave up."""

    requeued: list[str]
    failed: list[str]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of a result: `completed`, `piece`, `split`, `missing`, `stale`; or `stitch`, with the file that is now ours."""

    verdict: str
    to_stitch: Held | None = None


class PiecesLost(Exception):
    """What the pieces of a file have come to is not all there."""


class WorkerStore:
    """The worker's side of the store. Every method raises `redis.RedisError` when Redis is away."""

    def __init__(self, redis: Redis, settings: WorkerSettings, worker: str) -> None:
        self._redis, self._settings, self._worker = redis, settings, worker
        self.keys = Keys(settings.fleet_prefix)
        self._device, self._route = CPU, route_for(CPU, settings)
        self._scripts: dict[str, Script] = {}
        self._execution = uuid4().hex
        self._patience = Patience(settings.whisper_batch_size)

    @property
    def lanes(self) -> list[str]:
        """The RQ queues that this worker serves, first served first."""
        return [self._lane(lane) for lane in self._route.lanes]

    def runs_on(self, device: str) -> None:
        """The model is loaded, on this device: what decides which lanes it serves."""
        self._device, self._route = device, route_for(device, self._settings)

    def is_urgent(self, job: Job) -> bool:
        """Whether somebody waits for it who should not have to wait for long files."""
        return job.lane == self._lane(Lane.INTERACTIVE)

    def wait_for_bell(self, timeout_seconds: float) -> None:
        """Block until a job may be waiting, at most `timeout_seconds`."""
        foreign = () if self._others_are_there() else self._route.foreign
        mine = [lane for lane in self._route.lanes if lane not in self._route.foreign]
        bells = [self.keys.bell(self._lane(lane)) for lane in (*mine, *foreign)]
        self._redis.blpop(bells, timeout=timeout_seconds)

    def _others_are_there(self) -> bool:
        """Somebody answers the bells of the foreign lanes."""
        if not self._route.foreign:
            return False
        since_ms = self._now_ms() - int(self._settings.lease_seconds * 1000)
        return bool(self._redis.zcount(self.keys.workers_on(self._route.other_device), since_ms, "+inf"))

    def _now_ms(self) -> int:
        seconds, micros = self._redis.time()
        return seconds * 1000 + micros // 1000

    def _lane(self, lane: Lane) -> str:
        return self.keys.lane(self._settings.model_name, lane)

    def claim(self, room: int, in_hand: Sequence[Job]) -> list[Held]:
        """The next jobs, now under our lease: at most `room`, our share of what waits, and none that must not join `in_hand`."""
        alive_ms = int(3 * self._settings.lease_seconds * 1000)
        lengths = [job.audio_seconds for job in in_hand if not self.is_urgent(job)]
        patient = self._patience.room_beside(lengths, self._device == CPU, self._route.is_for_long)
        where = {
            "lanes": self.lanes,
            "patience": [lane.patience for lane in self._route.lanes],
            "foreign": [self._lane(lane) for lane in self._route.foreign],
            "other_device": self._route.other_device,
            "spill_ms": int(self._settings.route_spill_seconds * 1000),
            "execution": self._execution,
        }
        company = {
            "busy": bool(in_hand),
            "has_long": any(job.audio_seconds > LONG_SECONDS for job in in_hand),
            "long_seconds": LONG_SECONDS,
            "max_bytes": FETCH_BYTES,
            "urgent_lane": self._lane(Lane.INTERACTIVE),
            "patient_room": patient.jobs,
            "patient_seconds": patient.seconds,
            "window_seconds": WINDOW_SECONDS,
        }
        hashes = self._run("claim", room=room, alive_ms=alive_ms, **where, **company, **self._lease())
        # Only an answered claim uses up the id: asking again with the same one cannot take more jobs.
        self._execution = uuid4().hex
        claimed = [held for flat in hashes if (held := self._read(scripting.text_hash(flat)))]
        if any(self.is_urgent(held.job) for held in claimed):
            self._patience.urgent_came()
        return claimed

    def _read(self, stored: dict[str, str]) -> Held | None:
        try:
            job = Job.from_hash(stored)
            return Held(job=job, token=int(stored["token"]), done_seconds=job.progress_seconds)
        except ValidationError:
            self._refuse(stored)
            return None

    def _refuse(self, stored: dict[str, str]) -> None:
        """Fail a record that this version cannot read (a newer gateway's), with its audio kept for a retry."""
        message = "The workers are of another version than the gateway and cannot read this job; retry it after the upgrade."
        error = JobError(code="transcription_failed", message=message, retryable=True)
        named = {"error": error.model_dump_json(), "retryable": False, "max_attempts": self._settings.max_attempts}
        self._run("fail", id=stored["id"], token=int(stored["token"]), **named)

    def audio(self, held: Sequence[Held]) -> list[bytes | None]:
        """The audio of each as uploaded; None where it is gone."""
        contents: Any = self._redis.mget([self.keys.audio(h.job.id) for h in held])
        return [content if isinstance(content, bytes) else None for content in contents]

    def renew(self, held: Sequence[Held]) -> list[bool]:
        """Keep the leases and publish progress. False for each job that is no longer ours."""
        jobs = [
            {
                "id": h.job.id,
                "token": h.token,
                "progress_seconds": h.done_seconds,
                "published": h.published,
                "segments": [s.model_dump_json() for s in h.unsent],
            }
            for h in held
        ]
        verdicts = self._run("renew", jobs=jobs, **self._lease())
        for h in held:
            h.published += len(h.unsent)
            h.unsent.clear()
        return [scripting.text(v) == "ok" for v in verdicts]

    def put_piece(self, held: Held, number: int, audio: bytes) -> bool:
        """Store the audio of a piece (from 1). False when it was refused: the file is no longer ours."""
        named = {"id": held.job.id, "token": held.token, "number": number, "ttl": UNSPLIT_TTL_SECONDS}
        return bool(self._run("put_piece", audio, **named))

    def drop_put_pieces(self, held: Held) -> None:
        """Undo `put_piece`."""
        self._run("put_piece", b"", id=held.job.id, token=held.token, number=0, ttl=0)

    def split(self, held: Held, cut: Cut, pieces: Sequence[tuple[Piece, int]]) -> Written:
        """Queue the pieces (each with its size in bytes), whose audio has been put."""
        job = held.job
        lane = self._lane(Lane.BATCH if job.lane == self._lane(Lane.BATCH) else Lane.LONG)
        rq_fields: list[str | bytes] = []
        for number, (piece, _) in enumerate(pieces, start=1):
            about = describe((piece.end_ms - piece.start_ms) / 1000, f"piece {number} of {len(pieces)}", cut.language, job.sha256)
            fields = hash_fields(piece_id(job.id, number), lane, about)
            rq_fields += [str(len(fields)), *fields]
        named = {
            "lane": lane,
            "start_deadline_ms": self._settings.start_deadline_seconds * 1000,
            "cut": cut.model_dump_json(),
            "options": job.options.model_copy(update={"language": cut.language}).model_dump_json(),
            "pieces": [{"piece": p.name, "seconds": (p.end_ms - p.start_ms) / 1000, "size_bytes": n} for p, n in pieces],
        }
        return self._written(self._run("split", *rq_fields, id=job.id, token=held.token, **named, **self._next_execution(held)))

    def stitch(self, held: Held) -> Transcript:
        """The transcript of a file, all pieces of which are done. Raises `PiecesLost` when they are not all there."""
        stored: Any = self._redis.hgetall(self.keys.pieces(held.job.id))
        if held.job.cut is None or len(stored) != held.job.pieces:
            raise PiecesLost(f"{len(stored)} of {held.job.pieces}")
        return stitched(scripting.text_hash(stored), held.job.cut)

    def finish(self, held: Held, transcript: Transcript) -> Written:
        """Write the result."""
        settings = self._settings
        return self._written(
            self._run(
                "finish",
                transcript.model_dump_json(),
                id=held.job.id,
                token=held.token,
                revision=self._cache_revision(transcript.model_revision),
                cache_ttl=settings.cache_ttl_seconds if settings.enable_cache else 0,
                cache_entries=settings.cache_max_entries,
                window_fallbacks=transcript.window_fallbacks,
                text=transcript.transcript if held.job.parent else "",
                **self._next_execution(held),
            )
        )

    def _written(self, answer: Sequence[Any]) -> Written:
        verdict, *rest = answer
        file = self._read(scripting.text_hash(rest[0])) if rest else None
        return Written(verdict=scripting.text(verdict), to_stitch=file)

    def _next_execution(self, held: Held) -> dict[str, object]:
        """What a script needs that may hand us a file to stitch."""
        return {"execution": held.next_execution, **self._lease()}

    def fail(self, held: Held, error: JobError) -> str:
        """Report a failure; `requeued` while it is retryable and attempts are left, else `failed`, or `stale`."""
        return scripting.text(
            self._run(
                "fail",
                id=held.job.id,
                token=held.token,
                error=error.model_dump_json(),
                retryable=error.retryable,
                max_attempts=self._settings.max_attempts,
            )
        )

    def hand_back(self, held: Held) -> bool:
        """Put the job back at the front of its lane, this attempt uncounted."""
        return bool(self._run("hand_back", id=held.job.id, token=held.token))

    def recover(self) -> Swept | None:
        """Bring back what dead workers held. None when another worker has just done so."""
        lock = f"{self._settings.fleet_prefix}:sweeping"
        if not self._redis.set(lock, self._worker, nx=True, px=1000):
            return None
        poison = JobError(
            code="poison_job",
            message=f"The job was lost with its worker {self._settings.max_attempts} times and is given up; "
            "retry it by its id once the workers are well.",
            retryable=True,
        )
        back, failed = self._run(
            "recover", max_attempts=self._settings.max_attempts, poison_error=poison.model_dump_json(), limit=SWEEP_LIMIT
        )
        ids = [[scripting.text(i) for i in group] for group in (back, failed)]
        return Swept(requeued=ids[0], failed=ids[1])

    def announce(self, card: dict[str, str], revision: str) -> None:
        """Say that this worker lives, with which model, and drop workers that have been silent for long."""
        ttl_ms = int(3 * self._settings.lease_seconds * 1000)
        now_ms = self._now_ms()
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(self.keys.worker(self._worker), items=[part for pair in card.items() for part in pair])
            pipeline.pexpire(self.keys.worker(self._worker), ttl_ms)
            pipeline.zadd(self.keys.workers, {self._worker: now_ms})
            pipeline.zremrangebyscore(self.keys.workers, "-inf", now_ms - 10 * ttl_ms)
            kind = self.keys.workers_on(self._device)
            if card["state"] == "ready":
                pipeline.zadd(kind, {self._worker: now_ms})
                pipeline.zremrangebyscore(kind, "-inf", now_ms - 10 * ttl_ms)
                pipeline.pexpire(kind, ttl_ms)
            else:
                pipeline.zrem(kind, self._worker)
            if revision:
                pipeline.hset(self.keys.models, self._settings.model_name, self._cache_revision(revision))
            pipeline.execute()

    def withdraw(self) -> None:
        """Say that this worker is gone."""
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(self.keys.worker(self._worker))
            pipeline.zrem(self.keys.workers, self._worker)
            pipeline.zrem(self.keys.workers_on(self._device), self._worker)
            pipeline.execute()

    def _cache_revision(self, revision: str) -> str:
        """The model's revision and the defaults that jobs leave to the worker: both decide the transcript."""
        settings = self._settings
        defaults = settings.whisper_beam_size, settings.whisper_language or "auto", settings.whisper_encoder_window
        return "-".join(map(str, (revision, settings.whisper_compute_type, *defaults)))

    def _lease(self) -> dict[str, object]:
        settings = self._settings
        return {
            "worker": self._worker,
            "lease_ms": int(settings.lease_seconds * 1000),
            "audio_ttl": settings.audio_ttl_seconds(),
        }

    def _run(self, script: str, *tail: str | bytes, **named: Any) -> Any:
        if script not in self._scripts:
            self._scripts[script] = self._redis.register_script(scripting.source(script))
        named |= self._settings.terminal_ttls()
        return self._scripts[script](args=list(scripting.arguments(self._settings.fleet_prefix, named, *tail)))
