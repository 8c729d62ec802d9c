"""The steps of a submit: check the fields, probe the audio, find the model, and write the job atomically."""

import asyncio
import hashlib
import json
import math
import os
import time
import uuid
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect, Request

from gateway.fleet.fleet import Fleet
from gateway.fleet.store import Draft, JobStore, Snapshot
from gateway.submitting.bodies import MEGABYTE, Upload
from gateway.submitting.fields import json_fields, submission
from gateway.submitting.probing import Prober
from gateway.submitting.threads import StopIfGone, Threads
from gateway.submitting.uploaded import UploadedAudio
from shared.audio.report import AudioInfo
from shared.audio.wav import wav_of_pcm
from shared.errors import IdempotencyConflict, InvalidOption, QueueFull, RequestTooLarge
from shared.jobs.keys import Keys
from shared.jobs.lanes import lane_for
from shared.jobs.options import Submission
from shared.jobs.rq_transport import describe
from shared.settings import GatewaySettings

#: Audio larger than this is sent to Redis one upload at a time.
LARGE_BYTES = 16_000_000
UNMEASURED_RETRY_SECONDS = 10
LONGEST_RETRY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Prepared:
    """A submit whose fields and audio have been checked. `job_id` becomes the job's id, unless the submit repeats another."""

    request: Request
    job_id: str
    audio: UploadedAudio
    info: AudioInfo
    sha256: str
    submission: Submission
    #: Fields that the route takes beyond a job's own, such as the format of `POST /transcribe`.
    extras: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Unpacked:
    """An upload whose fields have been checked, and whose audio has not been probed yet."""

    audio: UploadedAudio
    sha256: str
    submission: Submission
    extras: dict[str, str]


