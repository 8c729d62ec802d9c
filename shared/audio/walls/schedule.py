"""Chooses the file that is read next: quick files never wait behind slow ones, whatever a caller sends.

How long a file takes is not known beforehand. So each file begins in the first lane, for a moment, and continues in a slower one.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from shared.audio.walls.messages import Order, Told
from shared.audio.walls.shared_memory import SharedBuffer, SharedFile
from shared.errors import FleetError

#: How long a file may take in each lane but the last, in seconds of processor time. A probe of a clip of some seconds takes 2 ms,
#: of a quarter of an hour 0.1 s, of files that are made to take time mostly 50 ms. Beside 50 callers who send such files (`make
#: audio`), clips wait half as long as with 25 ms in the first lane. Decodes take longer, and restarting one costs a reader.
PROBE_LANES_SECONDS, DECODE_LANES_SECONDS = (0.006, 0.25), (0.25,)
#: How many readers the last lane has.
SLOW_READERS = 2
#: An order that no reader has begun by then was lost with a reader that died idle.
BEGIN_SECONDS = 2.0
#: A second of waiting counts as much as being this many bytes smaller.
SMALLER_BYTES_PER_SECOND = 1_000_000
#: How many files may wait for a reader.
MOST_WAITING = 256


@dataclass(eq=False)
class Errand:
    """An order and its state. `result` is set once the order is answered or failed. Times are monotonic seconds."""

    order: Order
    file: SharedFile
    #: For a decode: the buffer for its sound.
    buffer: SharedBuffer | None = None
    result: "Future[Told]" = field(default_factory=Future)
    pid: int | None = None
    added_at: float = field(default_factory=time.monotonic)
    sent_at: float = 0.0
    #: The processor time that its reader had used when the errand began.
    began_cpu_seconds: float = 0.0
    tries: int = 0
    lane: int = 0
    #: The errand is in the last lane, where it may take all the time of its limits.
    is_slow: bool = False
    #: Its result is not wanted any more. While it is under way it keeps its reader.
    is_abandoned: bool = False

    def descriptors(self) -> list[int]:
        """The file descriptors that are sent with the order."""
        return [self.file.descriptor, *([self.buffer.descriptor] if self.buffer else [])]

    def conclude(self, outcome: Told | FleetError) -> None:
        """Set the result and close the file. The caller may have cancelled its wait by now."""
        self.file.close()
        with suppress(InvalidStateError):
            if isinstance(outcome, FleetError):
                self.result.set_exception(outcome)
            else:
                self.result.set_result(outcome)


class Schedule:
    """Errands that wait and errands under way, in lanes. Not thread-safe by itself."""

    def __init__(self, lanes_seconds: Sequence[float], quick: int, slow: int = SLOW_READERS) -> None:
        """In each lane but the last, `quick` errands may be under way for the lane's seconds; in the last one, `slow` errands."""
        self._lanes_seconds = lanes_seconds
        self._rooms = [quick] * len(lanes_seconds) + [slow]
        self._waiting: list[list[Errand]] = [[] for _ in self._rooms]
        self.under_way: dict[int, Errand] = {}

    @property
    def readers(self) -> int:
        """How many readers the schedule can keep busy."""
        return sum(self._rooms)

    @property
    def is_full(self) -> bool:
        """Whether no more errands are to be added."""
        return sum(map(len, self._waiting)) >= MOST_WAITING

    @property
    def has_to_look_soon(self) -> bool:
        """Whether an errand is under way that may have to leave its lane."""
        return any(not errand.is_slow for errand in self.under_way.values())

    def add(self, errand: Errand) -> None:
        """Let an errand wait in its lane."""
        errand.pid = None
        self._waiting[errand.lane].append(errand)

    def begin_next(self) -> Errand | None:
        """Start the next errand and return it; None while no waiting errand has a free reader in its lane."""
        for lane, waiting in enumerate(self._waiting):
            if waiting and self._has_room(lane):
                errand = min(waiting, key=_turn)
                waiting.remove(errand)
                errand.tries += 1
                errand.sent_at = time.monotonic()
                self.under_way[errand.order.number] = errand
                return errand
        return None

    def _has_room(self, lane: int) -> bool:
        return sum(errand.lane == lane for errand in self.under_way.values()) < self._rooms[lane]

    def drop(self, errand: Errand) -> bool:
        """Remove an errand from those waiting and under way. False if it was in neither."""
        for waiting in self._waiting:
            if errand in waiting:
                waiting.remove(errand)
                return True
        return self.under_way.pop(errand.order.number, None) is not None

    def abandon(self, errand: Errand) -> bool:
        """Give an errand up. True if its reader is to be ended, because the errand is under way in the last lane."""
        is_under_way = self.under_way.get(errand.order.number) is errand
        if not is_under_way:
            self.drop(errand)
            return False
        errand.is_abandoned = True
        return errand.is_slow

    def put_back(self, errand: Errand) -> None:
        """Let an errand that was under way wait again. As it came first, its turn comes before others of its size."""
        self.under_way.pop(errand.order.number, None)
        self.add(errand)

    def put_off(self, errand: Errand) -> None:
        """Move an errand whose reader was ended for taking too long to the next lane, where it waits if it is still wanted."""
        self.drop(errand)
        if not errand.is_abandoned:
            errand.tries -= 1
            self._move(errand, errand.lane + 1)
            self.add(errand)

    def slow_down(self, errand: Errand) -> None:
        """Let an errand that was under way wait again in the last lane."""
        self._move(errand, len(self._lanes_seconds))
        self.put_back(errand)

    def _move(self, errand: Errand, lane: int) -> None:
        errand.lane, errand.is_slow = lane, lane == len(self._lanes_seconds)

    def all(self) -> Sequence[Errand]:
        """All errands that have no result yet."""
        return [*self.under_way.values(), *itertools.chain(*self._waiting)]

    def lost(self) -> Sequence[Errand]:
        """Errands that were sent but that no reader has begun for too long."""
        since = time.monotonic() - BEGIN_SECONDS
        return [errand for errand in self.under_way.values() if errand.pid is None and errand.sent_at < since]

    def giving_way(self) -> Sequence[Errand]:
        """Errands under way in slower lanes, while there is a crowd: more errands than readers."""
        if len(self.all()) <= self.readers:
            return []
        return [errand for errand in self.under_way.values() if errand.lane and errand.pid is not None]

    def move_on(self, cpu_seconds: Callable[[int], float]) -> Sequence[Errand]:
        """Move errands that have used up their lane's time to a slower lane. Returns the errands whose reader must be ended.

        `cpu_seconds` returns the processor time of a process. An errand may stay in its lane while no other errand waits for it.
        """
        leave = list[Errand]()
        for errand in self.under_way.values():
            if errand.pid is None or errand.is_slow:
                continue
            took = cpu_seconds(errand.pid) - errand.began_cpu_seconds
            if took < self._lanes_seconds[errand.lane]:
                continue
            lane = self._slower_lane(errand.lane, took)
            if errand.is_abandoned:
                leave.append(errand)
            elif lane is not None:
                self._move(errand, lane)
            elif self._waiting[errand.lane]:
                leave.append(errand)
        return leave

    def _slower_lane(self, lane: int, took_seconds: float) -> int | None:
        """The next lane with room for an errand that has taken this long; None if there is none."""
        for slower in range(lane + 1, len(self._rooms)):
            if self._has_room(slower):
                return slower
            if slower < len(self._lanes_seconds) and took_seconds < self._lanes_seconds[slower]:
                break
        return None


def _turn(errand: Errand) -> float:
    """Sort key: small files go first, since they are soon done. A second of waiting counts as much as a megabyte less."""
    return errand.order.size_bytes + SMALLER_BYTES_PER_SECOND * errand.added_at
