"""Decides which requests may pass: those with the fleet's one key, compared in constant time, and those to open pages."""

import hmac
from collections.abc import Iterator

from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.addresses import path_within
from gateway.problems import preflight_hint, problem
from shared.errors import AccessDenied

OPEN_PATHS = frozenset({"/", "/health", "/ready"})
_SCHEMES = frozenset({b"bearer", b"token"})


class Access:
    """ASGI middleware: refuses requests without the key with `AccessDenied`. Passes all requests when no key is set."""

    def __init__(self, app: ASGIApp, api_key: SecretStr | None) -> None:
        self._app = app
        self._key = api_key.get_secret_value().encode() if api_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._key is None or path_within(scope) in OPEN_PATHS or self._knows(scope):
            await self._app(scope, receive, send)
            return
        needed = f"A valid key is needed: send it as X-API-Key, or as Authorization: Bearer. {preflight_hint(scope)}"
        denied = AccessDenied(needed.rstrip())
        await problem(denied)(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        assert self._key is not None
        return any(hmac.compare_digest(presented, self._key) for presented in presented_keys(scope))


def presented_keys(scope: Scope) -> Iterator[bytes]:
    """Every key in a request's headers: `X-API-Key: K`, or `Authorization:` with `Bearer K`, `Token K` or bare `K`."""
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            yield value.strip()
        elif name == b"authorization":
            scheme, _, rest = value.strip().partition(b" ")
            yield rest.strip() if rest and scheme.lower() in _SCHEMES else value.strip()


def tenant_of(_: Request) -> str:
    """The tenant whose jobs and cache a request sees. There is one key, so there is one tenant."""
    return "default"
