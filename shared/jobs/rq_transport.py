"""The send side of RQ: the hash that shows a job to RQ's own tools."""

from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

from redis import Redis
from rq.defaults import RQ_KEY_PREFIX
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat

#: The prefix of all keys of RQ.
KEY_PREFIX = RQ_KEY_PREFIX
#: The set of all queues that RQ knows.
QUEUES_KEY = f"{KEY_PREFIX}:queues"
#: RQ requires a function name. Only Whisper Fleet's own workers take these jobs, and they use the id, never this name.
FUNCTION = "whisper_fleet.transcribe"

#: The id in the template, which is replaced by the id of each job.
_NO_ID = "00000000-0000-7000-8000-000000000000"


def _plain(value: Any) -> str | bytes:
    value = value.value if isinstance(value, Enum) else value
    return value if isinstance(value, bytes) else str(value)


@cache
def _template() -> tuple[Mapping[str, str | bytes], bytes]:
    """A job as RQ writes it, and its payload. Built once: from the fields that differ by job, RQ derives no other field."""
    job = RqJob.create(
        FUNCTION,
        args=(_NO_ID,),
        id=_NO_ID,
        origin="lane",
        description="description",
        timeout=-1,
        connection=Redis(),  # required, but never used
        serializer=JSONSerializer,
    )
    return {field: _plain(value) for field, value in job.to_dict().items()}, job.data


def hash_fields(job_id: str, lane: str, description: str) -> list[str | bytes]:
    """Field, value, ... of the hash `rq:job:{id}`. The job's only argument is its id: audio is never part of the payload."""
    template, payload = _template()
    # Not compressed: RQ reads both forms, and to compress a hundred bytes takes longer than this whole function.
    own: dict[str, str | bytes] = {
        "data": payload.replace(_NO_ID.encode(), job_id.encode()),
        "origin": lane,
        "description": description,
    }
    fields = {**template, **own, "created_at": utcformat(now())}
    return [part for field in fields.items() for part in field]


def queue_key(lane: str) -> str:
    """The Redis list in which RQ keeps the ids of a queue."""
    return f"{KEY_PREFIX}:queue:{lane}"


def describe(audio_seconds: float, audio_format: str, language: str | None, sha256: str) -> str:
    """The description that rq-dashboard shows. It says nothing of the job's content."""
    return f"{audio_seconds:.1f} s {audio_format}, {language or 'language detected'}, sha256 {sha256[:8]}"
