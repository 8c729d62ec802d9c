"""What clients and operators asked, and what they were answered, as JSON lines. Knows nothing of the product's code."""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Action = Literal["submit", "poll", "result", "delete", "retry", "rq_empty", "rq_delete", "fault"]
#: Of a call that was never answered: nobody took it (so nothing happened), nothing came in time, or the connection broke.
Lost = Literal["", "refused", "timeout", "broken"]


class Seen(BaseModel):
    """What an answer says of a job. None: it does not say."""

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
    #: Who was asked, such as `gateway0 0.2.0`.
    asked: str = ""
    job: str = ""
    key: str = ""
    #: Of a submit: what the audio says (None: it cannot be transcribed), and whether a deadline was set.
    said: str | None = None
    has_deadline: bool = False
    #: Of a call that waits: seconds.
    wait: float = 0
    #: Of operators and faults.
    target: str = ""
    status: int | None = None
    code: str = ""
    has_retry_after: bool = False
    lost: Lost = ""
    seen: Seen | None = None

    @property
    def succeeded(self) -> bool:
        """It was answered that it is done."""
        return self.status is not None and self.status < 400

    @property
    def may_have_happened(self) -> bool:
        """It is done, or nobody knows. One that was answered 5xx may be done even after its answer: Redis may have got it."""
        return self.succeeded or (self.status is None and self.lost != "refused") or (self.status or 0) >= 500

    @property
    def happened_by(self) -> float:
        """When it was done at the latest."""
        return self.ended if self.succeeded else math.inf

    @property
    def subject(self) -> str:
        """The job that it is about; empty for a submit without an answer."""
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
        """Add a line, which a crash of this process does not take along."""
        line = operation.model_dump_json(exclude_defaults=True)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """The history is over."""
        self._file.close()


def read_history(path: Path) -> list[Operation]:
    """All operations, by when they began."""
    with path.open() as lines:
        return sorted((Operation.model_validate_json(line) for line in lines), key=lambda operation: operation.began)
