"""`GET /metrics`: the numbers of `/stats` for Prometheus. They are the whole fleet's numbers, so scrape only one gateway."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.services import services_of

PREFIX = "whisper_fleet"
#: For each gauge: its name in `/stats`, its name in Prometheus, and its description.
GAUGES = (
    ("queued_bytes", "queued_bytes", "Bytes of audio that wait."),
    ("queued_audio_seconds", "queued_audio_seconds", "Seconds of audio that wait."),
    ("in_flight", "in_flight_jobs", "Jobs and pieces of long files under a lease."),
    ("drain_rate", "drain_rate", "Seconds of audio per second that the ready workers get through when all are busy."),
    ("cache_hit_rate", "cache_hit_ratio", "Share of submits answered by the cache, since the beginning."),
)


class _Stats(Collector):
    """The metrics of one scrape."""

    def __init__(self, stats: Mapping[str, Any]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        for name, called, meaning in GAUGES:
            if self._stats[name] is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{called}", meaning, self._stats[name])
        lanes = GaugeMetricFamily(f"{PREFIX}_queued_jobs", "Jobs and pieces that wait, by model and lane.", labels=["lane"])
        for lane, length in self._stats["queues"].items():
            lanes.add_metric([lane], length)
        yield lanes
        yield from self._workers()
        for name, count in self._stats["totals"].items():
            yield CounterMetricFamily(f"{PREFIX}_{name}", f"Since the beginning: {name.replace('_', ' ')}.", count)

    def _workers(self) -> Iterator[Metric]:
        labels = ["worker", "model", "device", "state"]
        up = GaugeMetricFamily(f"{PREFIX}_worker_info", "1 for each worker that has been heard of lately.", labels=labels)
        speed = GaugeMetricFamily(f"{PREFIX}_worker_real_time_factor", "Time to decode over length, lately.", labels=["worker"])
        for card in self._stats["workers"]:
            up.add_metric([card["name"], *(card.get(label, "") for label in labels[1:])], 1)
            if card["real_time_factor"] is not None:
                speed.add_metric([card["name"]], card["real_time_factor"])
        yield up
        yield speed


async def metrics(request: Request) -> Response:
    """The fleet's metrics. They hold no job id, prompt or caller's name: the numbers cannot be traced to one caller."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Stats(await services_of(request).fleet.stats()))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


ROUTES = [Route("/metrics", metrics, methods=["GET"])]
