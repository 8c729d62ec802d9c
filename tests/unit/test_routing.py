"""Which lanes a worker serves, and which lane a job waits in."""

import pytest

from shared.jobs.lanes import Lane, lane_for
from shared.jobs.options import Priority
from shared.settings import WorkerSettings
from worker.queue.routing import route_for


def test_without_routing_everybody_serves_everything() -> None:
    route = route_for("cuda", WorkerSettings())
    assert route.lanes == (Lane.INTERACTIVE, Lane.LONG, Lane.BATCH) and not route.foreign and not route.is_for_long


@pytest.mark.parametrize(
    ("device", "first", "foreign"), [("cpu", Lane.INTERACTIVE, Lane.LONG), ("cuda", Lane.LONG, Lane.INTERACTIVE)]
)
def test_each_kind_serves_its_own_lane_first_and_the_others_last(device: str, first: Lane, foreign: Lane) -> None:
    route = route_for(device, WorkerSettings(route_short_to_cpu_seconds=10))
    assert route.lanes[0] is first and route.lanes[-1] is foreign and route.foreign == (foreign,)
    assert route.other_device != device and route.peer_devices == (device,)
    assert route.is_for_long == (device == "cuda")


@pytest.mark.parametrize(
    ("priority", "seconds", "above", "lane"),
    [
        (Priority.INTERACTIVE, 3.0, 60.0, Lane.INTERACTIVE),
        (Priority.INTERACTIVE, 60.0, 60.0, Lane.INTERACTIVE),
        (Priority.INTERACTIVE, 60.1, 60.0, Lane.LONG),
        (Priority.INTERACTIVE, 9999.0, 0.0, Lane.INTERACTIVE),
        (Priority.BATCH, 9999.0, 60.0, Lane.BATCH),
    ],
)
def test_a_job_waits_in_the_lane_for_its_length(priority: Priority, seconds: float, above: float, lane: Lane) -> None:
    assert lane_for(priority, seconds, above) is lane
