"""The routes under /v1/jobs."""

import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access import tenant_of
from gateway.fleet.store import CURSOR
from gateway.following.results import result_response
from gateway.following.views import job_body, summary, tagged, waiting_headers
from gateway.idempotency import idempotency_key
from gateway.services import services_of
from gateway.submitting.bodies import read_upload
from gateway.submitting.fields import choice, wait_seconds, whole_number
from shared.errors import InvalidOption
from shared.jobs.job import JobState
from shared.transcripts.formats import ResultFormat

DEFAULT_PAGE, LARGEST_PAGE = 20, 100


async def submit(request: Request) -> Response:
    """Submit a job. 202 and the record; 200 if the job has already ended (from the cache, or within `wait`)."""
    services, tenant = services_of(request), tenant_of(request)
    wait = wait_seconds(request, services.settings.max_wait_seconds)
    prepared = await services.submitter.prepare(request, await read_upload(request, services.settings))
    submit = services.submitter.submit(prepared, tenant, idempotency_key(request))
    snapshot = await services.long_poll.submitted(request, prepared.job_id, submit, wait)
    body = await job_body(services.fleet, request, snapshot)
    headers = {"Location": body["urls"]["self"], **waiting_headers(body)}
    return JSONResponse(body, 200 if snapshot.job.state.is_terminal else 202, headers)


async def show(request: Request) -> Response:
    """The job's record. With `wait`, the answer comes when the job has ended, or when the time is over."""
    services = services_of(request)
    wait = wait_seconds(request, services.settings.max_wait_seconds)
    snapshot = await services.long_poll.until_ended(request, request.path_params["job_id"], tenant_of(request), wait)
    return tagged(request, await job_body(services.fleet, request, snapshot))


async def result(request: Request) -> Response:
    """The transcript in one of its formats. With `wait`, the answer comes when the job has ended, or when the time is over."""
    services = services_of(request)
    result_format = choice(ResultFormat, "format", request.query_params.get("format") or ResultFormat.JSON.value)
    wait = wait_seconds(request, services.settings.max_wait_seconds)
    snapshot = await services.long_poll.until_ended(request, request.path_params["job_id"], tenant_of(request), wait)
    return result_response(snapshot, result_format)


async def delete(request: Request) -> Response:
    """Erase a finished job (204), or cancel an unfinished one (200 and the record)."""
    services, tenant, job_id = services_of(request), tenant_of(request), request.path_params["job_id"]
    if await services.store.cancel(job_id, tenant, idempotency_key(request)) == "erased":
        return Response(status_code=204)
    return JSONResponse(await job_body(services.fleet, request, await services.store.read(job_id, tenant)))


async def retry(request: Request) -> Response:
    """Queue a failed or expired job again, under its id. 202 and the record."""
    services, tenant, job_id = services_of(request), tenant_of(request), request.path_params["job_id"]
    await services.store.retry(job_id, tenant, idempotency_key(request))
    body = await job_body(services.fleet, request, await services.store.read(job_id, tenant))
    return JSONResponse(body, 202, {"Location": body["urls"]["self"], **waiting_headers(body)})


async def listing(request: Request) -> Response:
    """A page of the caller's jobs, newest first."""
    query = request.query_params
    limit = whole_number("limit", query.get("limit") or str(DEFAULT_PAGE), 1, LARGEST_PAGE)
    state = choice(JobState, "status", query["status"]) if query.get("status") else None
    cursor = _cursor(query.get("cursor") or "")
    jobs, following = await services_of(request).store.page(tenant_of(request), limit=limit, cursor=cursor, state=state)
    return JSONResponse({"jobs": [summary(request, job) for job in jobs], "next_cursor": following})


def _cursor(written: str) -> tuple[int, str] | None:
    if not written:
        return None
    parts = CURSOR.fullmatch(written)
    if parts is None:
        raise InvalidOption("cursor: must be the next_cursor of an earlier page, unchanged.")
    return int(parts[1]), parts[2]


def _any_id(endpoint: Callable[[Request], Awaitable[Response]], method: str) -> Route:
    """A route that takes all text after /v1/jobs/ as a job id, even with slashes or line breaks in it."""
    route = Route("/v1/jobs/{job_id:path}", endpoint, methods=[method])
    route.path_regex = re.compile(r"^/v1/jobs/(?P<job_id>[\s\S]*)\Z")
    return route


ROUTES = [
    Route("/v1/jobs", submit, methods=["POST"]),
    Route("/v1/jobs", listing, methods=["GET"]),
    Route("/v1/jobs/{job_id}/result", result, methods=["GET"]),
    Route("/v1/jobs/{job_id}/retry", retry, methods=["POST"]),
    _any_id(show, "GET"),
    _any_id(delete, "DELETE"),
]
