"""Large bodies are read in turns."""

import asyncio

from gateway.submitting.turns import STRETCH_BYTES, Body, Turns

ENOUGH_SECONDS = 10.0


def test_only_a_stretch_needs_a_turn() -> None:
    body = Body(Turns())
    assert [body.took(STRETCH_BYTES // 2) for _ in range(2)] == [False, True]


def test_bodies_take_turns_and_others_come_between() -> None:
    async def scene() -> list[str]:
        turns, seen = Turns(), list[str]()

        async def upload(name: str) -> None:
            body = Body(turns)
            for _ in range(3):
                seen.append(name)
                await body.turn()

        async def small() -> None:
            for _ in range(2):
                await asyncio.sleep(0)
            seen.append("small")

        await asyncio.gather(upload("a"), upload("b"), upload("c"), small())
        return seen

    seen = asyncio.run(asyncio.wait_for(scene(), ENOUGH_SECONDS))
    assert [name for name in seen if name != "small"] == ["a", "b", "c"] * 3
    assert seen.index("small") <= 5, "a small request does not wait for all large bodies"


def test_a_body_that_is_given_up_holds_nobody_up() -> None:
    async def scene() -> None:
        turns = Turns()
        waiting = [asyncio.create_task(Body(turns).turn()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[1].cancel()
        await waiting[2]
        await Body(turns).turn()

    asyncio.run(asyncio.wait_for(scene(), ENOUGH_SECONDS))
