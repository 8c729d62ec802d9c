"""The messages on the socket between a gateway or model process and its readers. Each is one JSON document."""

from enum import Enum

from pydantic import BaseModel, ConfigDict

from shared.audio.report import AudioInfo, Decoded
from shared.audio.request import Wanted
from shared.audio.walls.limits import Limits

#: Larger than any message; the file and its sound travel as shared memory.
MESSAGE_BYTES = 128 * 1024


class Task(str, Enum):
    """A reader's task."""

    PROBE = "probe"
    DECODE = "decode"


class Order(BaseModel):
    """To a reader. The file comes with it in shared memory, `size_bytes` long; for a decode, its buffer as well.

    The buffer is float32, shape (`rows`, `capacity`).
    """

    model_config = ConfigDict(frozen=True)

    number: int
    task: Task
    size_bytes: int
    wanted: Wanted
    limits: Limits
    rows: int = 1
    capacity: int = 0


class Told(BaseModel):
    """From a reader: first that it has begun, then one of `info`, `decoded`, `error_code` or `exhausted`."""

    model_config = ConfigDict(frozen=True)

    number: int
    began_pid: int | None = None
    info: AudioInfo | None = None
    decoded: Decoded | None = None
    error_code: str | None = None
    message: str = ""
    #: The limit that the reader ran into, or the kind of an unforeseen error.
    exhausted: str | None = None


class Died(BaseModel):
    """From the process that keeps the readers: a reader ended without an answer. `cause`: a signal's name, or an exit code."""

    model_config = ConfigDict(frozen=True)

    died_pid: int
    cause: str
