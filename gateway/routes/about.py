"""The routes about the service itself: name and links, health, readiness, statistics, and the caller's cache."""

from importlib.metadata import PackageNotFoundError, version

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access import tenant_of
from gateway.addresses import path_to
from gateway.problems import NotReady
from gateway.services import services_of


def service_version() -> str:
    """The installed version, or "0+checkout" for a checkout that was never installed."""
    try:
        return version("whisper-fleet")
    except PackageNotFoundError:
        return "0+checkout"


async def card(request: Request) -> Response:
    """The service's name, version and links."""
    paths = ("/v1/jobs", "/transcribe", "/stats", "/metrics", "/health", "/ready")
    links = {path.rsplit("/", 1)[1]: path_to(request, path) for path in paths}
    return JSONResponse({"name": "whisper-fleet", "version": service_version(), "links": links})


async def health(_: Request) -> Response:
    """200 while the gateway is up. Does not ask Redis, so that an outage of Redis does not get gateways restarted."""
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> Response:
    """200 if a job submitted now would be worked on: Redis answers, and a worker with a loaded model is alive. Else 503."""
    if not await services_of(request).fleet.is_ready():
        raise NotReady("No worker with a loaded model is there; jobs can be submitted, and wait until one arrives.")
    return JSONResponse({"status": "ready"})


async def stats(request: Request) -> Response:
    """The numbers of queues and workers, the totals and the rates."""
    return JSONResponse(await services_of(request).fleet.stats())


async def clear_cache(request: Request) -> Response:
    """Forget the caller's cached transcripts."""
    return JSONResponse({"cleared": await services_of(request).store.clear_cache(tenant_of(request))})


ROUTES = [
    Route("/", card, methods=["GET"]),
    Route("/health", health, methods=["GET"]),
    Route("/ready", ready, methods=["GET"]),
    Route("/stats", stats, methods=["GET"]),
    Route("/cache", clear_cache, methods=["DELETE"]),
]
