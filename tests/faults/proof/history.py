"""The requests of clients and operators and the answers to them, as JSON lines. Uses none of the product's code."""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Action = Literal["submit", "poll", "result", "delete", "retry", "rq_empty", "rq_delete", "fault"]
#: How a call got no answer: no gateway accepted the connection (so nothing happened), no answer came in time, or the
#: connection broke.
Lost = Literal["", "refused", "timeout", "broken"]


class Seen(BaseModel):
    """What an answer tells of a job. None: the answer does not tell it."""

    model_config = ConfigDict(frozen=True)

    job: str
    state: str
    attempt: int | None = None
    done: float | None = None
    seconds: float | None = None
    worker: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    transcript: str | None = None


class Operation(BaseModel):
    """One call, from its first byte to its answer. Times are seconds since the history began."""

    model_config = ConfigDict(frozen=True)

    client: str
    action: Action
    began: float
    ended: float
    #: The gateway that was asked, such as `gateway0 0.2.0`.
    asked: str = ""
    job: str = ""
    key: str = ""
    #: Of a submit: the right transcript (None: the audio cannot be transcribed), and whether a deadline was set.
    said: str | None = None
    has_deadline: bool = False
    #: The `wait` that the client asked for, in seconds.
    wait: float = 0
    #: Of an operator's click or a fault: what it was done to.
    target: str = ""
    status: int | None = None
    code: str = ""
    has_retry_after: bool = False
    lost: Lost = ""
    seen: Seen | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the answer said that the request was carried out."""
        return self.status is not None and self.status < 400

    @property
    def may_have_happened(self) -> bool:
        """Whether the request was or may have been carried out.

        After an answer of 5xx it may be carried out even later: Redis may have got the command.
        """
        return self.succeeded or (self.status is None and self.lost != "refused") or (self.status or 0) >= 500

    @property
    def happened_by(self) -> float:
        """The latest time at which the request can have been carried out."""
        return self.ended if self.succeeded else math.inf

    @property
    def subject(self) -> str:
        """The id of the job that the request is about; empty for a submit without an answer."""
        return self.job or (self.seen.job if self.seen else "")


class Recorder:
    """Writes each operation as it ends. Safe for use from several threads."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._file, self._lock = path.open("a"), threading.Lock()
        self._clock, self._start = clock, clock()

    def now(self) -> float:
        """Seconds since the history began."""
        return round(self._clock() - self._start, 4)

    def write(self, operation: Operation) -> None:
        """Add a line. It is flushed at once, so that a crash of this process does not lose it."""
        line = operation.model_dump_json(exclude_defaults=True)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file, at the end of the history."""
        self._file.close()


def read_history(path: Path) -> list[Operation]:
    """All operations, sorted by their beginning."""
    with path.open() as lines:
        return sorted((Operation.model_validate_json(line) for line in lines), key=lambda operation: operation.began)