class Submitter:
    """Turns uploads into jobs."""

    def __init__(self, store: JobStore, fleet: Fleet, prober: Prober, keys: Keys, settings: GatewaySettings) -> None:
        self._store, self._fleet, self._prober, self._keys, self._settings = store, fleet, prober, keys, settings
        self._threads = Threads()
        self._turn_of_large = asyncio.Semaphore(1)

    async def prepare(self, request: Request, upload: Upload, extras: frozenset[str] = frozenset()) -> Prepared:
        """Check an upload's fields and audio. Large audio and JSON bodies are unpacked and hashed in a thread.

        For small audio the hop to a thread would take longer than the work. Raises the errors of fields (400, 422) and of audio
        (400, 415, 422), `ReadersUnavailable`, and `ClientDisconnect`.
        """
        if upload.audio is not None and not upload.audio.is_large:
            unpacked = self._unpacked(upload, extras)
        else:
            unpacked = await self._threads.run(request, partial(self._unpacked, upload, extras))
        info = await self._prober.look_at(request, unpacked.audio, unpacked.sha256, unpacked.submission)
        return Prepared(request, _new_job_id(), unpacked.audio, info, unpacked.sha256, unpacked.submission, unpacked.extras)

    async def submit(self, prepared: Prepared, tenant: str, idempotency_key: str | None) -> Snapshot:
        """Write the job, or find the earlier job of the Idempotency-Key. Returns that job as it is right afterwards.

        Raises `UnknownModel`, `IdempotencyConflict`, `QueueFull`, `ClientDisconnect` as long as there is no job, and what
        `JobStore.read` raises.
        """
        draft = self._draft(prepared, tenant, await self._fleet.resolve_model(prepared.submission.model), idempotency_key)
        # Submit large audio without its bytes first: if the cache or an equal job in flight serves it, they need not be sent. For
        # small audio, sending it costs Redis and the gateway less than asking first.
        at_once = b"" if prepared.audio.is_large else prepared.audio.content()
        verdict, replayed, snapshot = await self._store.submit(draft, at_once)
        if verdict == "need_audio":
            # While audio is sent to Redis, the heap holds it twice, so the largest uploads wait for each other.
            turn = self._turn_of_large if prepared.audio.size_bytes > LARGE_BYTES else nullcontext()
            async with turn:
                if await prepared.request.is_disconnected():
                    raise ClientDisconnect
                verdict, replayed, snapshot = await self._store.submit(draft, prepared.audio.content())
        if verdict == "conflict":
            raise IdempotencyConflict("This Idempotency-Key was used for another request; use a new key for a new request.")
        if verdict == "full":
            raise await self._full()
        return snapshot or await self._store.read(replayed or draft.id, tenant)

    def _unpacked(self, upload: Upload, extras: frozenset[str], stop_if_gone: StopIfGone = lambda: None) -> _Unpacked:
        typed = upload.json_body is not None
        audio, fields = self._unpack(upload)
        steering = {name: fields.pop(name) for name in sorted(extras) if name in fields}
        if not all(isinstance(value, str) for value in steering.values()):
            raise InvalidOption(f"{', '.join(steering)}: must be a string.")
        checked = submission(fields, typed=typed)
        if checked.encoding and checked.sample_rate:
            # Raw PCM becomes a wav file here, so that all later steps treat it like any other file.
            raw, channels = audio.content(), checked.channel_count or 1
            audio = UploadedAudio(wav_of_pcm(raw, checked.encoding, checked.sample_rate, channels))
        return _Unpacked(audio, audio.sha256(stop_if_gone), checked, steering)

    def _unpack(self, upload: Upload) -> tuple[UploadedAudio, dict[str, Any]]:
        if upload.json_body is None:
            return upload.audio or UploadedAudio(b""), dict(upload.fields)
        audio, fields = json_fields(upload.json_body)
        if len(audio) > self._settings.max_base64_size_mb * MEGABYTE:
            limit = self._settings.max_base64_size_mb
            raise RequestTooLarge(f"The audio is too large for JSON: at most {limit:g} MB; send it as multipart or raw body.")
        return UploadedAudio(audio), {**upload.fields, **fields}

    def _draft(self, prepared: Prepared, tenant: str, model: str, idempotency_key: str | None) -> Draft:
        asked, info = prepared.submission, prepared.info
        options = asked.options()
        record = {
            "id": prepared.job_id,
            "tenant": tenant,
            "options": options.stored(),
            "model": model,
            "lane": self._keys.lane(model, lane_for(asked.priority, info.seconds, self._settings.long_above_seconds)),
            "priority": asked.priority.value,
            "digest": _sha256(tenant, prepared.sha256, options.canonical(), model),
            "sha256": prepared.sha256,
            "audio_format": info.container.value,
            "audio_seconds": round(info.seconds, 3),
            "size_bytes": prepared.audio.size_bytes,
            "attempt": 0,
            "audio": info.report().model_dump_json(exclude_defaults=True),
        }
        if info.warnings:
            record["warnings"] = json.dumps([warning.plain() for warning in info.warnings])
        if asked.metadata is not None:
            record["metadata"] = json.dumps(asked.metadata)
        start_deadline = min(asked.start_deadline_seconds or math.inf, self._settings.start_deadline_seconds)
        about = describe(info.seconds, info.container.value, asked.language, prepared.sha256)
        return Draft(record, about, int(start_deadline), asked.deadline_seconds, _idempotency(idempotency_key, prepared))

    async def _full(self) -> QueueFull:
        """The error for a full queue. Its Retry-After is a tenth of the time in which the fleet decodes all waiting audio.

        It is at least 1 s and at most LONGEST_RETRY_SECONDS; UNMEASURED_RETRY_SECONDS while the fleet's rate is unknown.
        """
        seconds = (await self._fleet.load()).seconds_to_drain()
        retry = UNMEASURED_RETRY_SECONDS if seconds is None else min(LONGEST_RETRY_SECONDS, max(1, math.ceil(seconds / 10)))
        return QueueFull("Too much audio is waiting already; try again after the time that Retry-After names.", retry)


def _new_job_id() -> str:
    """A UUID of version 7. Its text sorts by time, and its random part makes it impossible to guess."""
    bits = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=bits & ~(0x3 << 62) | 0x2 << 62))


def _idempotency(key: str | None, prepared: Prepared) -> dict[str, str] | None:
    return {"key": key, "digest": _sha256(prepared.sha256, prepared.submission.model_dump_json())} if key else None


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
