"""The receive side of RQ: how a worker shows in RQ's own tools. Its jobs come and go through `claims` and `store`."""

from redis import Redis
from rq.serializers import JSONSerializer
from rq.worker.base import BaseWorker, WorkerStatus


class FleetWorker(BaseWorker):
    """Registers, beats and leaves as an RQ worker; runs nothing by RQ's own loop, which blocks on one job."""

    def __init__(self, name: str, lanes: list[str], connection: Redis) -> None:
        super().__init__(lanes, name=name, connection=connection, serializer=JSONSerializer)

    def _set_connection(self, connection: Redis) -> Redis:
        """RQ would raise the socket timeout to minutes, for its blocking pops; we have none on this connection."""
        return connection

    def arrive(self, ttl_seconds: int) -> None:
        """Appear, idle."""
        self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state(WorkerStatus.IDLE)
        self.heartbeat(ttl_seconds)

    def beat(self, ttl_seconds: int, busy: bool) -> None:
        """Stay visible for `ttl_seconds` more. A record that vanished (Redis was emptied) is written anew."""
        if not self.connection.exists(self.key):
            self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state(WorkerStatus.BUSY if busy else WorkerStatus.IDLE)
        self.heartbeat(ttl_seconds)

    def leave(self) -> None:
        """Vanish from the dashboard."""
        self.register_death()  # type: ignore[no-untyped-call]
