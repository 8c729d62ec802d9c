"""Limits how much audio may be uploaded at a time. Uploads beyond the limit are refused (try again) before memory runs out."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.submitting.turns import Body, Turns
from shared.settings import GatewaySettings

MEGABYTE = 1_000_000
#: The budget is two and a half times the largest upload, but at least this many MB.
FEWEST_MB = 256
#: An upload up to this size, such as a clip, is never refused: it leaves memory soon.
SMALL_BYTES = MEGABYTE
_SHARE = "upload_share"


class Share:
    """One request's share of the budget, and its place among the bodies that come in."""

    def __init__(self, budget: "UploadBudget", turns: Turns | None = None) -> None:
        self._budget, self.size_bytes, self.is_refused = budget, 0, False
        self.body = Body(turns or Turns())

    def add(self, size_bytes: int) -> bool:
        """Note that more bytes have arrived. Returns False if there is no room for them: then the request must end."""
        return self._budget.take(self, size_bytes)

    def end(self) -> None:
        """Give the share back, since the request has been answered."""
        self._budget.give_back(self)


class UploadBudget:
    """Counts the bytes that all requests together are uploading.

    When there are too many, the upload that began last is refused. So of a hundred uploads that begin at once, the first ones get
    through. If all were treated alike, each in turn would be refused.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        #: Shares in the order in which their uploads began.
        self._shares: dict[Share, None] = {}

    def take(self, share: Share, size_bytes: int) -> bool:
        """Count more bytes, and return whether the request may go on.

        The answer is False, too, if the request was refused in favour of an earlier one since its last call.
        """
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
        """Release the bytes of a share: they have been stored or dropped."""
        self._bytes -= share.size_bytes
        share.size_bytes = 0
        self._shares.pop(share, None)


class Uploads:
    """ASGI middleware: gives each request a share of the budget until it is answered."""

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
    """The share of this request."""
    share = request.scope["state"][_SHARE]
    assert isinstance(share, Share)
    return share
