"""What a worker tells the fleet about itself."""

from typing import cast

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.settings import WorkerSettings
from worker.messages import ChosenEncoder, Ready
from worker.queue.register import Heard, Register, Swept
from worker.queue.routing import ServedLanes
from worker.queue.rq_worker import FleetWorker
from worker.supervising.presence import Presence


class Recorder:
    """Stands in for the register, the lanes and RQ's worker: remembers what is announced, does nothing else."""

    def __init__(self) -> None:
        self.card: dict[str, str] = {}
        self.cards: list[dict[str, str]] = []
        self.is_known, self.has_lapsed, self.recovers, self.sweeps = True, False, True, 0
        self.cache_revision = ""

    def beat(self, card: dict[str, str], cache_revision: str, _held: object, _for_rq: object, *, is_ready: bool) -> Heard:
        self.is_ready = is_ready
        self.cards.append(dict(card))
        self.card |= card
        self.cache_revision = cache_revision
        return Heard(stale=(), has_lapsed=self.has_lapsed, is_known=self.is_known)

    def recover(self) -> Swept:
        self.sweeps += 1
        if not self.recovers:
            raise RedisConnectionError("lost")
        return Swept(requeued=[], failed=[], broken={})

    def runs_on(self, device: str) -> None: ...

    def arrive(self, ttl_seconds: int) -> None: ...

    def arrive_again(self, ttl_seconds: int) -> None: ...


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


def test_jobs_are_recovered_when_two_beats_have_seen_a_lapsed_lease(presence: Presence, recorder: Recorder) -> None:
    presence.arrive()
    recorder.has_lapsed = True
    presence.postpone_sweep()
    for _ in range(3):
        presence.beat_soon()
        presence.beat(())
    assert recorder.sweeps == 0, "leases are given one lease of time after a start"
    presence._sweeps_from = 0.0
    for lapsed, sweeps in ((False, 0), (True, 0), (True, 1), (False, 1), (True, 1)):
        recorder.has_lapsed = lapsed
        presence.beat_soon()
        presence.beat(())
        assert recorder.sweeps == sweeps


def test_a_beat_tells_what_was_lost_even_if_the_sweep_fails(presence: Presence, recorder: Recorder) -> None:
    recorder.has_lapsed, recorder.recovers = True, False
    presence._sweeps_from = 0.0
    for _ in range(3):
        presence.beat_soon()
        assert presence.beat(()) is not None
    assert recorder.sweeps == 2
