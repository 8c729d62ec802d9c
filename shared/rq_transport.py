"""The send side of RQ: the hash under which RQ's own tools know a job."""

from enum import Enum

from redis import Redis
from rq.defaults import RQ_KEY_PREFIX
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

#: What all of RQ's own keys begin with.
KEY_PREFIX = RQ_KEY_PREFIX
#: The set of all queues that RQ knows.
QUEUES_KEY = f"{KEY_PREFIX}:queues"
#: RQ wants a function name. Only Whisper Fleet's own workers take these jobs; they go by the id, never by this name.
FUNCTION = "whisper_fleet.transcribe"

#: RQ's constructor asks for a connection that building a hash never uses.
_NO_CONNECTION = Redis()


def hash_fields(job_id: str, lane: str, description: str) -> list[str | bytes]:
    """Field, value, ... of `rq:job:{id}`. The only argument is the id: audio never travels in a queue payload."""
    job = RqJob.create(
        FUNCTION,
        args=(job_id,),
        id=job_id,
        origin=lane,
        description=description,
        timeout=-1,
        connection=_NO_CONNECTION,
        serializer=JSONSerializer,
    )
    flat: list[str | bytes] = []
    for field, value in job.to_dict().items():
        plain = value.value if isinstance(value, Enum) else value
        flat += [field, plain if isinstance(plain, bytes) else str(plain)]
    return flat


def queue_key(lane: str) -> str:
    """The Redis list in which RQ keeps the ids of a queue."""
    return f"{KEY_PREFIX}:queue:{lane}"


def describe(audio_seconds: float, audio_format: str, language: str | None, sha256: str) -> str:
    """What rq-dashboard shows of a job: nothing of its content."""
    return f"{audio_seconds:.1f} s {audio_format}, {language or 'language detected'}, sha256 {sha256[:8]}"
