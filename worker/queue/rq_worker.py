"""The receive side of RQ: RQ's own tools show the worker. Its jobs come and go through `claims` and `leases`."""

from collections.abc import Mapping

from redis import Redis
from rq.serializers import JSONSerializer
from rq.worker.base import BaseWorker, WorkerStatus


def rq_fields(*, is_busy: bool, succeeded: int, failed: int) -> Mapping[str, object]:
    """What RQ's page of workers shows of a worker. Its beats write this (beat.lua)."""
    state = WorkerStatus.BUSY if is_busy else WorkerStatus.IDLE
    return {"state": state.value, "successful_job_count": succeeded, "failed_job_count": failed}


class FleetWorker(BaseWorker):
    """Registers and leaves as an RQ worker. It does not use RQ's own loop, which blocks on one job."""

    def __init__(self, name: str, lanes: list[str], connection: Redis) -> None:
        super().__init__(lanes, name=name, connection=connection, serializer=JSONSerializer)

    def _set_connection(self, connection: Redis) -> Redis:
        """Keep the socket timeout. RQ would raise it to minutes for its blocking pops, which do not happen here."""
        return connection

    def arrive(self, ttl_seconds: int) -> None:
        """Register as idle."""
        self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state(WorkerStatus.IDLE)
        self.heartbeat(ttl_seconds)

    def arrive_again(self, ttl_seconds: int) -> None:
        """Register if RQ has no record of this worker any more (Redis was emptied)."""
        if not self.connection.exists(self.key):
            self.arrive(ttl_seconds)

    def leave(self) -> None:
        """Remove the worker from RQ's tools."""
        self.register_death()  # type: ignore[no-untyped-call]
