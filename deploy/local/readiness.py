"""Tells the user of `make up` when the fleet is ready, and what is missing until then."""

import time
from collections.abc import Callable

import httpx

LOOK_SECONDS, PATIENCE_SECONDS = 0.5, 15.0


class Readiness:
    """Asks the gateway every half second. Says once that the fleet is ready; until then says every 15 s why it is not."""

    def __init__(self, url: str, say: Callable[[str], None], banner: str) -> None:
        self._url, self._say, self._banner = url, say, banner
        self._is_told = False
        self._look_at, self._complain_at = 0.0, time.monotonic() + PATIENCE_SECONDS

    def look(self) -> None:
        """Ask the gateway if it is time to. Call this often."""
        now = time.monotonic()
        if self._is_told or now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        missing = self._missing()
        if missing is None:
            self._is_told = True
            self._say(self._banner)
        elif now > self._complain_at:
            self._complain_at = now + PATIENCE_SECONDS
            self._say(f"Not ready yet: {missing}")

    def _missing(self) -> str | None:
        try:
            answer = httpx.get(f"{self._url}/ready", timeout=2)
            return None if answer.status_code == 200 else str(answer.json()["detail"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            return f"the gateway does not answer at {self._url} ({type(error).__name__})"
