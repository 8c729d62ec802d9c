"""Runs a worker's Lua scripts, and reads the clock that they use."""

from typing import Any

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import ResponseError

from shared.jobs import scripting
from shared.settings import WorkerSettings


def now_ms(redis: Redis) -> int:
    """The clock of the Redis server in ms since the epoch. The scripts use the same clock."""
    seconds, micros = redis.time()
    return int(seconds * 1000 + micros // 1000)


class ScriptRunner:
    """Runs Lua scripts by name, and loads each at its first use. `run` raises `redis.RedisError` when Redis is away."""

    def __init__(self, redis: Redis, settings: WorkerSettings, worker: str) -> None:
        self._redis, self._settings, self._worker = redis, settings, worker
        self._scripts: dict[str, Script] = {}

    @property
    def lease(self) -> dict[str, object]:
        """Arguments of a script that gives this worker a lease."""
        settings = self._settings
        return {
            "worker": self._worker,
            "lease_ms": int(settings.lease_seconds * 1000),
            "audio_ttl": settings.audio_ttl_seconds(),
        }

    def run(self, script: str, *tail: str | bytes, **named: Any) -> Any:
        """Run a script and return its answer. A `ResponseError` of the script itself names the Lua file and line."""
        if script not in self._scripts:
            self._scripts[script] = self._redis.register_script(scripting.source(script).text)
        named |= self._settings.terminal_ttls()
        try:
            return self._scripts[script](args=list(scripting.arguments(self._settings.fleet_prefix, named, *tail)))
        except ResponseError as error:
            raise scripting.located(script, error) from error
