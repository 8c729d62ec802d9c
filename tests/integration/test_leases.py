"""What a worker gets from Redis besides its jobs, and the effects of the results that it writes."""

import re

import pytest
from redis.exceptions import ResponseError

from shared.jobs.lanes import Lane
from shared.jobs.options import TranscriptionOptions
from shared.settings import WorkerSettings
from shared.transcripts.pieces import Cut, Piece
from shared.transcripts.transcript import Segment, Transcript
from tests.script_driver import KEYS, LANE, PREFIX, ScriptDriver
from worker.queue.assembly import QueueSide, assemble
from worker.queue.claims import INLINE_BYTES
from worker.queue.leases import RENEWAL_SEGMENTS

SMALL, LARGE = b"s" * INLINE_BYTES, b"l" * (INLINE_BYTES + 1)
TRANSCRIPT = Transcript(
    transcript="x", language="en", language_probability=1.0, duration=2.0, segments=[], preprocess_ms=0.0, transcribe_ms=0.0,
    model="demo", model_revision="r", device="cpu",
)  # fmt: skip


@pytest.fixture
def worker(fleet: ScriptDriver) -> QueueSide:
    return assemble(fleet.redis, WorkerSettings(fleet_prefix=PREFIX, whisper_model="demo"), "w1")


def test_small_audio_comes_with_the_claim_and_large_is_fetched(fleet: ScriptDriver, worker: QueueSide) -> None:
    for name, audio in {"small": SMALL, "large": LARGE, "lost": SMALL}.items():
        fleet.submit(name, audio=audio, max_bytes=10**7)
    fleet.redis.delete(KEYS.audio("lost"))
    leased = worker.claims.claim(3, [])
    assert [h.audio for h in leased] == [SMALL, None, None]
    assert worker.leases.audio(leased) == [SMALL, LARGE, None]


def test_an_error_in_a_script_names_its_file_and_line(fleet: ScriptDriver, worker: QueueSide) -> None:
    fleet.submit("a")
    fleet.redis.set(f"{PREFIX}:order:{LANE}", "no sorted set")
    with pytest.raises(ResponseError, match=r"parts/lanes\.lua:\d+"):
        worker.claims.claim(1, [])


def test_a_record_that_a_sweep_cannot_handle_is_told_with_file_and_line(fleet: ScriptDriver, worker: QueueSide) -> None:
    fleet.submit("a")
    fleet.claim(lease_ms=0)
    fleet.redis.hdel(KEYS.job("a"), "attempt")
    swept = worker.register.recover()
    assert swept is not None
    (problem,) = swept.broken.values()
    assert re.search(r"(recover|parts/\w+)\.lua:\d+", problem)


def test_who_writes_a_result_learns_whether_more_waits(fleet: ScriptDriver, worker: QueueSide) -> None:
    for name in ("a", "b"):
        fleet.submit(name)
    first, second = worker.claims.claim(1, []) + worker.claims.claim(1, [])
    # A job for another model, which does not concern this worker.
    fleet.submit("c", lane=KEYS.lane("other", Lane.INTERACTIVE))
    assert worker.leases.finish(first, TRANSCRIPT).nothing_waits
    fleet.submit("d")
    assert not worker.leases.finish(second, TRANSCRIPT).nothing_waits


def split_in_two(fleet: ScriptDriver, worker: QueueSide, options: TranscriptionOptions) -> None:
    """Submit a long file and split it into two pieces."""
    fleet.submit("file", lane=KEYS.lane("demo", Lane.LONG), job={"options": options.model_dump_json(), "audio_seconds": 50.0})
    (leased,) = worker.claims.claim(1, [])
    for number in (1, 2):
        assert worker.leases.put_piece(leased, number, b"fLaC")
    cut = Cut(duration=50.0, preprocess_ms=1.0, language="en")
    assert (
        worker.leases.split(leased, cut, [(Piece(0, 25_000), 4), (Piece(25_000, 50_000, has_pause=False), 4)]).verdict == "split"
    )


def test_each_piece_of_a_file_has_its_prompt_and_all_that_was_asked_for(fleet: ScriptDriver, worker: QueueSide) -> None:
    asked = TranscriptionOptions(prompt="names: Ada", hotwords="lathe", beam_size=3, word_timestamps=True)
    split_in_two(fleet, worker, asked)
    pieces = [worker.claims.claim(1, [])[0] for _ in range(2)]
    assert [piece.job.options for piece in pieces] == [asked.model_copy(update={"language": "en"})] * 2


@pytest.mark.parametrize(("asked", "found"), [(True, [True, False]), (False, [False, False])])
def test_silences_are_looked_for_where_there_may_be_some(
    fleet: ScriptDriver, worker: QueueSide, asked: bool, found: list[bool]
) -> None:
    split_in_two(fleet, worker, TranscriptionOptions(vad=asked))
    assert [worker.claims.claim(1, [])[0].job.options.vad for _ in found] == found


def test_a_file_that_workers_with_other_defaults_shared_is_cached_under_neithers(fleet: ScriptDriver, worker: QueueSide) -> None:
    split_in_two(fleet, worker, TranscriptionOptions())
    settings = WorkerSettings(fleet_prefix=PREFIX, whisper_model="demo", whisper_beam_size=1)
    other = assemble(fleet.redis, settings, "w2")
    (first,), (second,) = worker.claims.claim(1, []), other.claims.claim(1, [])
    worker.leases.finish(first, TRANSCRIPT)
    file = other.leases.finish(second, TRANSCRIPT).to_stitch
    assert file is not None
    other.leases.finish(file, other.leases.stitch(file))
    (name,) = fleet.redis.scan_iter("test:cache:*")
    ours, theirs = (one.cache_revision("r", "", "") for one in (WorkerSettings(), settings))
    assert name.decode().endswith(f":{'+'.join(sorted([ours, theirs]))}") and ours != theirs


def test_short_windows_are_counted_and_those_that_were_not_believed(fleet: ScriptDriver, worker: QueueSide) -> None:
    fleet.submit("a")
    (leased,) = worker.claims.claim(1, [])
    worker.leases.finish(leased, TRANSCRIPT.model_copy(update={"short_windows": 3, "window_fallbacks": 2}))
    totals = fleet.redis.hmget(KEYS.totals, "short_windows", "window_fallbacks")
    assert totals == [b"3", b"2"]


def segment(number: int) -> Segment:
    return Segment(
        id=number, start=number, end=number + 1, text="word", confidence=1.0, avg_logprob=0.0, no_speech_prob=0.0,
        compression_ratio=1.0,
    )  # fmt: skip


def test_a_job_with_thousands_of_segments_keeps_no_lease_from_being_renewed(fleet: ScriptDriver, worker: QueueSide) -> None:
    for name in ("many", "none"):
        fleet.submit(name)
    leased = worker.claims.claim(1, []) + worker.claims.claim(1, [])
    many = leased[0]
    many.unsent.extend(segment(number) for number in range(8000))
    assert worker.leases.renew(leased) == [True, True]
    assert (many.published, len(many.unsent)) == (RENEWAL_SEGMENTS, 8000 - RENEWAL_SEGMENTS)
    while many.unsent:
        assert worker.leases.renew(leased) == [True, True]
    published = fleet.redis.lrange(KEYS.partial(many.job.id), 0, -1)
    assert [Segment.model_validate_json(text).id for text in published] == list(range(8000))
    assert many.published == 8000
