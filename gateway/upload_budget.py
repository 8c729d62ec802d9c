"""How much audio may be on its way in at a time: beyond it uploads are told to come again, before memory runs out."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.settings import GatewaySettings

MEGABYTE = 1_000_000
#: Two of the largest uploads, and at least so much.
FEWEST_MB = 256
_SHARE = "upload_share"


class UploadBudget:
    """Bytes under way, of all requests together."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0

    def take(self, size_bytes: int) -> bool:
        """Whether there was room for them."""
        if self._bytes + size_bytes > self._most_bytes:
            return False
        self._bytes += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """They are stored or dropped."""
        self._bytes -= size_bytes


class Share:
    """What one request has of the budget."""

    def __init__(self, budget: UploadBudget) -> None:
        self._budget, self._bytes = budget, 0

    def add(self, size_bytes: int) -> bool:
        """More has come in. False if there is no room for it: then the request has to end."""
        is_room = self._budget.take(size_bytes)
        self._bytes += size_bytes if is_room else 0
        return is_room

    def end(self) -> None:
        """The request is answered."""
        self._budget.give_back(self._bytes)
        self._bytes = 0


class Uploads:
    """ASGI middleware: each request has a share of the budget until it is answered."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._budget = UploadBudget(int(max(FEWEST_MB, 2.5 * settings.max_file_size_mb) * MEGABYTE))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        share = scope.setdefault("state", {})[_SHARE] = Share(self._budget)
        try:
            await self._app(scope, receive, send)
        finally:
            share.end()


def share_of(request: Request) -> Share:
    """The request's."""
    share = request.scope["state"][_SHARE]
    assert isinstance(share, Share)
    return share
