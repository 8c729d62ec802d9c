"""How much audio may be on its way in at a time: beyond it uploads are told to come again, before memory runs out."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.turns import Body, Turns
from shared.settings import GatewaySettings

MEGABYTE = 1_000_000
#: The budget is two and a half times the largest upload, but at least this.
FEWEST_MB = 256
#: A clip is never refused: it is here and gone.
SMALL_BYTES = MEGABYTE
_SHARE = "upload_share"


class Share:
    """What one request has of the budget, and its place among the bodies that come in."""

    def __init__(self, budget: "UploadBudget", turns: Turns | None = None) -> None:
        self._budget, self.size_bytes, self.is_refused = budget, 0, False
        self.body = Body(turns or Turns())

    def add(self, size_bytes: int) -> bool:
        """More has come in. False if there is no room for it: then the request has to end."""
        return self._budget.take(self, size_bytes)

    def end(self) -> None:
        """The request is answered."""
        self._budget.give_back(self)


class UploadBudget:
    """Bytes under way, of all requests together.

    Where there are too many, the upload that has begun last has to go: of a hundred that begin at once the first ones are taken,
    while each in turn would be refused if all were treated alike.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        #: In the order in which they have begun.
        self._shares: dict[Share, None] = {}

    def take(self, share: Share, size_bytes: int) -> bool:
        """Whether a request may go on. It may have been refused for the sake of an earlier one since it last asked."""
        if share.is_refused:
            return False
        self._shares.setdefault(share)
        share.size_bytes += size_bytes
        self._bytes += size_bytes
        while self._bytes > self._most_bytes and share.size_bytes > SMALL_BYTES:
            last = next(one for one in reversed(self._shares) if one.size_bytes > SMALL_BYTES)
            last.is_refused = True
            self.give_back(last)
            if last is share:
                return False
        return True

    def give_back(self, share: Share) -> None:
        """Its bytes are stored or dropped."""
        self._bytes -= share.size_bytes
        share.size_bytes = 0
        self._shares.pop(share, None)


class Uploads:
    """ASGI middleware: each request has a share of the budget until it is answered."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._budget = UploadBudget(int(max(FEWEST_MB, 2.5 * settings.max_file_size_mb) * MEGABYTE))
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        share = scope.setdefault("state", {})[_SHARE] = Share(self._budget, self._turns)
        try:
            await self._app(scope, receive, send)
        finally:
            share.end()


def share_of(request: Request) -> Share:
    """The request's."""
    share = request.scope["state"][_SHARE]
    assert isinstance(share, Share)
    return share
