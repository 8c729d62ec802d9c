"""The short forms: transcribe in one call, or submit and poll with minimal answers."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access import tenant_of
from gateway.edge import note_job
from gateway.fleet.store import Snapshot
from gateway.following.results import canonical, result_response
from gateway.following.views import job_body, urls, waiting_headers
from gateway.idempotency import idempotency_key
from gateway.services import services_of
from gateway.submitting.bodies import read_upload
from gateway.submitting.fields import choice, wait_seconds
from gateway.submitting.submission import Prepared
from shared.errors import InvalidOption
from shared.transcripts.formats import ResultFormat

_FORMAT_FIELDS = frozenset({"format", "response_format"})


async def transcribe(request: Request) -> Response:
    """Submit audio, wait, and answer the transcript in the wanted format. After `max_sync_seconds`: 202 and the job.

    If the caller hangs up, the job goes on.
    """
    services, tenant = services_of(request), tenant_of(request)
    _wanted_format(dict(request.query_params))
    prepared = await services.submitter.prepare(
        request, await read_upload(request, services.settings, _FORMAT_FIELDS), _FORMAT_FIELDS
    )
    result_format = _wanted_format(prepared.extras)
    submit = services.submitter.submit(prepared, tenant, idempotency_key(request))
    longest = services.settings.max_sync_seconds
    snapshot = await services.long_poll.submitted(request, prepared.job_id, submit, longest)
    if snapshot.job.state.is_terminal:
        # With a key the same request again is the same job.
        is_new_job_next = "idempotency-key" not in request.headers
        response = result_response(snapshot, result_format, is_new_job_next=is_new_job_next)
        response.headers["X-Job-Id"] = snapshot.job.id
        return response
    body = await job_body(services.fleet, request, snapshot)
    return JSONResponse(body, 202, {"Location": body["urls"]["self"], **waiting_headers(body)})


def _wanted_format(fields: dict[str, str]) -> ResultFormat:
    """The format from the field `format`, else from OpenAI's name for it, `response_format`, else JSON."""
    name = "format" if fields.get("format") else "response_format"
    return choice(ResultFormat, name, fields.get(name) or ResultFormat.JSON.value)


async def submit(request: Request) -> Response:
    """Submit a job and answer `{"job_id", "status"}`: 202, or 200 if the job has already ended."""
    services, tenant = services_of(request), tenant_of(request)
    prepared: Prepared = await services.submitter.prepare(request, await read_upload(request, services.settings))
    job = (await services.submitter.submit(prepared, tenant, idempotency_key(request))).job
    note_job(job.id)
    body = {"job_id": job.id, "status": job.state.value}
    headers = {"Location": urls(request, job.id)["self"], **waiting_headers(body)}
    return JSONResponse(body, 200 if job.state.is_terminal else 202, headers)


async def poll(request: Request) -> Response:
    """Answer `{"status", "result"}`, and `error` when the job failed. Takes `wait`."""
    services = services_of(request)
    job_id = request.query_params.get("job_id")
    if not job_id:
        raise InvalidOption("job_id: must name the job, as in /transcribe-async?job_id=...")
    wait = wait_seconds(request, services.settings.max_wait_seconds)
    body = _short(await services.long_poll.until_ended(request, job_id, tenant_of(request), wait))
    return JSONResponse(body, headers=waiting_headers(body))


def _short(snapshot: Snapshot) -> dict[str, object]:
    job, transcript = snapshot.job, snapshot.transcript
    body: dict[str, object] = {"status": job.state.value, "result": canonical(job, transcript) if transcript else None}
    if job.error:
        return body | {"error": job.error.model_dump()}
    return body


ROUTES = [
    Route("/transcribe", transcribe, methods=["POST"]),
    Route("/transcribe-async", submit, methods=["POST"]),
    Route("/transcribe-async", poll, methods=["GET"]),
]
