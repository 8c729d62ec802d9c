"""The send side of RQ: the hash under which RQ's own tools know a job."""

from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

from redis import Redis
from rq.defaults import RQ_KEY_PREFIX
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat

#: What all of RQ's own keys begin with.
KEY_PREFIX = RQ_KEY_PREFIX
#: The set of all queues that RQ knows.
QUEUES_KEY = f"{KEY_PREFIX}:queues"
#: RQ wants a function name. Only Whisper Fleet's own workers take these jobs; they go by the id, never by this name.
FUNCTION = "whisper_fleet.transcribe"

#: Stands in the template where a job's own id goes.
_NO_ID = "00000000-0000-7000-8000-000000000000"


def _plain(value: Any) -> str | bytes:
    value = value.value if isinstance(value, Enum) else value
    return value if isinstance(value, bytes) else str(value)


@cache
def _template() -> tuple[Mapping[str, str | bytes], bytes]:
    """A job as RQ writes it, and its payload. Built once: of what we fill in, RQ's constructor makes nothing more."""
    job = RqJob.create(
        FUNCTION,
        args=(_NO_ID,),
        id=_NO_ID,
        origin="lane",
        description="description",
        timeout=-1,
        connection=Redis(),  # asked for, and never used
        serializer=JSONSerializer,
    )
    return {field: _plain(value) for field, value in job.to_dict().items()}, job.data


def hash_fields(job_id: str, lane: str, description: str) -> list[str | bytes]:
    """Field, value, ... of `rq:job:{id}`. The only argument is the id: audio never travels in a queue payload."""
    template, payload = _template()
    # Not compressed: RQ reads both, and compressing a hundred bytes takes longer than all the rest of this.
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
    """What rq-dashboard shows of a job: nothing of its content."""
    return f"{audio_seconds:.1f} s {audio_format}, {language or 'language detected'}, sha256 {sha256[:8]}"
