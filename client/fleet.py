"""The client: submits audio, waits for transcripts, reads and cancels jobs."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from client.errors import ClientError
from client.records import JobRecord
from client.transport import Patience, Transport

#: How long one long-poll asks the fleet to hold its answer. The fleet's own limit is MAX_WAIT_SECONDS (default 50).
POLL_SECONDS = 30.0
TEXT_FORMATS = frozenset({"text", "srt", "vtt", "tsv"})


class FleetClient:
    """A synchronous client. Use it in a `with`, or call `close`. One instance may be shared between threads.

    Every method raises `ClientError`. A call that meets a full queue, an unreachable Redis or a broken connection is tried
    again up to `retries` times. The pause before the next try is the server's Retry-After, else it doubles each time. A call
    whose answer says `retryable: false` is not tried again. `timeout` is how many seconds may pass without a byte from the
    server; the time for which the client asked the server to hold its answer does not count.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 5,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"User-Agent": "whisper-fleet-client"} | ({"X-API-Key": api_key} if api_key else {})
        http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout, transport=transport)
        self._transport = Transport(http, Patience(retries=retries, sleep=sleep))

    def __enter__(self) -> "FleetClient":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def submit(self, audio: bytes | str | Path, **options: Any) -> JobRecord:
        """Submit a file, by path or as bytes, and return its job without waiting for the transcript.

        Options are those of `POST /v1/jobs`: language, task, model, prompt, hotwords, beam_size, temperature, vad,
        word_timestamps, priority, metadata, deadline_seconds, ... Mappings are sent as JSON. A retry after a broken connection
        sends the same Idempotency-Key, so that it cannot create a second job. Raises `OSError` when the file cannot be read.
        """
        options |= {name: json.dumps(value) for name, value in options.items() if isinstance(value, Mapping)}
        headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": uuid.uuid4().hex}
        body = Path(audio) if isinstance(audio, str) else audio
        return _job(self._transport.call("POST", "/v1/jobs", params=options, headers=headers, audio=body))

    def job(self, job_id: str, *, wait: float | None = None) -> JobRecord:
        """The job as it is now. With `wait`, the fleet answers when the job ends, or after `wait` seconds at the latest."""
        return _job(self._transport.call("GET", f"/v1/jobs/{job_id}", params={"wait": wait}, hold_seconds=wait or 0.0))

    def result(self, job_id: str, *, format: str = "json") -> Any:
        """The transcript: a dict for json and verbose_json, a string for text, srt, vtt and tsv.

        Raises `ClientError` with code `job_not_finished` while the job has not ended, and with the job's own code if it failed.
        """
        response = self._transport.call("GET", f"/v1/jobs/{job_id}/result", params={"format": format})
        return response.text if format in TEXT_FORMATS else _json(response)

    def transcribe(
        self,
        audio: bytes | str | Path,
        *,
        format: str = "json",
        timeout: float | None = None,
        on_update: Callable[[JobRecord], None] | None = None,
        **options: Any,
    ) -> Any:
        """Submit a file, wait for its job to end, and return the transcript.

        `on_update` is called with the job's record after each long-poll. After `timeout` seconds of waiting this raises
        `ClientError` with code `wait_timeout`; the job goes on, and the caller can ask for it by its id.
        """
        record = self.submit(audio, **options)
        ended = self.wait(record, timeout=timeout, on_update=on_update)
        return self.result(ended.job_id, format=format)

    def wait(
        self,
        record: JobRecord,
        *,
        timeout: float | None = None,
        on_update: Callable[[JobRecord], None] | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> JobRecord:
        """Wait until the job has ended, successfully or not, and return its last record.

        Uses long-polls of at most `poll_seconds`. Calls `on_update` after each of them. Raises `ClientError` with code
        `wait_timeout` after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not record.finished:
            left = poll_seconds if deadline is None else min(poll_seconds, deadline - time.monotonic())
            if left <= 0:
                raise ClientError("wait_timeout", f"Job {record.job_id} is still {record.status} after {timeout:g} s.")
            record = self.job(record.job_id, wait=left)
            if on_update:
                on_update(record)
        return record

    def cancel(self, job_id: str) -> None:
        """Cancel an unfinished job, or erase a finished one.

        A retry after a broken connection sends the same Idempotency-Key, so that it does not erase the job that it cancelled.
        """
        self._transport.call("DELETE", f"/v1/jobs/{job_id}", headers={"Idempotency-Key": uuid.uuid4().hex})

    def jobs(self, *, status: str | None = None, limit: int | None = None) -> Iterator[JobRecord]:
        """The caller's jobs, newest first, at most `limit` of them. The next page is fetched when the iteration reaches it."""
        cursor: str | None = None
        seen = 0
        while True:
            page = _json(self._transport.call("GET", "/v1/jobs", params={"status": status, "cursor": cursor}))
            for body in page["jobs"]:
                if limit is not None and seen >= limit:
                    return
                seen += 1
                yield JobRecord.from_body(body)
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def stats(self) -> dict[str, Any]:
        """Queue depth, workers, cache hit rate, drain rate."""
        return dict(_json(self._transport.call("GET", "/stats")))


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise ClientError(
            "not_a_fleet", "The answer is no JSON; is this the address of a fleet?", response.status_code
        ) from error


def _job(response: httpx.Response) -> JobRecord:
    body = _json(response)
    try:
        return JobRecord.from_body(body)
    except (KeyError, TypeError) as error:
        raise ClientError(
            "not_a_fleet", "The answer is about no job; is this the address of a fleet?", response.status_code
        ) from error
