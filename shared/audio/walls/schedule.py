"""Which file is looked at next: quick ones never wait behind slow ones, whatever somebody sends.

Nobody knows before how long a file takes. So each begins in the first lane, for a moment, and goes on in a slower one.
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

#: How long a file may take in each lane but the last, in seconds of processor time. A sound file of a few minutes is done in the
#: first; one of an hour takes a second or two. Files that are made to take time mostly take some 50 ms.
LANE_SECONDS = (0.025, 0.25)
#: Readers of the last lane.
SLOW_READERS = 2
#: An order that no reader has begun by then was lost with one that died idle.
BEGIN_SECONDS = 2.0
#: What a second of waiting counts for against a smaller file.
SMALLER_BYTES_PER_SECOND = 1_000_000
#: How many files may wait for a reader.
MOST_WAITING = 256


@dataclass(eq=False)
class Errand:
    """An order, and how it fares. `result` is set once it is answered, or to an error. Times are monotonic seconds."""

    order: Order
    file: SharedFile
    #: Of a decode: where its sound goes.
    buffer: SharedBuffer | None = None
    result: "Future[Told]" = field(default_factory=Future)
    pid: int | None = None
    added_at: float = field(default_factory=time.monotonic)
    sent_at: float = 0.0
    #: The processor time of its reader when it began.
    began_cpu_seconds: float = 0.0
    tries: int = 0
    lane: int = 0
    #: Its reader has been ended so that others get through; it has another one later.
    is_put_off: bool = False
    #: Nobody wants its result. While it is under way it keeps its reader.
    is_abandoned: bool = False

    @property
    def is_slow(self) -> bool:
        """It is in the last lane, where it may take all the time of its limits."""
        return self.lane == len(LANE_SECONDS)

    def slow_down(self) -> None:
        """To the last lane."""
        self.lane = len(LANE_SECONDS)

    def descriptors(self) -> list[int]:
        """What goes along with the order."""
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
    """Errands that wait, and those under way, in lanes. Not safe for use from several threads by itself."""

    def __init__(self, quick: int, slow: int = SLOW_READERS) -> None:
        """How many may be under way in each of the lanes but the last, and in the last."""
        self._rooms = [quick] * len(LANE_SECONDS) + [slow]
        self._waiting: list[list[Errand]] = [[] for _ in self._rooms]
        self.under_way: dict[int, Errand] = {}

    @property
    def readers(self) -> int:
        """How many readers it can keep busy."""
        return sum(self._rooms)

    @property
    def is_full(self) -> bool:
        """No more is to be taken on."""
        return sum(map(len, self._waiting)) >= MOST_WAITING

    @property
    def has_to_look_soon(self) -> bool:
        """Something is under way that may have to leave its lane."""
        return any(not errand.is_slow for errand in self.under_way.values())

    def add(self, errand: Errand) -> None:
        """It waits in its lane."""
        errand.pid = None
        self._waiting[errand.lane].append(errand)

    def begin_next(self) -> Errand | None:
        """Whose turn it is, now under way; None while there is no reader for anybody who waits."""
        for lane, waiting in enumerate(self._waiting):
            if waiting and self._has_room(lane):
                errand = min(waiting, key=_turn)
                waiting.remove(errand)
                errand.tries += 1
                errand.is_put_off, errand.sent_at = False, time.monotonic()
                self.under_way[errand.order.number] = errand
                return errand
        return None

    def _has_room(self, lane: int) -> bool:
        return sum(errand.lane == lane for errand in self.under_way.values()) < self._rooms[lane]

    def drop(self, errand: Errand) -> bool:
        """It is neither waiting nor under way any more. False if it was neither."""
        for waiting in self._waiting:
            if errand in waiting:
                waiting.remove(errand)
                return True
        return self.under_way.pop(errand.order.number, None) is not None

    def abandon(self, errand: Errand) -> bool:
        """Nobody wants it. True if its reader is to be ended: it is in the last lane."""
        is_under_way = self.under_way.get(errand.order.number) is errand
        if not is_under_way:
            self.drop(errand)
            return False
        errand.is_abandoned = True
        return errand.is_slow

    def put_back(self, errand: Errand) -> None:
        """It was under way, and has to wait again: since it came first, before others of its size."""
        self.under_way.pop(errand.order.number, None)
        self.add(errand)

    def all(self) -> Sequence[Errand]:
        """Everything that is not concluded."""
        return [*self.under_way.values(), *itertools.chain(*self._waiting)]

    def lost(self) -> Sequence[Errand]:
        """Those that no reader has begun for too long."""
        since = time.monotonic() - BEGIN_SECONDS
        return [errand for errand in self.under_way.values() if errand.pid is None and errand.sent_at < since]

    def overtaken(self, cpu_seconds: Callable[[int], float]) -> tuple[Sequence[Errand], Sequence[Errand]]:
        """Those that have been in their lane for too long: the ones that go on in a slower one; and those that have to wait for it.

        `cpu_seconds` tells the processor time of a process. The latter are in their lane until their readers are gone, and then
        wait in the next one. Where nobody waits behind it, an errand may stay.
        """
        stay, leave = list[Errand](), list[Errand]()
        for errand in self.under_way.values():
            if errand.is_put_off or errand.pid is None or errand.is_slow:
                continue
            took = cpu_seconds(errand.pid) - errand.began_cpu_seconds
            if took < LANE_SECONDS[errand.lane]:
                continue
            lane = self._slower_lane(errand.lane, took)
            if errand.is_abandoned:
                leave.append(errand)
            elif lane is not None:
                errand.lane = lane
                stay.append(errand)
            elif self._waiting[errand.lane]:
                errand.is_put_off = True
                leave.append(errand)
        return stay, leave

    def _slower_lane(self, lane: int, took_seconds: float) -> int | None:
        """The next lane with room for an errand that has taken so long; None if there is none."""
        for slower in range(lane + 1, len(self._rooms)):
            if self._has_room(slower):
                return slower
            if slower < len(LANE_SECONDS) and took_seconds < LANE_SECONDS[slower]:
                break
        return None


def _turn(errand: Errand) -> float:
    """Small files go first, since they are soon done. A second of waiting counts as much as a megabyte less."""
    return errand.order.size_bytes + SMALLER_BYTES_PER_SECOND * errand.added_at
