"""Measures the cost of waiting until a replica has a job before the gateway acknowledges it."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.load import request, send_all
from tests.benchmarks.submit_latency import clip, one_client
from tests.processes import DURABLE, RedisServer, running_stack, wait_until
from tests.report import Finding, milliseconds

ROUNDS, ONE_BY_ONE, AT_ONCE, CONNECTIONS = 3, 50, 200, 8
#: The numbers of replicas for which the two gateways wait.
WAITED_FOR = ("0", "1")


def replication(folder: Path) -> Iterator[Finding]:
    """One server with a replica, and two gateways, of which one waits for the replica. They are measured in turn."""
    took: dict[str, list[float]] = {replicas: [] for replicas in WAITED_FOR}
    rates: dict[str, list[float]] = {replicas: [] for replicas in WAITED_FOR}
    numbers = iter(range(3_000_000, 4_000_000))
    with running_stack(folder / "replication", workers=0, redis_options=DURABLE) as stack:
        stack.start_gateway(REDIS_WAIT_REPLICAS="1")
        (folder / "replica").mkdir()
        follows = (*DURABLE, "--replicaof", "127.0.0.1", str(stack.server.port), "--repl-diskless-sync-delay", "0")
        replica = RedisServer(folder=folder / "replica", options=follows)
        replica.start()
        try:
            wait_until(lambda: stack.server.client().wait(1, 100) == 1, "the replica follows")
            for _ in range(ROUNDS):
                for gateway, replicas in enumerate(WAITED_FOR):
                    port = stack.port(gateway)
                    took[replicas] += one_client(port, [clip(next(numbers)) for _ in range(ONE_BY_ONE)])[0]
                    sent = [request("/v1/jobs?language=en", clip(next(numbers)), "audio/wav") for _ in range(AT_ONCE)]
                    rates[replicas].append(send_all(port, sent, CONNECTIONS)[0])
        finally:
            assert replica.running is not None
            replica.running.stop()
    ratio = statistics.median(took["1"]) / statistics.median(took["0"])
    rate = {replicas: statistics.median(each) for replicas, each in rates.items()}
    yield Finding(
        experiment="submit of a 96 KB clip, on a replica when it is answered (REDIS_WAIT_REPLICAS=1), one client; baseline: 0",
        must="told",
        seen=f"p50 {ratio:.2f} x: {milliseconds(took['1'])} against {milliseconds(took['0'])}",
        holds=True,
    )
    yield Finding(
        experiment=f"on a replica, {CONNECTIONS} connections: submits per second",
        must="told",
        seen=f"{rate['1'] / rate['0']:.2f} x: {rate['1']:.0f} against {rate['0']:.0f} per second",
        holds=True,
    )
