"""The output of `make up`: the lines of all services, each with the service's name in front, or as JSON for a log store."""

import json
import os
import select
import sys
import threading

#: ANSI colour codes for the services' names on a terminal.
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)


class Output:
    """Prints lines. Safe for use from several threads. When the reader is gone, `is_closed` is true and lines are dropped."""

    def __init__(self, as_json: bool) -> None:
        self._as_json, self._lock = as_json, threading.Lock()
        self._colours: dict[str, int] = {}
        self._is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.is_closed = False

    def line(self, service: str, text: str) -> None:
        """Print a line of a service's log. For JSON output, a line that is already JSON stays as it is."""
        self._print(self._in_json(service, text) if self._as_json else f"{self._label(service)} | {text}", sys.stdout.fileno())

    def say(self, text: str) -> None:
        """Print a message of the local stack itself, for people. When the log is JSON, the message goes to stderr."""
        self._print(text, sys.stderr.fileno() if self._as_json else sys.stdout.fileno())

    def notice_end(self) -> None:
        """Set `is_closed` if stdout has no reader any more, as when the other end of a pipe is gone."""
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        self.is_closed = self.is_closed or bool(poll.poll(0))

    def _print(self, text: str, descriptor: int) -> None:
        content = memoryview(text.encode(errors="replace") + b"\n")
        with self._lock:
            try:
                while content and not self.is_closed:
                    content = content[os.write(descriptor, content) :]
            except OSError:
                self.is_closed = True

    def _label(self, service: str) -> str:
        name = f"{service:<10}"
        colour = self._colours.setdefault(service, _COLOURS[len(self._colours) % len(_COLOURS)])
        return f"\033[{colour}m{name}\033[0m" if self._is_coloured else name

    @staticmethod
    def _in_json(service: str, text: str) -> str:
        return text if text.startswith("{") and text.endswith("}") else json.dumps({"service": service, "event": text})
