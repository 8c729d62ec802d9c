"""The record of a job in any state, as callers read it, and the headers that go with it."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.addresses import path_to
from gateway.fleet.fleet import Fleet
from gateway.fleet.store import Snapshot
from gateway.following.results import canonical, iso
from shared.audio.request import Channels
from shared.jobs.job import Job, JobState
from shared.transcripts.transcript import Transcript

LONGEST_RETRY_SECONDS = 10


async def job_body(fleet: Fleet, request: Request, snapshot: Snapshot) -> dict[str, Any]:
    """The whole record of a job, with its place in the queue or its result."""
    job = snapshot.job
    body = summary(request, job) | await _place(fleet, snapshot)
    if job.state is JobState.RUNNING:
        body["partial_transcript"] = snapshot.partial
    if snapshot.transcript is not None:
        body |= _heard(body, snapshot.transcript)
        body["result"] = canonical(job, snapshot.transcript)
    return body


def summary(request: Request, job: Job) -> dict[str, Any]:
    """The part of a job's record that a listing shows."""
    return {
        "job_id": job.id,
        "status": job.state.value,
        "model": job.model,
        "priority": job.priority.value,
        "options": job.options.model_dump(mode="json", exclude_none=True),
        "audio": _audio(job),
        "warnings": [warning.plain() for warning in job.warnings],
        "progress": {"audio_seconds_done": _done_seconds(job), "audio_seconds": job.audio_seconds},
        "attempt": job.attempt,
        "worker": job.worker,
        "created_at": iso(job.created_at_ms),
        "started_at": iso(job.started_at_ms),
        "finished_at": iso(job.finished_at_ms),
        "error": job.error.model_dump() if job.error else None,
        "attempts": [note.model_dump(exclude={"at_ms"}) | {"at": iso(note.at_ms)} for note in job.history],
        "metadata": job.metadata,
        "urls": urls(request, job.id),
    }


def _audio(job: Job) -> dict[str, Any]:
    """The submitted file, as the probe found it."""
    file = {"format": job.audio_format, "seconds": job.audio_seconds, "size_bytes": job.size_bytes, "sha256": job.sha256}
    return file | (job.audio.model_dump() if job.audio else {})


def _heard(body: Mapping[str, Any], transcript: Transcript) -> dict[str, Any]:
    """The audio and warnings after decoding, which finds more than the probe of the packets."""
    if transcript.audio is None:
        return {}
    audio = body["audio"] | transcript.audio.model_dump()
    return {"audio": audio, "warnings": [warning.plain() for warning in transcript.warnings]}


def _done_seconds(job: Job) -> float:
    """Seconds of audio that are done, rounded to milliseconds.

    The progress of a cut file is a sum over its pieces. With split channels, each channel has pieces of its own, so the sum is
    divided by the number of channels.
    """
    channels = job.audio.channels if job.audio and job.options.channels is Channels.SPLIT else 1
    done = job.progress_seconds / max(1, channels) if job.pieces else job.progress_seconds
    return round(min(done, job.audio_seconds), 3)


def urls(request: Request, job_id: str) -> dict[str, str]:
    """The paths of a job's record and of its result."""
    self_path = path_to(request, f"/v1/jobs/{job_id}")
    return {"self": self_path, "result": f"{self_path}/result"}


async def _place(fleet: Fleet, snapshot: Snapshot) -> dict[str, Any]:
    """The position, which is 1 for the next job to start, and the expected seconds until the job is done (null if unknown).

    Both are null for a job that does not wait in a lane.
    """
    job, ahead = snapshot.job, snapshot.ahead
    if ahead is None:
        return {"position": None, "eta_seconds": None}
    seconds = await fleet.seconds_until_done(job, ahead.audio_seconds)
    return {"position": ahead.jobs + 1, "eta_seconds": None if seconds is None else round(seconds, 1)}


def waiting_headers(body: Mapping[str, Any]) -> dict[str, str]:
    """`Retry-After` for a job that has not ended: its expected remaining time, from 1 s (also if unknown) to 10 s."""
    if JobState(body["status"]).is_terminal:
        return {}
    return {"Retry-After": str(min(LONGEST_RETRY_SECONDS, max(1, math.ceil(body.get("eta_seconds") or 1))))}


def tagged(request: Request, body: Mapping[str, Any]) -> Response:
    """Answer 200 with an ETag, or 304 when the caller already has this state."""
    response = JSONResponse(body, headers=waiting_headers(body))
    tag = f'"{hashlib.sha256(response.body).hexdigest()[:24]}"'
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        kept = {name: value for name, value in response.headers.items() if name not in ("content-length", "content-type")}
        return Response(status_code=304, headers=kept)
    return response
