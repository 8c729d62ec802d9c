"""Clients that record every request that they send and every answer that they get."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import httpx

from tests.faults.proof.history import Action, Lost, Operation, Recorder, Seen

#: How long a client waits for any answer, beyond the `wait` that it asked for.
PATIENCE_SECONDS = 10.0
CONNECT_SECONDS = 3.0
#: How long a client pauses after a refusal. This is shorter than Retry-After, so that gateways have requests to refuse.
PAUSE_SECONDS = 0.7


#: How long a client repeats a question that no gateway answers.
ANSWERED_SECONDS = 30.0


class Client:
    """One caller with connections of its own to all gateways. After a refusal or a lost answer it turns to the next gateway."""

    def __init__(self, name: str, gateways: Mapping[str, str], recorder: Recorder, pause_seconds: float) -> None:
        self.name, self._recorder, self._pause_seconds = name, recorder, pause_seconds
        self._http = {gateway: httpx.Client(base_url=url) for gateway, url in gateways.items()}
        self._turn = random.Random(name).randrange(len(gateways))

    def close(self) -> None:
        """Close the connections."""
        for http in self._http.values():
            http.close()

    @property
    def gateway(self) -> str:
        """The name of the gateway that the client asks now."""
        return list(self._http)[self._turn % len(self._http)]

    def turn(self) -> None:
        """Ask the next gateway from now on."""
        self._turn += 1

    def now(self) -> float:
        """Seconds since the history began."""
        return self._recorder.now()

    def pause(self, seconds: float) -> None:
        """Wait, like a caller who was told to come again later."""
        time.sleep(seconds)

    def answered(self, ask: Callable[[], Operation], within: float = ANSWERED_SECONDS) -> Operation:
        """Ask until a gateway answers with neither 429 nor 503, for `within` seconds at most. Returns the last operation."""
        until = self.now() + within
        while ((operation := ask()).status or 503) in (429, 503) and self.now() < until:
            pass
        return operation

    def submit(self, audio: bytes, key: str, query: Mapping[str, str], said: str | None, wait: float = 0) -> Operation:
        """Submit the audio as a job."""
        asked = {**query, **({"wait": f"{wait:g}"} if wait else {})}
        fields = {"key": key, "said": said, "has_deadline": "start_deadline_seconds" in query, "wait": wait}
        headers = {"Idempotency-Key": key, "Content-Type": "application/octet-stream"}
        return self._call("submit", "POST", "/v1/jobs", fields, params=asked, content=audio, headers=headers)

    def poll(self, job: str, wait: float = 0) -> Operation:
        """Ask for a job's state."""
        return self._call(
            "poll", "GET", f"/v1/jobs/{job}", {"job": job, "wait": wait}, params={"wait": f"{wait:g}"} if wait else {}
        )

    def result(self, job: str) -> Operation:
        """Fetch the transcript."""
        return self._call("result", "GET", f"/v1/jobs/{job}/result", {"job": job})

    def delete(self, job: str) -> Operation:
        """Cancel a job, or erase one that has ended."""
        return self._call("delete", "DELETE", f"/v1/jobs/{job}", {"job": job})

    def retry(self, job: str) -> Operation:
        """Retry a failed or expired job."""
        return self._call("retry", "POST", f"/v1/jobs/{job}/retry", {"job": job})

    def _call(self, action: Action, method: str, path: str, fields: Mapping[str, Any], **request: Any) -> Operation:
        """Ask and record. After no answer, 429 or 503, turn to the next gateway and pause."""
        patience = httpx.Timeout(PATIENCE_SECONDS + fields.get("wait", 0), connect=CONNECT_SECONDS)
        gateway, began = self.gateway, self._recorder.now()
        answer: httpx.Response | None = None
        lost: Lost = ""
        try:
            answer = self._http[gateway].request(method, path, timeout=patience, **request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            lost = "refused"
        except httpx.TimeoutException:
            lost = "timeout"
        except httpx.TransportError:
            lost = "broken"
        told = _told(action, fields.get("job", ""), answer) if answer is not None else {"lost": lost}
        ended = self._recorder.now()
        operation = Operation(client=self.name, action=action, began=began, ended=ended, asked=gateway, **fields, **told)
        self._recorder.write(operation)
        if operation.status is None or operation.status in (429, 503):
            self.turn()
            self.pause(self._pause_seconds)
        return operation


class Clients:
    """One client for each thread that asks for one."""

    def __init__(self, gateways: Mapping[str, str], recorder: Recorder, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._make = partial(Client, gateways=gateways, recorder=recorder, pause_seconds=pause_seconds)
        self._all: list[Client] = []
        self._mine = threading.local()
        self._lock = threading.Lock()

    def mine(self) -> Client:
        """The client of the calling thread."""
        if not hasattr(self._mine, "client"):
            with self._lock:
                self._mine.client = self._make(f"client{len(self._all)}")
                self._all.append(self._mine.client)
        client: Client = self._mine.client
        return client

    def close(self) -> None:
        """Close all clients."""
        for client in self._all:
            client.close()


def _told(action: Action, job: str, answer: httpx.Response) -> dict[str, Any]:
    """The fields of an operation that an answer tells."""
    body: Any = {}
    if answer.content:
        with suppress(ValueError):
            body = answer.json()
    told = {"status": answer.status_code, "has_retry_after": "retry-after" in answer.headers}
    if answer.is_success and "job_id" in body:
        return {**told, "seen": _seen(body)}
    if action == "result" and answer.status_code == 200:
        return {**told, "seen": Seen(job=job, state="completed", transcript=body.get("transcript"), worker=body.get("worker"))}
    return {**told, "code": str(body.get("code", ""))}


def _seen(body: Mapping[str, Any]) -> Seen:
    return Seen(
        job=body["job_id"],
        state=body["status"],
        attempt=body["attempt"],
        done=body["progress"]["audio_seconds_done"],
        seconds=body["progress"]["audio_seconds"],
        worker=body["worker"],
        started_at=body["started_at"],
        finished_at=body["finished_at"],
        transcript=(body.get("result") or {}).get("transcript"),
    )
