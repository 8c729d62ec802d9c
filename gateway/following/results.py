"""The result of a finished job in every format: the canonical JSON, OpenAI's verbose JSON, and the text formats."""

from datetime import datetime, timezone
from typing import Any, NoReturn

from starlette.responses import JSONResponse, Response

from gateway.fleet.store import Snapshot
from gateway.problems import JobCanceled, JobExpired
from shared.errors import JobFailed, JobNotFinished
from shared.jobs.job import Job, JobState, Origin
from shared.transcripts.formats import ResultFormat, render
from shared.transcripts.transcript import Segment, Transcript

FRAMES_PER_SECOND = 100


def iso(milliseconds: int | None) -> str | None:
    """A time of Redis' clock (milliseconds) as ISO 8601 in UTC; None for None."""
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def result_response(snapshot: Snapshot, result_format: ResultFormat, *, is_new_job_next: bool = False) -> Response:
    """The transcript in one of its formats.

    Without a transcript, raises `JobNotFinished`, `JobFailed`, `JobCanceled` or `JobExpired`, by the job's state.
    `is_new_job_next`: the caller's next request would make a new job, which may succeed where this one failed.
    """
    if snapshot.transcript is None:
        _explain(snapshot.job, is_new_job_next)
    if result_format is ResultFormat.JSON:
        return JSONResponse(canonical(snapshot.job, snapshot.transcript))
    if result_format is ResultFormat.VERBOSE_JSON:
        return JSONResponse(verbose(snapshot.transcript))
    return Response(
        render(result_format, snapshot.transcript), media_type=result_format.media_type, headers=_charset(result_format)
    )


def _charset(result_format: ResultFormat) -> dict[str, str]:
    return {"Content-Type": f"{result_format.media_type}; charset=utf-8"}


def _explain(job: Job, is_new_job_next: bool) -> NoReturn:
    if job.state is JobState.FAILED:
        error = job.error
        if error is None:
            raise JobFailed("The transcription failed.")
        raise JobFailed(error.message, error.code, error.retryable and is_new_job_next)
    if job.state is JobState.CANCELED:
        raise JobCanceled("This job was cancelled and has no result; submit the audio again if you need it.")
    if job.state is JobState.EXPIRED:
        raise JobExpired("This job missed its deadline, so it has no result; retry it by its id, or submit the audio again.")
    raise JobNotFinished(f"The job is {job.state.value}; ask again, or long-poll GET /v1/jobs/{job.id}?wait=30.")


def canonical(job: Job, transcript: Transcript) -> dict[str, Any]:
    """The canonical result: everything that is known about a transcript. All other formats come from the same source."""
    from_cache = job.origin is Origin.CACHE
    transcribe_ms = 0.0 if from_cache else transcript.transcribe_ms
    body = {
        "transcript": transcript.transcript,
        "task": transcript.task,
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "duration": transcript.duration,
        "segments": [s.model_dump(exclude={"tokens", "temperature"}, exclude_none=True) for s in transcript.segments],
        "processing_time": {
            "queue_ms": _between(job.created_at_ms, job.started_at_ms),
            "preprocess_ms": 0.0 if from_cache else transcript.preprocess_ms,
            "transcribe_ms": transcribe_ms,
            "total_ms": _between(job.created_at_ms, job.finished_at_ms),
        },
        "real_time_factor": round(transcribe_ms / 1000 / transcript.duration, 4) if transcript.duration else 0.0,
        "model": transcript.model,
        "model_revision": transcript.model_revision,
        "device": transcript.device,
        "encoder": transcript.encoder,
        "encoder_precision": transcript.encoder_precision,
        "encoder_window": transcript.encoder_window,
        "audio": transcript.audio.model_dump() if transcript.audio else None,
        "warnings": [warning.plain() for warning in transcript.warnings],
        "attempts": job.attempt,
        "worker": job.worker,
        "cached": from_cache,
        "shared": job.origin is Origin.SHARED,
        "timestamp": iso(job.finished_at_ms),
    }
    return body | {"cached_at": iso(job.cached_at_ms)} if from_cache else body


def _between(start_ms: int | None, end_ms: int | None) -> int:
    """Milliseconds between two times; 0 if one is unknown. Never negative: a follower may be younger than the shared decode."""
    return 0 if start_ms is None or end_ms is None else max(0, end_ms - start_ms)


def verbose(transcript: Transcript) -> dict[str, Any]:
    """The result in the shape of OpenAI's `verbose_json`."""
    body: dict[str, Any] = {
        "task": transcript.task,
        "language": transcript.language,
        "duration": transcript.duration,
        "text": transcript.transcript,
        "segments": [_verbose_segment(segment) for segment in transcript.segments],
    }
    # Sort by time, since the channels of split audio may overlap.
    spoken = sorted((word for segment in transcript.segments for word in segment.words or ()), key=lambda word: word.start)
    words = [word.model_dump(exclude_none=True) for word in spoken]
    return body | {"words": words} if words else body


def _verbose_segment(segment: Segment) -> dict[str, Any]:
    fields = {"id", "start", "end", "text", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob"}
    channel = {} if segment.channel is None else {"channel": segment.channel}
    return segment.model_dump(include=fields) | {"seek": int(segment.start * FRAMES_PER_SECOND)} | channel
