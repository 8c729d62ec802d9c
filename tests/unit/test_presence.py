"""What a worker tells the fleet about itself."""

from typing import cast

import pytest

from shared.settings import WorkerSettings
from worker.messages import ChosenEncoder, Ready
from worker.queue.register import Heard, Register
from worker.queue.routing import ServedLanes
from worker.queue.rq_worker import FleetWorker
from worker.supervising.presence import Presence


class Recorder:
    """Stands in for the register, the lanes and RQ's worker: remembers what is announced, does nothing else."""

    def __init__(self) -> None:
        self.card: dict[str, str] = {}
        self.cards: list[dict[str, str]] = []
        self.is_known = True
        self.cache_revision = ""

    def beat(self, card: dict[str, str], cache_revision: str, _held: object, _for_rq: object, *, is_ready: bool) -> Heard:
        self.is_ready = is_ready
        self.cards.append(dict(card))
        self.card |= card
        self.cache_revision = cache_revision
        return Heard(stale=(), has_lapsed=False, anything_waits=False, is_known=self.is_known)

    def runs_on(self, device: str) -> None: ...

    def arrive(self, ttl_seconds: int) -> None: ...


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
    assert not recorder.is_ready
    presence.beat(())
    assert recorder.is_ready
    assert (recorder.card["encoder"], recorder.card["encoder_precision"]) == ("openvino", "bf16")
    assert recorder.card["encoder_why"] == "measured: openvino bf16 256 ms, ctranslate2 float32 811 ms"
    assert recorder.cache_revision == WorkerSettings().cache_revision("r", "openvino", "bf16")


def test_the_card_is_sent_when_it_changes_and_when_redis_has_lost_it(presence: Presence, recorder: Recorder) -> None:
    presence.arrive()
    for _ in range(2):
        presence.beat_soon()
        presence.beat(())
    recorder.is_known = False
    for _ in range(2):
        presence.beat_soon()
        presence.beat(())
    presence.draining()
    presence.beat(())
    assert ["state" in card for card in recorder.cards] == [True, False, False, False, True, True]
