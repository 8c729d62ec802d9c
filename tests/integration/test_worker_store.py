"""What a worker gets to know from Redis beside its jobs: their audio, and whether there are more."""

import pytest

from shared.lanes import Lane
from shared.settings import WorkerSettings
from shared.transcript import Transcript
from tests.script_driver import KEYS, PREFIX, ScriptDriver
from worker.claims import INLINE_BYTES
from worker.services import Services, assemble

SMALL, LARGE = b"s" * INLINE_BYTES, b"l" * (INLINE_BYTES + 1)
TRANSCRIPT = Transcript(
    transcript="x", language="en", language_probability=1.0, duration=2.0, segments=[], preprocess_ms=0.0, transcribe_ms=0.0,
    model="demo", model_revision="r", device="cpu",
)  # fmt: skip


@pytest.fixture
def worker(fleet: ScriptDriver) -> Services:
    return assemble(fleet.redis, WorkerSettings(fleet_prefix=PREFIX, whisper_model="demo"), "w1")


def test_small_audio_comes_with_the_claim_and_large_is_fetched(fleet: ScriptDriver, worker: Services) -> None:
    for name, audio in {"small": SMALL, "large": LARGE, "lost": SMALL}.items():
        fleet.submit(name, audio=audio, max_bytes=10**7)
    fleet.redis.delete(KEYS.audio("lost"))
    held = worker.claims.claim(3, [])
    assert [h.audio for h in held] == [SMALL, None, None]
    assert worker.store.audio(held) == [SMALL, LARGE, None]


def test_who_writes_a_result_learns_whether_more_waits(fleet: ScriptDriver, worker: Services) -> None:
    for name in ("a", "b"):
        fleet.submit(name)
    first, second = worker.claims.claim(1, []) + worker.claims.claim(1, [])
    # Another model's, which is no concern of this worker.
    fleet.submit("c", lane=KEYS.lane("other", Lane.INTERACTIVE))
    assert worker.store.finish(first, TRANSCRIPT).nothing_waits
    fleet.submit("d")
    assert not worker.store.finish(second, TRANSCRIPT).nothing_waits
