"""Hears of jobs that were taken from this worker (cancelled, erased, overdue), in a thread and on a connection of its own."""

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from redis import Redis, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.jobs import scripting
from shared.logs import get_logger

#: How long the thread waits for a message before it checks whether it is to end.
WAIT_SECONDS = 10.0
#: How long it waits before it subscribes again: after a lost connection, and after a refusal.
AGAIN_SECONDS, REFUSED_SECONDS = 0.5, 60.0

_LOG = get_logger(__name__)


@dataclass(frozen=True)
class Withdrawn:
    """This attempt is no longer the worker's. None: messages may have been lost, so every attempt must be checked."""

    attempt_id: str | None


class Withdrawals:
    """Delivers a `Withdrawn` for each message. A lost message delays nothing for long: each beat checks all attempts."""

    def __init__(self, redis: Redis, channel: str) -> None:
        self._redis, self._channel = redis, channel
        self._stopped = threading.Event()

    def start(self, deliver: Callable[[Withdrawn], None]) -> None:
        """Start the thread."""
        threading.Thread(target=self._serve, args=(deliver,), name="withdrawals", daemon=True).start()

    def stop(self) -> None:
        """End the thread. It may still deliver a message that it is waiting for."""
        self._stopped.set()

    def _serve(self, deliver: Callable[[Withdrawn], None]) -> None:
        while not self._stopped.is_set():
            try:
                self._listen(deliver)
            except (RedisConnectionError, RedisTimeoutError):
                self._stopped.wait(AGAIN_SECONDS)
            except RedisError as error:
                _LOG.error("cannot_listen", channel=self._channel, error=str(error)[:300], hint="docs/redis.md: users' rights")
                self._stopped.wait(REFUSED_SECONDS)

    def _listen(self, deliver: Callable[[Withdrawn], None]) -> None:
        with closing(self._redis.pubsub()) as subscription:  # type: ignore[no-untyped-call]
            subscription.subscribe(self._channel)
            while not self._stopped.is_set():
                message = subscription.get_message(timeout=WAIT_SECONDS) or {"type": "none"}
                if message["type"] == "message":
                    deliver(Withdrawn(scripting.text(message["data"])))
                elif message["type"] == "subscribe":
                    # Also after redis-py has connected anew: messages that came before this moment are lost.
                    deliver(Withdrawn(None))
