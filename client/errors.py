"""One exception with a stable code for everything that can go wrong between a caller and the fleet."""

from collections.abc import Mapping

import httpx


class ClientError(Exception):
    """`code` is the fleet's stable code, or one that the client itself sets.

    The client's own codes are `unreachable`, `wait_timeout`, `not_a_fleet`, `unreadable_file` (only in `client.batch`), and
    `http_<status>` for an error answer without a code. `status` is the HTTP status; None when there was no answer.
    `retry_after_seconds` is the pause that the fleet asked for; None when it asked for none. `retryable` says whether trying
    again can help, according to the answer; None when the answer does not say.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status
        self.retry_after_seconds, self.retryable = retry_after_seconds, retryable

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"

    @classmethod
    def from_response(cls, response: httpx.Response) -> "ClientError":
        """Read an RFC 9457 problem. Any other error answer, such as a proxy's page, still gives a usable error."""
        body = _mapping(response)
        code = str(body.get("code") or f"http_{response.status_code}")
        message = str(body.get("detail") or body.get("title") or f"The server answered {response.status_code}.")
        said = body.get("retryable")
        retryable = said if isinstance(said, bool) else None
        return cls(code, message, response.status_code, retry_after_seconds(response.headers), retryable)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The Retry-After header in seconds; None when it is absent or a date. The fleet never sends a date."""
    try:
        return max(0.0, float(headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _mapping(response: httpx.Response) -> Mapping[str, object]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
