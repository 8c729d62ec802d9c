"""`Idempotency-Key`: by it a caller says that it sends the same request again, because the answer was lost."""

import hashlib

from starlette.requests import Request

from shared.errors import InvalidOption

LONGEST_KEY = 255


def idempotency_key(request: Request) -> str | None:
    """The SHA-256 of the key, in hexadecimal digits, so that Redis does not hold the caller's own text. None without a key.

    Raises `InvalidOption` if the key is empty or too long.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= LONGEST_KEY:
        raise InvalidOption(f"Idempotency-Key: must have 1 to {LONGEST_KEY} characters.")
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
