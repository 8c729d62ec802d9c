"""How the gateway calls the Lua scripts: several in one exchange, each error to its caller, connections left clean."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from gateway.fleet.connections import connect
from gateway.fleet.script_batches import LARGEST_BATCH, Call, ScriptBatches
from shared.jobs import scripting
from shared.redis_server.trouble import Trouble, trouble_of
from tests.processes import RedisServer, free_port

NOBODY = {"id": "00000000-0000-7000-8000-000000000000", "tenant": "default"}
LOOK = Call("read", scripting.arguments("scripts", NOBODY))
WRONG = Call("read", ["scripts", "rq", "now", "no JSON"])


@pytest.fixture
async def redis(server: RedisServer) -> "AsyncIterator[Redis]":
    client = connect(server.url, 1.0)
    yield client
    await client.aclose()


async def test_answers_come_in_the_order_of_the_calls(redis: "Redis") -> None:
    scripts = ScriptBatches(redis, ["read", "clear_cache"])
    await scripts.load()
    assert await scripts.run(LOOK, Call("clear_cache", scripting.arguments("scripts", {"tenant": "x"}))) == ["unknown", 0]


async def test_a_server_that_has_forgotten_the_scripts_is_given_them(redis: "Redis") -> None:
    await redis.script_flush()
    assert await ScriptBatches(redis, ["read"]).run(LOOK, LOOK) == ["unknown", "unknown"]


async def test_an_error_is_raised_and_leaves_no_answer_behind(redis: "Redis") -> None:
    scripts = ScriptBatches(redis, ["read"])
    for calls in [(WRONG, LOOK), (LOOK, WRONG)]:
        with pytest.raises(ResponseError):
            await scripts.run(*calls)
    assert await scripts.run(LOOK) == ["unknown"]


async def test_an_error_in_a_script_names_its_file_and_line(redis: "Redis") -> None:
    with pytest.raises(ResponseError, match=r"parts/prelude\.lua:\d+"):
        await ScriptBatches(redis, ["read"]).run(WRONG)


async def test_callers_of_the_same_moment_share_an_exchange_and_get_their_own_answers(redis: "Redis") -> None:
    scripts = ScriptBatches(redis, ["read"])
    await scripts.load()
    before = (await redis.info("clients"))["connected_clients"]
    several = await asyncio.gather(
        *(scripts.run(*calls) for calls in [(LOOK,), (WRONG,), (LOOK, LOOK)] * 5), return_exceptions=True
    )
    assert several[::3] == [["unknown"]] * 5 and several[2::3] == [["unknown", "unknown"]] * 5
    assert all(isinstance(answer, ResponseError) for answer in several[1::3])
    assert (await redis.info("clients"))["connected_clients"] == before


async def test_more_callers_than_a_batch_holds_are_all_served(redis: "Redis") -> None:
    scripts = ScriptBatches(redis, ["read"])
    await scripts.load()
    answers = await asyncio.gather(*(scripts.run(LOOK) for _ in range(3 * LARGEST_BATCH + 1)))
    assert answers == [["unknown"]] * (3 * LARGEST_BATCH + 1)


async def test_a_caller_that_goes_takes_nobody_along(redis: "Redis") -> None:
    scripts = ScriptBatches(redis, ["read"])
    await scripts.load()
    going, staying = asyncio.create_task(scripts.run(LOOK)), asyncio.create_task(scripts.run(LOOK))
    await asyncio.sleep(0)
    going.cancel()
    assert await staying == ["unknown"]
    with pytest.raises(asyncio.CancelledError):
        await going
    assert await scripts.run(LOOK) == ["unknown"]


async def test_without_a_server_every_caller_is_told() -> None:
    redis = connect(f"redis://127.0.0.1:{free_port()}/0", 1.0)
    scripts = ScriptBatches(redis, ["read"])
    answers = await asyncio.gather(*(scripts.run(LOOK) for _ in range(3)), return_exceptions=True)
    await redis.aclose()
    assert all(isinstance(answer, RedisConnectionError) for answer in answers)


def storing(name: str, value: str) -> Call:
    """A script and a command in one transaction, as a submit and its audio."""
    return replace(LOOK, then=("SET", name, value))


async def test_a_script_and_a_command_are_one_step_and_the_script_answers(redis: "Redis") -> None:
    scripts = ScriptBatches(redis, ["read"])
    await scripts.load()
    answers = await asyncio.gather(*(scripts.run(storing(f"a{n}", "x"), LOOK) for n in range(3)), scripts.run(LOOK))
    assert answers == [["unknown", "unknown"]] * 3 + [["unknown"]]
    assert await redis.mget("a0", "a1", "a2") == ["x"] * 3


async def test_a_transaction_with_a_forgotten_script_is_run_again(redis: "Redis") -> None:
    await redis.script_flush()
    assert await ScriptBatches(redis, ["read"]).run(storing("b", "x")) == ["unknown"]
    assert await redis.get("b") == "x"


async def test_a_server_without_memory_runs_no_half_of_a_transaction(redis: "Redis") -> None:
    scripts = ScriptBatches(redis, ["read", "take_turn"])
    await scripts.load()
    turn = Call("take_turn", scripting.arguments("scripts", {"what": "storing", "every_ms": 9000}), ("SET", "c", "x"))
    await redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(ResponseError) as refused:
            await scripts.run(turn)
    finally:
        await redis.config_set("maxmemory", "0")
    assert trouble_of(refused.value) is Trouble.FULL
    assert await redis.exists("c", "scripts:storing") == 0
    assert await scripts.run(LOOK) == ["unknown"], "no reply is left on the connection"
