"""The send side of RQ: the hash that shows a job to RQ's own tools."""

import json

from rq.defaults import RQ_KEY_PREFIX
from rq.utils import now, utcformat

#: The prefix of all keys of RQ.
KEY_PREFIX = RQ_KEY_PREFIX
#: The set of all queues that RQ knows.
QUEUES_KEY = f"{KEY_PREFIX}:queues"
#: RQ requires a function name. Only Whisper Fleet's own workers take these jobs, and they use the id, never this name.
FUNCTION = "transcribe"


def hash_fields(job_id: str, lane: str, description: str) -> list[str | bytes]:
    """Field, value, ... of the hash `rq:job:{id}` of a job that waits. RQ reads absent fields as empty.

    The job's only argument is its id: audio is never part of the payload. No value is longer than 64 bytes, as long as the lane's
    name is not: Redis keeps such a hash in a quarter of the memory.
    """
    created = utcformat(now())
    fields = {
        # As RQ's JSONSerializer writes a call: function, instance, arguments, keyword arguments. RQ reads it uncompressed, too.
        "data": json.dumps([FUNCTION, None, [job_id], {}], separators=(",", ":")),
        "status": "queued",
        "origin": lane,
        "description": description,
        "created_at": created,
        "enqueued_at": created,
    }
    return [part for field in fields.items() for part in field]


def queue_key(lane: str) -> str:
    """The Redis list in which RQ keeps the ids of a queue."""
    return f"{KEY_PREFIX}:queue:{lane}"


def describe(audio_seconds: float, audio_format: str, language: str | None, sha256: str) -> str:
    """The description that rq-dashboard shows. It says nothing of the job's content."""
    return f"{audio_seconds:.1f} s {audio_format}, {language or 'language detected'}, sha256 {sha256[:8]}"
