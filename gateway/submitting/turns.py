"""Large bodies come in by turns: a request that is small waits for a stretch of one of them at most, however many there are."""

import asyncio
from collections import deque

#: How much of a body is taken in one turn: about what the event loop reads at once.
STRETCH_BYTES = 256 * 1024
#: Between the turns of a crowd, since others use the processor, too. One upload alone does not wait.
PAUSE_SECONDS = 0.004


class Turns:
    """The line of those bodies that have more to come. Who is not read from holds its sender up, not us: TCP sees to that."""

    def __init__(self) -> None:
        self._line = deque[asyncio.Future[None]]()
        self._is_moving = False

    async def next_one(self) -> None:
        """Wait for a turn: first come, first served, one for each turn of the event loop."""
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
    """One of them: has a turn for each stretch."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._taken_bytes = turns, 0

    def took(self, size_bytes: int) -> bool:
        """So much has come. True when it has to wait for a turn before more is read."""
        self._taken_bytes += size_bytes
        return self._taken_bytes >= STRETCH_BYTES

    async def turn(self) -> None:
        """Returns when more may be read."""
        self._taken_bytes = 0
        await self._turns.next_one()
