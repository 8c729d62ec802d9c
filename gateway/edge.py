"""The outermost layers around every request: its id, its log line, and a clean answer to an unexpected error."""

import re
import time
import uuid

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.addresses import path_within
from gateway.problems import problem
from shared.errors import FleetError
from shared.logs import get_logger

_LOG = get_logger(__name__)
_OF_JOB = re.compile(r"/v1/jobs/([0-9a-f-]{32,36})(?:/.*)?")
_ACCEPTABLE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """ASGI middleware: puts an `X-Request-Id` into every answer and log line. It is the caller's own id if that is harmless."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started, status = _request_id(scope), time.perf_counter(), 0

        async def labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id, **_job_in_path(scope)):
            await self._app(scope, receive, labelled)
            _log_request(scope, status, time.perf_counter() - started)


def _request_id(scope: Scope) -> str:
    given: bytes = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if _ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex


def note_job(job_id: str) -> None:
    """Add the job's id to all later log lines of this request, including its closing line."""
    structlog.contextvars.bind_contextvars(job_id=job_id)


def _job_in_path(scope: Scope) -> dict[str, str]:
    of_job = _OF_JOB.fullmatch(path_within(scope))
    return {"job_id": of_job[1]} if of_job else {}


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    """Log a request without its query, which may hold a prompt. Successful reads are frequent, so they go to the debug level."""
    write = _LOG.debug if scope["method"] in ("GET", "HEAD") and status < 400 else _LOG.info
    path = path_within(scope)[:200]
    write("request", method=scope["method"], path=path, status=status, milliseconds=round(seconds * 1000, 1))


class Shield:
    """ASGI middleware: turns an unexpected error into a plain 500. The log gets the error's class and place, never its text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            _LOG.debug("client_hung_up")
        except Exception as error:
            if scope["type"] != "http":
                raise
            _LOG.error("internal_error", kind=type(error).__name__, place=_place(error))
            if not started:
                await problem(FleetError("Something went wrong in the gateway; the request id helps to find it in the log."))(
                    scope, receive, send
                )


def _place(error: BaseException) -> list[str]:
    """The innermost six frames of an error as `file:line`, without values."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return frames[-6:]
