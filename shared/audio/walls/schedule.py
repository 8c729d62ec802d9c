"""Which file is looked at next: quick ones never wait behind slow ones, whatever somebody sends."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from shared.audio.walls.messages import Order, Told
from shared.audio.walls.shared_memory import SharedBuffer, SharedFile
from shared.errors import FleetError

#: A file that takes longer is slow: a sound one of some minutes takes a tenth of it.
QUICK_SECONDS = 0.25
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
    began_at: float | None = None
    tries: int = 0
    is_slow: bool = False
    #: Its reader has been ended so that others get through; it has another one later.
    is_put_off: bool = False
    #: Nobody wants its result. While it is under way it keeps its reader.
    is_abandoned: bool = False

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
    """Errands that wait, and those under way, in two lanes. Not safe for use from several threads by itself."""

    def __init__(self, quick: int, slow: int) -> None:
        """How many may be under way in each lane."""
        self._quick, self._slow = quick, slow
        self._waiting: list[Errand] = []
        self._waiting_slow: list[Errand] = []
        self.under_way: dict[int, Errand] = {}

    @property
    def readers(self) -> int:
        """How many readers it can keep busy."""
        return self._quick + self._slow

    @property
    def is_full(self) -> bool:
        """No more is to be taken on."""
        return len(self._waiting) + len(self._waiting_slow) >= MOST_WAITING

    def add(self, errand: Errand) -> None:
        """It waits in its lane."""
        errand.pid = errand.began_at = None
        (self._waiting_slow if errand.is_slow else self._waiting).append(errand)

    def begin_next(self) -> Errand | None:
        """Whose turn it is, now under way; None while there is no reader for anybody who waits."""
        slow = sum(errand.is_slow for errand in self.under_way.values())
        for lane, is_free in ((self._waiting, len(self.under_way) - slow < self._quick), (self._waiting_slow, slow < self._slow)):
            if lane and is_free:
                errand = min(lane, key=_turn)
                lane.remove(errand)
                errand.tries += 1
                errand.is_put_off, errand.sent_at = False, time.monotonic()
                self.under_way[errand.order.number] = errand
                return errand
        return None

    def drop(self, errand: Errand) -> bool:
        """It is neither waiting nor under way any more. False if it was neither."""
        for lane in (self._waiting, self._waiting_slow):
            if errand in lane:
                lane.remove(errand)
                return True
        return self.under_way.pop(errand.order.number, None) is not None

    def abandon(self, errand: Errand) -> bool:
        """Nobody wants it. True if its reader is to be ended: it has been at it for longer than the quick ones take."""
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
        return [*self.under_way.values(), *self._waiting, *self._waiting_slow]

    def lost(self) -> Sequence[Errand]:
        """Those that no reader has begun for too long."""
        since = time.monotonic() - BEGIN_SECONDS
        return [errand for errand in self.under_way.values() if errand.pid is None and errand.sent_at < since]

    def turn_slow(self) -> tuple[Sequence[Errand], Sequence[Errand]]:
        """Those that have turned out slow: the ones that go on in the slow lane; and those for which it has no room.

        The latter are in the quick lane until their readers are gone, and then wait in the slow one.
        """
        since = time.monotonic() - QUICK_SECONDS
        slow = sum(errand.is_slow for errand in self.under_way.values())
        stay, leave = list[Errand](), list[Errand]()
        for errand in self.under_way.values():
            if errand.is_slow or errand.is_put_off or errand.began_at is None or errand.began_at > since:
                continue
            if errand.is_abandoned:
                leave.append(errand)
            elif slow < self._slow:
                errand.is_slow = True
                slow += 1
                stay.append(errand)
            elif self._waiting:
                errand.is_put_off = True
                leave.append(errand)
        return stay, leave


def _turn(errand: Errand) -> float:
    """Small files go first, since they are soon done. A second of waiting counts as much as a megabyte less."""
    return errand.order.size_bytes + SMALLER_BYTES_PER_SECOND * errand.added_at
