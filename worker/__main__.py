"""`python -m worker`: the composition root of a worker."""

import sys
import time

from pydantic import ValidationError
from redis import Redis, RedisError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from setproctitle import setproctitle

from shared.cpu import usable_cores
from shared.jobs.keys import Keys
from shared.logs import configure, get_logger
from shared.redis_server.connection import connect
from shared.redis_server.kind import unsuitable
from shared.settings import WorkerSettings, complaint
from worker.chosen_engine import chosen_engine
from worker.queue.assembly import assemble
from worker.queue.bell import Bell
from worker.queue.rq_worker import FleetWorker
from worker.queue.withdrawals import Withdrawals
from worker.supervising.presence import Presence, worker_name
from worker.supervising.supervisor import Supervisor

EXIT_BAD_SETTINGS, EXIT_NO_STORE = 2, 69
#: How long the worker waits for Redis at its start.
STORE_PATIENCE_SECONDS = 60.0


def main() -> int:
    """Run a worker until it is told to stop. Returns the exit code."""
    try:
        settings = WorkerSettings()
    except ValidationError as error:
        print(f"whisper-fleet worker: {complaint(error)}", file=sys.stderr)
        return EXIT_BAD_SETTINGS
    configure(settings.log_level, settings.log_format)
    name = worker_name()
    setproctitle(f"whisper-fleet worker {name}")
    threads = chosen_engine(settings).cpu_threads
    get_logger(__name__).info("starting", worker=name, usable_cores=usable_cores(), threads=threads, **settings.for_log())
    redis = _connect(settings)
    if not _store_answers(redis):
        return EXIT_NO_STORE
    if reason := unsuitable(settings.redis_url.get_secret_value()):
        print(f"whisper-fleet worker: {reason}", file=sys.stderr)
        return EXIT_BAD_SETTINGS
    return _supervisor(settings, redis, name).run()


def _connect(settings: WorkerSettings) -> Redis:
    """A client with bounded connections and timeouts: a Redis that hangs costs seconds, but never hangs the worker."""
    return connect(
        settings.redis_url.get_secret_value(),
        socket_timeout=5.0,
        # For one command, the supervisor's connection tries nine times to reach a host that does not answer.
        socket_connect_timeout=0.7,
        max_connections=8,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=2),
        health_check_interval=15,
    )


def _store_answers(redis: Redis) -> bool:
    deadline, is_told = time.monotonic() + STORE_PATIENCE_SECONDS, False
    while True:
        try:
            return bool(redis.ping())
        except RedisError as error:
            if time.monotonic() > deadline:
                get_logger(__name__).error("no_store", error=str(error), hint="check REDIS_URL")
                return False
            if not is_told:
                get_logger(__name__).warning("waiting_for_store", error=str(error)[:300], seconds=STORE_PATIENCE_SECONDS)
                is_told = True
            time.sleep(0.5)


def _supervisor(settings: WorkerSettings, redis: Redis, name: str) -> Supervisor:
    # The supervisor's loop keeps one connection for good: to take one from the pool costs as much as a command.
    queue = assemble(redis.client(), settings, name)  # type: ignore[no-untyped-call]
    presence = Presence(settings, queue.register, queue.lanes, FleetWorker(name, queue.lanes.names, redis))
    presence.arrive()
    withdrawals = Withdrawals(redis, Keys(settings.fleet_prefix).withdrawn(name))
    return Supervisor(settings, queue, presence, Bell(redis, settings, queue.lanes), withdrawals)


if __name__ == "__main__":
    sys.exit(main())
