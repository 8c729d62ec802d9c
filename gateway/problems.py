"""The only place where errors become HTTP: a status, headers, and a problem+json body (RFC 9457) with a stable `code`."""

from collections.abc import Mapping
from http import HTTPStatus

from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import Scope

from shared.errors import (
    AccessDenied,
    FleetError,
    ImpossibleRequest,
    JobFailed,
    JobGone,
    JobNotFinished,
    JobNotRetryable,
    MalformedRequest,
    MethodNotAllowed,
    NoSuchPage,
    NotAudio,
    QueueFull,
    ReadersUnavailable,
    RequestTooLarge,
    StoreUnavailable,
    UnknownJob,
)
from shared.redis_server.trouble import Trouble, trouble_of


class UploadStalled(MalformedRequest):
    """The client stopped sending in the middle of the body, or sent it too slowly."""

    code = "upload_stalled"
    retryable = True


class HeadersTooLarge(MalformedRequest):
    """The request line and headers are larger than the limit."""

    code = "headers_too_large"


class RequestTooSlow(MalformedRequest):
    """The headers of a request were not complete in time."""

    code = "request_too_slow"
    retryable = True


class TooManyUploads(FleetError):
    """More audio is being uploaded than the gateway can hold at a time."""

    code = "too_many_uploads"
    retryable = True


class HostNotAllowed(FleetError):
    """The request's Host header names a host that is not one of this gateway's."""

    code = "host_not_allowed"


class OriginNotAllowed(FleetError):
    """A page of another site wants to change something."""

    code = "origin_not_allowed"


class JobCanceled(FleetError):
    """The caller asked for a result, but the job was cancelled before it had one."""

    code = "job_canceled"


class JobExpired(FleetError):
    """The caller asked for a result, but the job's deadline passed before there was one."""

    code = "job_expired"


class NotReady(FleetError):
    """The gateway is up, but no worker could take a job."""

    code = "not_ready"
    retryable = True


#: The HTTP status of each error class. A class that is not in the table has the status of its nearest ancestor in the table.
STATUSES: Mapping[type[FleetError], HTTPStatus] = {
    FleetError: HTTPStatus.INTERNAL_SERVER_ERROR,
    MalformedRequest: HTTPStatus.BAD_REQUEST,
    UploadStalled: HTTPStatus.REQUEST_TIMEOUT,
    RequestTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    HeadersTooLarge: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    AccessDenied: HTTPStatus.UNAUTHORIZED,
    OriginNotAllowed: HTTPStatus.FORBIDDEN,
    HostNotAllowed: HTTPStatus.MISDIRECTED_REQUEST,
    UnknownJob: HTTPStatus.NOT_FOUND,
    NoSuchPage: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    JobNotFinished: HTTPStatus.CONFLICT,
    JobNotRetryable: HTTPStatus.CONFLICT,
    JobCanceled: HTTPStatus.CONFLICT,
    JobGone: HTTPStatus.GONE,
    JobExpired: HTTPStatus.GONE,
    RequestTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    NotAudio: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ImpossibleRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    ReadersUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    TooManyUploads: HTTPStatus.SERVICE_UNAVAILABLE,
}

#: Codes of failed jobs that are the workers' fault: a request for the result is answered 502. With other codes the audio is at
#: fault, and the answer is 422.
LOST_TO_WORKERS = frozenset({"poison_job", "no_progress", "audio_lost", "pieces_lost", "transcription_failed"})

_RETRY_AFTER_SECONDS: Mapping[type[FleetError], int] = {
    StoreUnavailable: 2,
    NotReady: 5,
    ReadersUnavailable: 2,
    TooManyUploads: 5,
    JobNotFinished: 1,
}


def status_of(error: FleetError) -> HTTPStatus:
    """The HTTP status of an error."""
    if isinstance(error, JobFailed):
        return HTTPStatus.BAD_GATEWAY if error.job_code in LOST_TO_WORKERS else HTTPStatus.UNPROCESSABLE_ENTITY
    return next(STATUSES[ancestor] for ancestor in type(error).__mro__ if ancestor in STATUSES)


def problem(error: FleetError, headers: Mapping[str, str] | None = None) -> Response:
    """The response that tells a caller about an error. For a failed job, `code` and `retryable` are the job's own."""
    status = status_of(error)
    failed = error if isinstance(error, JobFailed) else None
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": error.message,
        "code": failed.job_code if failed else error.code,
        "retryable": failed.job_retryable if failed else error.retryable,
    }
    return JSONResponse(body, status.value, _headers(error) | dict(headers or {}), media_type="application/problem+json")


#: After these errors the client may still be sending a body that the gateway no longer reads, so the connection is closed.
_BREAKS_OFF = (UploadStalled, TooManyUploads, RequestTooLarge)


def _headers(error: FleetError) -> dict[str, str]:
    if isinstance(error, AccessDenied):
        return {"WWW-Authenticate": 'Bearer realm="whisper-fleet"'}
    seconds = error.retry_after_seconds if isinstance(error, QueueFull) else _RETRY_AFTER_SECONDS.get(type(error))
    close = {"Connection": "close"} if isinstance(error, _BREAKS_OFF) else {}
    return close | ({"Retry-After": str(seconds)} if seconds else {})


def from_redis(error: RedisError) -> FleetError | None:
    """`StoreUnavailable` when Redis is away or cannot serve for now; None when the error is this project's own mistake."""
    if trouble_of(error) is not Trouble.OURS:
        return StoreUnavailable(
            "The queue cannot be reached right now; try again shortly. With an Idempotency-Key a repeated submit stays one job."
        )
    return None


async def on_fleet_error(_: Request, error: Exception) -> Response:
    """Starlette's exception handler for errors of the fleet."""
    assert isinstance(error, FleetError)
    return problem(error)


async def on_redis_error(_: Request, error: Exception) -> Response:
    """Starlette's exception handler for errors of Redis. An error that is this project's own mistake is raised again: a 500."""
    assert isinstance(error, RedisError)
    known = from_redis(error)
    if known is None:
        raise error
    return problem(known)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for its own errors: unknown pages, and methods that an address does not take."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_allowed_methods(request))
        refusal = f"This address does not take {request.method[:20]}; it takes {allowed}. {preflight_hint(request.scope)}"
        return problem(MethodNotAllowed(refusal.rstrip()), {"Allow": allowed})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem(NoSuchPage("There is no such page; GET / lists the entry points."))
    return problem(MalformedRequest("The request cannot be understood."))


def preflight_hint(scope: Scope) -> str:
    """A hint to set CORS_ORIGINS, if the request is a browser's preflight; else empty.

    With CORS_ORIGINS set, the CORS middleware answers preflights, so that none gets this far.
    """
    names = {name for name, _ in scope["headers"]}
    is_preflight = scope["method"] == "OPTIONS" and {b"origin", b"access-control-request-method"} <= names
    return "To let web pages call from a browser, set CORS_ORIGINS to their origins." if is_preflight else ""


def _allowed_methods(request: Request) -> list[str]:
    """The methods of all routes that match this path."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in routes for method in route.methods or ()})
