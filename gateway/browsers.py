"""Keeps web pages of other sites from using this gateway through the browser of a person who can reach it."""

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.problems import HostNotAllowed, OriginNotAllowed, problem
from shared.errors import FleetError
from shared.settings import LOOPBACK, GatewaySettings

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Browsers:
    """ASGI middleware: refuses requests for foreign host names. If no key is set, also refuses all changes by other sites' pages.

    The check of the host name stops DNS rebinding: there, a site makes its own name point to this gateway, so that the browser
    lets the site's page read the answers.
    """

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._hosts = answered_hosts(settings)
        self._is_keyless, self._origins = settings.api_key is None, frozenset(settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (self._app if refusal is None else problem(refusal))(scope, receive, send)

    def _refusal(self, scope: Scope) -> FleetError | None:
        headers = Headers(scope=scope)
        if self._hosts is not None and not self._hosts.issuperset(map(host_name, headers.getlist("host"))):
            return HostNotAllowed(
                "This gateway does not answer to the name in the Host header: add it to ALLOWED_HOSTS if it is one of its own."
            )
        if self._is_keyless and scope["method"] not in _READS and not self._may_change(scope, headers):
            return OriginNotAllowed(
                "Pages of other sites may not change anything here, where no API_KEY is set: "
                "add the page's origin to CORS_ORIGINS if it may."
            )
        return None

    def _may_change(self, scope: Scope, headers: Headers) -> bool:
        """Whether the request's origin may change anything here.

        Browsers name an origin at every POST and DELETE, which may be `null`; other clients name none.
        """
        own = f"{scope['scheme']}://{headers.get('host', '')}".lower()
        origins = headers.getlist("origin")
        return "*" in self._origins or all(origin in self._origins or origin.lower() == own for origin in origins)


def answered_hosts(settings: GatewaySettings) -> frozenset[str] | None:
    """The host names that this gateway answers to; None for all.

    Loopback names are always among them, since health checks on the gateway's own machine use them.
    """
    if "*" in settings.allowed_hosts:
        return None
    if not settings.allowed_hosts and (settings.api_key is not None or settings.allow_anonymous):
        return None
    own: Iterable[str] = (*LOOPBACK, settings.api_host, settings.api_published_host or "")
    return frozenset(host_name(name) for name in (*own, *settings.allowed_hosts) if name)


def host_name(host: str) -> str:
    """A host such as `Localhost:8000`, `[::1]:8000` or `::1`, without port and in lower case, so that names can be compared."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name = host if host.count(":") > 1 else host.partition(":")[0]
    return name.removesuffix(".")
