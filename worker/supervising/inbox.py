"""The supervisor's events in order. Threads and signal handlers put them in; the supervisor's loop takes them out."""

import threading
from queue import SimpleQueue

from worker.messages import CutPiece, FromModel
from worker.queue.bell import Rang
from worker.queue.withdrawals import Withdrawn
from worker.supervising.model_handle import ModelDied

#: Most pieces of long files (about 0.5 MB each) in the inbox. A model process cuts pieces faster than Redis stores them.
MOST_PIECES = 8


class StopAsked:
    """The supervisor received SIGTERM or SIGINT."""


Event = FromModel | ModelDied | Rang | Withdrawn | StopAsked


class Inbox:
    """A queue in which only pieces wait for room: the pieces of a four-hour file are never all in memory."""

    def __init__(self) -> None:
        # Unlike Queue, SimpleQueue is reentrant: a signal handler may put an event while the loop that it interrupts gets one.
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._room_for_pieces = threading.Semaphore(MOST_PIECES)

    def put(self, event: Event) -> None:
        """Add an event, from any thread. A piece waits while there are `MOST_PIECES`; meanwhile the model's pipe fills up."""
        if isinstance(event, CutPiece):
            self._room_for_pieces.acquire()
        self._events.put(event)

    def get(self, timeout_seconds: float) -> Event:
        """The next event. Raises `queue.Empty` when none came in time."""
        event = self._events.get(timeout=timeout_seconds)
        if isinstance(event, CutPiece):
            self._room_for_pieces.release()
        return event
