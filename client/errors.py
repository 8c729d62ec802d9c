"""What can go wrong between a caller and the fleet, as one exception with a stable code."""

from collections.abc import Mapping

import httpx


class ClientError(Exception):
    """`code` is the fleet's stable code, or `unreachable`, `wait_timeout` or `not_a_fleet`, which the client itself finds.

    `status` is the HTTP status, None when there was no answer. `retry_after_seconds` is what the fleet asked for.
    `retryable` is what the answer says about trying again, None when it says nothing.
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
        """Read an RFC 9457 problem; an answer that is none (a proxy's page) still gives a usable error."""
        body = _mapping(response)
        code = str(body.get("code") or f"http_{response.status_code}")
        message = str(body.get("detail") or body.get("title") or f"The server answered {response.status_code}.")
        said = body.get("retryable")
        retryable = said if isinstance(said, bool) else None
        return cls(code, message, response.status_code, retry_after_seconds(response.headers), retryable)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds; None when absent or a date, which the fleet never sends."""
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
