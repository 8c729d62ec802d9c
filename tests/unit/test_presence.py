"""What a worker tells the fleet about itself."""

from typing import cast

import pytest

from shared.settings import WorkerSettings
from worker.messages import ChosenEncoder, Ready
from worker.queue.register import Register
from worker.queue.routing import ServedLanes
from worker.queue.rq_worker import FleetWorker
from worker.supervising.presence import Presence


class Recorder:
    """Stands in for the register, the lanes and RQ's worker: remembers what is announced, does nothing else."""

    def __init__(self) -> None:
        self.card: dict[str, str] = {}
        self.cache_revision = ""

    def announce(self, card: dict[str, str], cache_revision: str) -> None:
        self.card, self.cache_revision = dict(card), cache_revision

    def runs_on(self, device: str) -> None: ...

    def arrive(self, ttl_seconds: int) -> None: ...

    def beat(self, ttl_seconds: int, busy: bool) -> None: ...


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def presence(recorder: Recorder) -> Presence:
    parts = cast("Register", recorder), cast("ServedLanes", recorder), cast("FleetWorker", recorder)
    return Presence(WorkerSettings(), *parts)


def test_the_card_tells_the_encoder_and_what_was_measured(presence: Presence, recorder: Recorder) -> None:
    presence.arrive()
    assert (recorder.card["encoder"], recorder.card["encoder_why"], recorder.cache_revision) == ("", "", "")
    ms = {"openvino bf16": 255.7, "ctranslate2 float32": 811.0}
    encoder = ChosenEncoder(name="openvino", precision="bf16", why="measured", ms=ms)
    presence.ready(Ready(model="m", revision="r", device="cpu", encoder=encoder, load_seconds=1.0))
    presence.beat(busy=False)
    assert (recorder.card["encoder"], recorder.card["encoder_precision"]) == ("openvino", "bf16")
    assert recorder.card["encoder_why"] == "measured: openvino bf16 256 ms, ctranslate2 float32 811 ms"
    assert recorder.cache_revision == WorkerSettings().cache_revision("r", "openvino", "bf16")
