"""`Idempotency-Key`: how a caller says that a request is the same one again, because its answer was lost."""

import hashlib

from starlette.requests import Request

from shared.errors import InvalidOption

LONGEST_KEY = 255


def idempotency_key(request: Request) -> str | None:
    """The SHA-256 of the key, in hexadecimal digits: Redis need not hold a caller's own words. None if there is no key.

    Raises `InvalidOption`.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= LONGEST_KEY:
        raise InvalidOption(f"Idempotency-Key: must have 1 to {LONGEST_KEY} characters.")
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
