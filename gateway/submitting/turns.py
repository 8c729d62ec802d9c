"""Large bodies are read in turns. So a small request waits for one stretch of one large body at most, however many there are."""

import asyncio
from collections import deque

#: How much of a body is read in one turn: about as much as the event loop reads at once.
STRETCH_BYTES = 256 * 1024
#: The pause between two turns while several bodies wait: other work needs the processor, too. One upload alone does not pause.
PAUSE_SECONDS = 0.004


class Turns:
    """The line of the bodies that are not complete. TCP makes the sender of a body wait while the gateway does not read it."""

    def __init__(self) -> None:
        self._line = deque[asyncio.Future[None]]()
        self._is_moving = False

    async def next_one(self) -> None:
        """Wait for a turn. Bodies have their turns in the order in which they asked, one in each turn of the event loop."""
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        self._line.append(mine)
        if not self._is_moving:
            self._is_moving = True
            loop.call_soon(self._move_on, loop)
        await mine

    def _move_on(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._line:
            first = self._line.popleft()
            if not first.done():
                first.set_result(None)
                break
        if self._line:
            loop.call_later(PAUSE_SECONDS, self._move_on, loop)
        else:
            self._is_moving = False


class Body:
    """One large body. It needs a turn for each stretch."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._taken_bytes = turns, 0

    def took(self, size_bytes: int) -> bool:
        """Note that more bytes have been read. True if the body must wait for a turn before the next read."""
        self._taken_bytes += size_bytes
        return self._taken_bytes >= STRETCH_BYTES

    async def turn(self) -> None:
        """Wait until more of this body may be read."""
        self._taken_bytes = 0
        await self._turns.next_one()
