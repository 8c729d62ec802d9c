"""Calls of the Lua scripts: calls made at the same time go out in one write, on one connection."""

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from gateway.fleet.replicas import Replicas
from shared.jobs import scripting

#: The most callers in one batch: few enough that their audio can be written within the time that an answer may take.
LARGEST_BATCH = 16


#: A command as its words.
Command = Sequence[str | bytes | int]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a script: the script's name and its ARGV.

    `then`: a command that Redis runs after the script, in one transaction with it.
    """

    script: str
    arguments: Sequence[str | bytes]
    then: Command | None = None


@dataclass(frozen=True, slots=True)
class _Packed:
    """A call as it is sent, and how many replies Redis gives to it."""

    sent: bytes
    replies: int

    async def answer(self, connection: Any) -> Any:
        """Read the replies, and return the script's answer, or the first error."""
        replies = [await _reply(connection) for _ in range(self.replies)]
        if error := next((reply for reply in replies if isinstance(reply, ResponseError)), None):
            return error
        return replies[-1] if self.replies == 1 else replies[-1][0]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The packed calls of one caller, and the future that gets their answers."""

    calls: Sequence[_Packed]
    answers: "asyncio.Future[list[Any]]"
    #: Whether the answers must wait until replicas have the changes.
    lasting: bool

    def tell(self, answers: list[Any]) -> None:
        """Give the caller its answers, unless it has gone."""
        if not self.answers.done():
            self.answers.set_result(answers)


class ScriptBatches:
    """Runs the scripts of a gateway. Loads them again when the server does not know them, as after a restart.

    A busy gateway has several callers in one turn of its event loop. These callers share a connection, a write and a wake-up, and
    bypass redis-py's command layer. Together these would cost more than all other Python work between two commands.
    """

    def __init__(self, redis: "Redis", names: Iterable[str], replicas: Replicas | None = None) -> None:
        self._redis, self._replicas = redis, replicas
        self._sources = {name: scripting.source(name).text for name in names}
        self._hashes = {
            name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in self._sources.items()
        }
        self._batch: list[_Asked] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Load all scripts into the server."""
        for source in self._sources.values():
            await self._redis.script_load(source)

    async def run(self, *calls: Call, lasting: bool = False) -> list[Any]:
        """Run the scripts in this order and return their answers. Other callers' scripts may run in between.

        Raises the first error among the answers. If a script itself failed, the error names the Lua file and line. With
        `lasting`, raises `StoreUnavailable` unless as many replicas as the settings ask for have the changes. Cancelling one
        caller leaves the others alone, and Redis may still run the cancelled caller's scripts.
        """
        answers = await self._ask(calls, lasting)
        for done, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                await self.load()
                answers[done:] = await self._ask(calls[done:], lasting)
                break
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, ResponseError):
                raise scripting.located(call.script, answer)
        return answers

    async def _ask(self, calls: Sequence[Call], lasting: bool) -> list[Any]:
        """Add the calls to the current batch and return their answers. Error answers are returned, not raised."""
        asked = _Asked([self._packed(call) for call in calls], asyncio.get_running_loop().create_future(), lasting)
        if not self._batch or len(self._batch) == LARGEST_BATCH:
            self._batch = batch = list[_Asked]()
            delivery = asyncio.create_task(self._deliver(batch))
            self._under_way.add(delivery)
            delivery.add_done_callback(lambda ended: self._conclude(batch, ended))
        self._batch.append(asked)
        return await asked.answers

    def _packed(self, call: Call) -> _Packed:
        script = ("EVALSHA", self._hashes[call.script], 0, *call.arguments)
        commands: Sequence[Any] = [script] if call.then is None else [("MULTI",), script, call.then, ("EXEC",)]
        return _Packed(b"".join(map(hiredis.pack_command, commands)), len(commands))

    async def _deliver(self, batch: list[_Asked]) -> None:
        """Send a batch and hand out its answers. Runs after the current turn of the event loop: until then, callers may join."""
        if batch is self._batch:
            self._batch = []
        pool: Any = self._redis.connection_pool
        replicas = self._replicas if any(asked.lasting for asked in batch) else None
        connection = await pool.get_connection()
        try:
            commands = [call.sent for asked in batch for call in asked.calls]
            await connection.send_packed_command(commands + (replicas.commands if replicas else []))
            unconfirmed = list[tuple[_Asked, list[Any]]]()
            for asked in batch:
                answers = [await call.answer(connection) for call in asked.calls]
                if replicas and asked.lasting:
                    unconfirmed.append((asked, answers))
                else:
                    asked.tell(answers)
            if replicas:
                await replicas.confirm(connection)
            for asked, answers in unconfirmed:
                asked.tell(answers)
        finally:
            await pool.release(connection)

    def _conclude(self, batch: Sequence[_Asked], delivery: "asyncio.Task[None]") -> None:
        """Give the error of a failed delivery to all callers without answers, except those that were cancelled."""
        self._under_way.discard(delivery)
        error = asyncio.CancelledError() if delivery.cancelled() else delivery.exception()
        for asked in batch:
            if error and not asked.answers.done():
                asked.answers.set_exception(error)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
