"""The client: submit audio, wait for its transcript, look after jobs."""

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

#: One long-poll; the fleet holds none longer than a minute.
POLL_SECONDS = 30.0
TEXT_FORMATS = frozenset({"text", "srt", "vtt", "tsv"})


class FleetClient:
    """A synchronous client. Use it in a `with`, or call `close`. One instance may be shared between threads.

    Every method raises `ClientError`. Calls that meet a full queue, a store that is away or a broken connection are
    tried again up to `retries` times, with growing pauses or the server's Retry-After; an answer that says `retryable: false`
    is not. `timeout` is seconds without a byte from the server, not counting the time for which it was asked to hold an answer.
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
        """Drop the connections."""
        self._transport.close()

    def submit(self, audio: bytes | str | Path, **options: Any) -> JobRecord:
        """Hand in a file, by path or as bytes, and get its job at once.

        Options are those of `POST /v1/jobs`: language, task, model, prompt, hotwords, beam_size, temperature, vad,
        word_timestamps, priority, metadata (JSON-able), deadline_seconds, ... A retry after a broken connection carries the
        same Idempotency-Key.
        """
        if isinstance(options.get("metadata"), Mapping):
            options["metadata"] = json.dumps(options["metadata"])
        headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": uuid.uuid4().hex}
        body = Path(audio) if isinstance(audio, str) else audio
        return _job(self._transport.call("POST", "/v1/jobs", params=options, headers=headers, audio=body))

    def job(self, job_id: str, *, wait: float | None = None) -> JobRecord:
        """The job as it stands; with `wait`, as soon as it ends, but at the latest after so many seconds."""
        return _job(self._transport.call("GET", f"/v1/jobs/{job_id}", params={"wait": wait}, hold_seconds=wait or 0.0))

    def result(self, job_id: str, *, format: str = "json") -> Any:
        """The transcript: a dict for json and verbose_json, a string for text, srt, vtt and tsv.

        Raises `ClientError` `job_not_finished` while it is not there, and the job's own error when the job failed.
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
        """Submit, wait and fetch. `on_update` hears of each answer on the way.

        After `timeout` seconds it raises `ClientError` `wait_timeout`; the job goes on and can be asked for by its id.
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
        """The job once it has ended, well or not; long-polls, so that nothing is asked in vain."""
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
        """Cancel an unfinished job, or erase a finished one."""
        self._transport.call("DELETE", f"/v1/jobs/{job_id}")

    def jobs(self, *, status: str | None = None, limit: int | None = None) -> Iterator[JobRecord]:
        """Own jobs, newest first, page by page as they are consumed."""
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
