"""What a worker does to a job that it holds: publish, split, finish, fail, hand back. Lua scripts, each fenced by the token."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from redis import Redis

from shared.audio.request import Channels
from shared.jobs import scripting
from shared.jobs.job import Job, JobError
from shared.jobs.keys import UNREADABLE_SECONDS, Keys, piece_id
from shared.jobs.lanes import Lane
from shared.jobs.options import TranscriptionOptions
from shared.jobs.rq_transport import describe, hash_fields
from shared.settings import WorkerSettings
from shared.transcripts.pieces import Cut, Piece
from shared.transcripts.stitching import stitched
from shared.transcripts.transcript import Transcript
from worker.queue.leased_job import LeasedJob, WriteResult
from worker.queue.routing import ServedLanes
from worker.queue.script_runner import ScriptRunner

#: How long the audio of a piece is kept while its file is not split yet.
UNSPLIT_TTL_SECONDS = 3600
#: Most segments of a job that one call publishes; others wait for the next one. A job with many segments must not hold the
#: supervisor up for so long that leases lapse.
MOST_SEGMENTS = 500


class PiecesLost(Exception):
    """Checkpoints of a file are missing."""


class Leases:
    """Changes the jobs that a worker holds, and the pieces of long files.

    Every method that calls Redis raises `redis.RedisError` when Redis is away.
    """

    def __init__(self, redis: Redis, scripts: ScriptRunner, settings: WorkerSettings, lanes: ServedLanes) -> None:
        self._redis, self._scripts, self._settings, self._lanes = redis, scripts, settings, lanes
        self._keys = Keys(settings.fleet_prefix)

    def master(self) -> object:
        """The address of the server that the Sentinels named last. None without Sentinels, and before the first connection."""
        return getattr(self._redis.connection_pool, "master_address", None)

    def read(self, stored: dict[str, str], audio: bytes | None = None) -> LeasedJob | None:
        """The job in a hash that a script has put under this worker's lease.

        If this version cannot read the record, the job is failed and the answer is None.
        """
        try:
            job = Job.from_hash(stored)
            return LeasedJob(
                job=job,
                token=int(stored["token"]),
                execution=stored["execution"],
                done_seconds=job.progress_seconds,
                audio=audio,
            )
        except ValidationError:
            self._refuse(stored)
            return None

    def _refuse(self, stored: dict[str, str]) -> None:
        """Fail a job whose record this version cannot read (a newer gateway wrote it). Its audio is kept for a retry."""
        message = "The workers are of another version than the gateway and cannot read this job; retry it after the upgrade."
        error = JobError(code="transcription_failed", message=message, retryable=True)
        named = {"error": error.model_dump_json(), "retryable": False, "max_attempts": self._settings.max_attempts}
        self._scripts.run("fail", id=stored["id"], token=int(stored["token"]), **named)

    def audio(self, leased: Sequence[LeasedJob]) -> list[bytes | None]:
        """The upload of each job, in the same order; None if the audio is gone."""
        absent = [self._keys.audio(h.job.id) for h in leased if h.audio is None]
        fetched: Any = iter(self._redis.mget(absent) if absent else [])
        return [next(fetched) if h.audio is None else h.audio for h in leased]

    def publish(self, leased: Sequence[LeasedJob]) -> list[bool]:
        """Publish the jobs' progress and new segments. False for each job that is no longer this worker's.

        After a call that fails, the next one sends the same segments again, followed by newer ones.
        """
        batches = [h.unsent[:MOST_SEGMENTS] for h in leased]
        jobs = [
            {
                "id": h.job.id,
                "token": h.token,
                "progress_seconds": h.done_seconds,
                "published": h.published,
                "segments": [s.model_dump_json(exclude_defaults=True) for s in batch],
            }
            for h, batch in zip(leased, batches, strict=True)
        ]
        verdicts = self._scripts.run("publish", jobs=jobs, audio_ttl=self._settings.audio_ttl_seconds())
        for h, batch in zip(leased, batches, strict=True):
            h.published += len(batch)
            del h.unsent[: len(batch)]
        return [scripting.text(v) == "ok" for v in verdicts]

    def put_piece(self, leased: LeasedJob, number: int, audio: bytes) -> bool:
        """Store the audio of piece `number` (from 1). False if the file is no longer this worker's: then nothing is stored."""
        named = {"id": leased.job.id, "token": leased.token, "number": number, "ttl": UNSPLIT_TTL_SECONDS}
        return bool(self._scripts.run("put_piece", audio, **named))

    def drop_put_pieces(self, leased: LeasedJob) -> None:
        """Delete the audio of all pieces that `put_piece` has stored for this file."""
        self._scripts.run("put_piece", b"", id=leased.job.id, token=leased.token, number=0, ttl=0)

    def split(self, leased: LeasedJob, cut: Cut, pieces: Sequence[tuple[Piece, int]]) -> WriteResult:
        """Queue the pieces, each given with the size of its audio in bytes. `put_piece` has stored their audio before."""
        job = leased.job
        lane = self._lanes.name_of(Lane.BATCH if job.lane == self._lanes.name_of(Lane.BATCH) else Lane.LONG)
        rq_fields: list[str | bytes] = []
        for number, (piece, _) in enumerate(pieces, start=1):
            about = describe((piece.end_ms - piece.start_ms) / 1000, f"piece {number} of {len(pieces)}", cut.language, job.sha256)
            fields = hash_fields(piece_id(job.id, number), lane, about)
            rq_fields += [str(len(fields)), *fields]
        named = {
            "lane": lane,
            "start_deadline_ms": self._settings.start_deadline_seconds * 1000,
            "cut": cut.model_dump_json(),
            "pieces": [
                {
                    "piece": piece.name,
                    "seconds": (piece.end_ms - piece.start_ms) / 1000,
                    "size_bytes": size_bytes,
                    "options": _options_of(piece, job.options.model_copy(update={"language": cut.language})).stored(),
                }
                for piece, size_bytes in pieces
            ],
        }
        return self._written(
            self._scripts.run("split", *rq_fields, id=job.id, token=leased.token, **named, **self._next_execution(leased))
        )

    def stitch(self, leased: LeasedJob) -> Transcript:
        """The transcript of a file whose pieces are all done. Raises `PiecesLost` if checkpoints are missing."""
        stored: Any = self._redis.hgetall(self._keys.pieces(leased.job.id))
        if leased.job.cut is None or len(stored) != leased.job.pieces:
            raise PiecesLost(f"{len(stored)} of {leased.job.pieces}")
        return stitched(scripting.text_hash(stored), leased.job.cut)

    def finish(self, leased: LeasedJob, transcript: Transcript) -> WriteResult:
        """Write the transcript of a job."""
        settings = self._settings
        # A stitched transcript has its revision already, from its pieces.
        decoded_as = transcript.decoded_as or settings.cache_revision(
            transcript.model_revision, transcript.encoder or "", transcript.encoder_precision or ""
        )
        return self._written(
            self._scripts.run(
                "finish",
                _stored(transcript.model_copy(update={"decoded_as": decoded_as}), leased.job),
                id=leased.job.id,
                token=leased.token,
                revision=decoded_as,
                cache_ttl=settings.cache_ttl_seconds if settings.enable_cache else 0,
                cache_entries=settings.cache_max_entries,
                short_windows=transcript.short_windows,
                window_fallbacks=transcript.window_fallbacks,
                text=transcript.transcript if leased.job.parent else "",
                busy_ms=int(leased.busy_seconds * 1000),
                lanes=self._lanes.names,
                **self._next_execution(leased),
            )
        )

    def _written(self, answer: Sequence[Any]) -> WriteResult:
        verdict, details = scripting.text(answer[0]), answer[1:]
        if verdict == "completed":
            return WriteResult(verdict=verdict, nothing_waits=bool(details[0]))
        file = self.read(scripting.text_hash(details[0])) if details else None
        return WriteResult(verdict=verdict, to_stitch=file)

    def _next_execution(self, leased: LeasedJob) -> dict[str, object]:
        """Arguments of a script that may put a file to stitch under this worker's lease."""
        return {"execution": leased.next_execution, **self._scripts.lease}

    def fail(self, leased: LeasedJob, error: JobError) -> str:
        """Report a failure. `requeued` while it is retryable and attempts are left, else `failed`; `stale` for a stale token."""
        return scripting.text(
            self._scripts.run(
                "fail",
                id=leased.job.id,
                token=leased.token,
                error=error.model_dump_json(),
                retryable=error.retryable,
                max_attempts=self._settings.max_attempts,
            )
        )

    def remember_unreadable(self, leased: LeasedJob) -> None:
        """Remember a file that has broken or exhausted its reader: gateways refuse it for `UNREADABLE_SECONDS`."""
        self._redis.set(self._keys.unreadable(leased.job.sha256), 1, ex=UNREADABLE_SECONDS)

    def hand_back(self, leased: LeasedJob) -> bool:
        """Put the job back at the front of its lane; this attempt is not counted. False for a stale token."""
        return bool(self._scripts.run("hand_back", id=leased.job.id, token=leased.token))


def _stored(transcript: Transcript, job: Job) -> str:
    """The transcript as JSON, without what the job's record says too: transcripts are kept for long, and must be small.

    Only the stitching of a file asks a transcript, that of a piece, as what it was decoded.
    """
    audio, known = transcript.audio, job.audio
    if audio and known and audio.tracks == known.tracks:
        transcript = transcript.model_copy(update={"audio": audio.model_copy(update={"tracks": []})})
    return transcript.model_dump_json(exclude_defaults=True, exclude=None if job.parent else {"decoded_as"})


def _options_of(piece: Piece, asked: TranscriptionOptions) -> TranscriptionOptions:
    """The options of a piece. The cut has already chosen the track, split the channels and enhanced the sound.

    Skip the VAD when the cut found no long pause in this piece. Word timestamps need it anyway, and so do the caller's own
    `VadOptions`.
    """
    done = {"track": None, "channels": Channels.MIX, "strict": False, "enhance": False}
    needs_vad = piece.has_pause or asked.word_timestamps or not isinstance(asked.vad, bool)
    return asked.model_copy(update={**done, "vad": asked.vad if needs_vad else False})
