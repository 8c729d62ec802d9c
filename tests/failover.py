"""A Redis master, its replicas, and three Sentinels that watch them: real processes on loopback."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from shared.redis_server.connection import connect
from tests.processes import RedisServer, Running, free_port, redis_binary, start, wait_until

SERVICE = "fleet-redis"
#: After this time of silence, a Sentinel takes a server for down.
DOWN_AFTER_MS = 1000
#: How long the Sentinels wait before they try a failed failover again.
FAILOVER_TIMEOUT_MS = 4000
FAILOVER_SECONDS = 40.0
OPTIONS = ("--appendonly", "no", "--save", "", "--repl-diskless-sync-delay", "0", "--repl-timeout", "10")
#: With these options, a master that has lost its replicas takes no more writes.
SAFE = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")


@dataclass(kw_only=True)
class Watched:
    """Redis servers that Sentinels watch. Tests can use it in place of a `RedisServer`."""

    servers: list[RedisServer]
    sentinel_ports: list[int]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def client(self) -> "redis.Redis":
        """A client that follows the master."""
        return connect(self.url)

    def master(self) -> RedisServer:
        """The server that a majority of Sentinels names."""
        named = [self._named_by(port) for port in self.sentinel_ports]
        return next(server for server in self.servers if named.count(server.port) * 2 > len(named))

    def replicas(self) -> list[RedisServer]:
        master = self.master()
        return [server for server in self.servers if server is not master]

    def wait_for_another(self, than: RedisServer) -> None:
        """Wait until the Sentinels agree on another master, and that server is a master by its own ROLE."""

        def there() -> bool:
            with suppress(StopIteration, redis.RedisError):
                return self.master() is not than and _role(self.master()) == "master"
            return False

        wait_until(there, "there is another master", FAILOVER_SECONDS)

    def is_replica(self, server: RedisServer) -> bool:
        """Whether the server itself says that it is a replica."""
        with suppress(redis.RedisError):
            return _role(server) == "slave"
        return False

    def wait_until_whole(self) -> None:
        """Wait until all other servers replicate the master, and every Sentinel knows these replicas."""
        others = len(self.servers) - 1

        def whole() -> bool:
            with suppress(StopIteration, redis.RedisError):
                info: Any = self.master().client().info("replication")
                linked = [info[f"slave{n}"] for n in range(info["connected_slaves"])]
                known = [_ask(port, "SENTINEL", "REPLICAS", SERVICE) for port in self.sentinel_ports]
                well = all(len([replica for replica in each if _is_well(replica)]) >= others for each in known)
                return well and len([replica for replica in linked if replica["state"] == "online"]) == others
            return False

        wait_until(whole, "all replicas are linked and known", FAILOVER_SECONDS)

    def _named_by(self, port: int) -> int:
        with suppress(redis.RedisError):
            return int(_ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])
        return 0


def _is_well(replica: Any) -> bool:
    flat = [part.decode() for part in replica] if isinstance(replica, list) else []
    fields = dict(zip(flat[::2], flat[1::2], strict=True)) if flat else replica
    return "down" not in fields["flags"] and fields["master-link-status"] == "ok"


def _ask(port: int, *words: str) -> Any:
    with redis.Redis(port=port, socket_timeout=1, protocol=2) as client:
        return client.execute_command(*words)


def _role(server: RedisServer) -> str:
    with redis.Redis(port=server.port, socket_timeout=1) as client:
        answer: Any = client.execute_command("ROLE")
        role = answer[0]
        return role.decode() if isinstance(role, bytes) else str(role)


@contextmanager
def watched_servers(folder: Path, *, replicas: int, options: tuple[str, ...] = ()) -> Iterator[Watched]:
    """A master, `replicas` replicas and three Sentinels, for the time of a `with`."""
    servers, sentinels = list[RedisServer](), list[Running]()
    try:
        for number in range(replicas + 1):
            servers.append(_server(folder / f"server{number}", servers[0].port if servers else None, options))
        ports = [free_port() for _ in range(3)]
        sentinels += [_sentinel(folder / f"sentinel{port}", port, servers[0].port) for port in ports]
        watched = Watched(servers=servers, sentinel_ports=ports)
        watched.wait_until_whole()
        yield watched
    finally:
        for running in [*sentinels, *(server.running for server in servers if server.running)]:
            with suppress(ProcessLookupError):
                running.process.send_signal(signal.SIGCONT)
            running.stop()


def _server(folder: Path, master_port: int | None, options: tuple[str, ...]) -> RedisServer:
    folder.mkdir(parents=True)
    following = ("--replicaof", "127.0.0.1", str(master_port)) if master_port else ()
    server = RedisServer(folder=folder, options=(*OPTIONS, *options, *following))
    server.start()
    # When the server is started again, it begins as a master: the Sentinels tell it whom to replicate.
    server.options = (*OPTIONS, *options)
    return server


def _sentinel(folder: Path, port: int, master_port: int) -> Running:
    folder.mkdir()
    configuration = folder / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {master_port} 2\n"
        f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
        f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}\n"
    )
    return start([redis_binary(), str(configuration), "--sentinel"], folder / "log")
