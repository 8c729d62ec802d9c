"""One look-up serves all callers that ask meanwhile; they also share its error."""

import asyncio
import time

import pytest

from gateway.fleet.fresh import Fresh


class Source:
    """A look-up that answers, or fails, after 0.1 s."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.asked = error, 0

    async def look_up(self) -> int:
        self.asked += 1
        await asyncio.sleep(0.1)
        if self.error:
            raise self.error
        return self.asked


def test_all_who_ask_meanwhile_share_one_look_up() -> None:
    async def ask() -> None:
        source = Source()
        fresh = Fresh(source.look_up)
        assert await asyncio.gather(*(fresh.get() for _ in range(25))) == [1] * 25
        assert await fresh.get() == 1, "the answer is less than a second old"
        assert await fresh.get(0.0) == 2

    asyncio.run(ask())


def test_nobody_queues_behind_look_ups_that_fail() -> None:
    async def ask() -> None:
        fresh = Fresh(Source(TimeoutError()).look_up)
        started = time.monotonic()
        answers = await asyncio.gather(*(fresh.get() for _ in range(25)), return_exceptions=True)
        assert all(isinstance(answer, TimeoutError) for answer in answers)
        assert time.monotonic() - started < 1.0, "one after another, the look-ups would take 2.5 s"

    asyncio.run(ask())


def test_who_gives_up_takes_nobody_along() -> None:
    async def ask() -> None:
        fresh = Fresh(Source().look_up)
        first, second = asyncio.create_task(fresh.get()), asyncio.create_task(fresh.get())
        await asyncio.sleep(0)
        first.cancel()
        assert await second == 1
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(ask())
