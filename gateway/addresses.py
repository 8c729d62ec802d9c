"""Paths of this gateway as callers see them: behind a proxy, paths may begin with a prefix."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send


class Prefix:
    """ASGI middleware: makes every path begin with ROOT_PATH, whether or not a proxy has removed that prefix."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._root:
            path: str = scope["path"]
            whole = path if path.startswith(f"{self._root}/") else f"{self._root}{'/' if path == self._root else path}"
            scope = {**scope, "root_path": self._root, "path": whole}
        await self._app(scope, receive, send)


def path_within(scope: Scope) -> str:
    """The path of a request without the prefix."""
    root, path = scope.get("root_path", ""), str(scope["path"])
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def path_to(request: Request, path: str) -> str:
    """A path of this gateway for use in an answer, prefix included. It names no host, so that it is right behind any proxy."""
    return f"{request.scope.get('root_path', '')}{path}"
