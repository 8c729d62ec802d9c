"""One HTTP call to the fleet: it retries failures that pass by themselves, and raises errors as `ClientError`."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import httpx

from client.errors import ClientError

#: Statuses that mean: the queue is full, or Redis or the whole gateway is unreachable for the moment.
PASSING = frozenset({429, 502, 503, 504})
#: The longest pause between tries. If the server asks for a longer one, the call fails instead.
MAX_PAUSE_SECONDS = 30.0

Audio = bytes | Path


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often a call is tried again, and how long the pauses are."""

    retries: int = 5
    first_pause_seconds: float = 0.25
    sleep: Callable[[float], None] = field(default=time.sleep)

    def pause(self, attempt: int, asked_seconds: float | None) -> None:
        """Wait before the next try: as long as the server asked for, else twice as long each time. Adds jitter of up to 25 %."""
        seconds = self.first_pause_seconds * 2**attempt if asked_seconds is None else asked_seconds
        self.sleep(min(MAX_PAUSE_SECONDS, seconds) * random.uniform(1.0, 1.25))  # noqa: S311 - jitter need not be secret


class Transport:
    """Sends requests; safe to share between threads, as `httpx.Client` is."""

    def __init__(self, http: httpx.Client, patience: Patience) -> None:
        self._http, self._patience = http, patience

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        audio: Audio | None = None,
        hold_seconds: float = 0.0,
    ) -> httpx.Response:
        """Send a request, retry it if that can help, and return the answer if its status is below 400.

        `hold_seconds` is how long the server may hold its answer on purpose; it is added to the read timeout.
        Raises `ClientError` when the last answer has status 400 or above, and with code `unreachable` when there is no answer.
        """
        given = {k: v for k, v in (params or {}).items() if v is not None}
        send = partial(self._http.request, method, path, params=given, headers=headers, timeout=self._timeout(hold_seconds))
        for attempt in range(self._patience.retries + 1):
            last = attempt == self._patience.retries
            try:
                with _opened(audio) as content:
                    response = send(content=content)
            except httpx.TransportError as error:
                if last or isinstance(error, httpx.UnsupportedProtocol):
                    raise self._unreachable(error) from error
                self._patience.pause(attempt, None)
                continue
            if not response.is_error:
                return response
            problem = ClientError.from_response(response)
            if last or not _passes(problem):
                raise problem
            self._patience.pause(attempt, problem.retry_after_seconds)
        raise AssertionError("the last attempt returns or raises")

    def _timeout(self, hold_seconds: float) -> httpx.Timeout:
        usual = self._http.timeout
        read = None if usual.read is None else usual.read + hold_seconds
        return httpx.Timeout(connect=usual.connect, read=read, write=usual.write, pool=usual.pool)

    def _unreachable(self, error: httpx.TransportError) -> ClientError:
        return ClientError(
            "unreachable", f"No answer from {self._http.base_url}: {(str(error) or type(error).__name__).rstrip('.')}."
        )


def _passes(problem: ClientError) -> bool:
    """Whether a retry may succeed. `retryable: false` in the body overrules the status: a job that failed for good is a 502."""
    if problem.retryable is False or problem.status not in PASSING:
        return False
    return (problem.retry_after_seconds or 0.0) <= MAX_PAUSE_SECONDS


def _opened(audio: Audio | None) -> AbstractContextManager[bytes | IO[bytes] | None]:
    """The body of one try. A file is opened again for each try, so that it is read from its start."""
    return _file(audio) if isinstance(audio, Path) else nullcontext(audio)


@contextmanager
def _file(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as handle:
        yield handle
