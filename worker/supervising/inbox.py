"""Everything that happens to a supervisor, in order: it comes from threads and signals, and is handled in one loop."""

import threading
from queue import SimpleQueue

from worker.messages import CutPiece, FromModel
from worker.queue.bell import Rang
from worker.supervising.model_handle import ModelDied

#: Pieces of a long file (about 0.5 MB each) that have come and not been handled. A model process cuts faster than Redis stores.
MOST_PIECES = 8


class StopAsked:
    """A SIGTERM or SIGINT came in."""


Event = FromModel | ModelDied | Rang | StopAsked


class Inbox:
    """A queue that holds up only who brings pieces: four hours of them are never in memory at once."""

    def __init__(self) -> None:
        # Reentrant, unlike Queue: a signal handler may put while the loop it interrupts gets.
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._room_for_pieces = threading.Semaphore(MOST_PIECES)

    def put(self, event: Event) -> None:
        """From any thread; waits while there are too many pieces, and so lets the pipe fill."""
        if isinstance(event, CutPiece):
            self._room_for_pieces.acquire()
        self._events.put(event)

    def get(self, timeout_seconds: float) -> Event:
        """The next event; raises `queue.Empty` when none came in time."""
        event = self._events.get(timeout=timeout_seconds)
        if isinstance(event, CutPiece):
            self._room_for_pieces.release()
        return event
