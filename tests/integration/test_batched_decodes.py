"""The real model, several decodes at a time: every transcript is the same as if it had been decoded alone."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import jiwer
import numpy as np
import pytest
import soundfile
from faster_whisper.feature_extractor import FeatureExtractor

from shared.audio.sound import Samples
from shared.jobs.options import TranscriptionOptions
from shared.settings import WorkerSettings
from shared.transcripts.transcript import Segment, Transcript
from tests.conftest import Clip
from worker.chosen_engine import chosen_engine
from worker.model.engine import Engine
from worker.model.engine_protocol import DecodeStopped

KINDS = (
    TranscriptionOptions(),
    TranscriptionOptions(beam_size=1, temperature=0.0),
    TranscriptionOptions(word_timestamps=True),
    TranscriptionOptions(prompt="a few words before"),
    TranscriptionOptions(vad=False, hotwords="garden"),
)


class Ear:
    """A listener that stops the decode after `patience` calls."""

    urgent = True

    def __init__(self, patience: int = 1_000_000) -> None:
        self.patience = patience

    def on_segment(self, _: Segment) -> None:
        self.check()

    def check(self) -> None:
        self.patience -= 1
        if self.patience < 0:
            raise DecodeStopped


@pytest.fixture(scope="module")
def engine() -> Engine:
    return loaded("full")


def loaded(window: Literal["full", "adaptive"]) -> Engine:
    settings = WorkerSettings(whisper_model="demo", whisper_cpu_threads=1, whisper_batch_size=8, whisper_encoder_window=window)
    return Engine(chosen_engine(settings))


def heard_of(clip: Clip) -> Samples:
    """The samples of a clip."""
    samples, _ = soundfile.read(clip.path, dtype="float32")
    return np.asarray(samples, np.float32)


def heard(engine: Engine, clip: Clip, options: TranscriptionOptions) -> Transcript:
    return engine.transcribe(heard_of(clip), options, 0.0, Ear())


def without_times(transcript: Transcript) -> Transcript:
    return transcript.model_copy(update={"transcribe_ms": 0.0, "preprocess_ms": 0.0})


def test_no_thread_of_numpys_spins_after_a_spectrogram(engine: Engine, clips: list[Clip]) -> None:
    samples = heard_of(clips[0])
    FeatureExtractor()(samples)
    before = time.process_time()
    time.sleep(0.1)  # the time over which processor time is counted
    assert time.process_time() - before < 0.05


def test_transcripts_do_not_depend_on_the_company(engine: Engine, clips: list[Clip]) -> None:
    work = [(clip, KINDS[number % len(KINDS)]) for number, clip in enumerate(clips[:20])]
    alone = [without_times(heard(engine, *one)) for one in work]
    with ThreadPoolExecutor(8) as pool:
        together = [without_times(one) for one in pool.map(lambda one: heard(engine, *one), work)]
    assert [one.transcript for one in together] == [one.transcript for one in alone]
    assert [[s.tokens for s in one.segments] for one in together] == [[s.tokens for s in one.segments] for one in alone]


def test_a_decode_stops_at_its_next_call_to_the_model(engine: Engine, clips: list[Clip]) -> None:
    samples = heard_of(clips[0])
    with pytest.raises(DecodeStopped):
        engine.transcribe(samples, TranscriptionOptions(), 0.0, Ear(patience=1))
    assert heard(engine, clips[0], TranscriptionOptions()).transcript


def test_adaptive_windows_hear_the_same(engine: Engine, clips: list[Clip]) -> None:
    adaptive = loaded("adaptive")
    short = [clip for clip in clips if not clip.segments][:24]
    with ThreadPoolExecutor(8) as pool:
        ours = list(pool.map(lambda clip: heard(adaptive, clip, TranscriptionOptions()), short))
        stock = list(pool.map(lambda clip: heard(engine, clip, TranscriptionOptions()), short))
    assert {one.encoder_window for one in stock} == {"full"}
    assert "adaptive" in {one.encoder_window for one in ours}
    assert all(one.window_fallbacks == 0 for one in ours if one.encoder_window == "adaptive")
    truth = [clip.text for clip in short]
    assert jiwer.wer(truth, [one.transcript for one in ours]) <= jiwer.wer(truth, [one.transcript for one in stock]) + 0.03


def test_word_times_come_from_the_window_that_was_heard(clips: list[Clip]) -> None:
    transcript = heard(loaded("adaptive"), clips[0], TranscriptionOptions(word_timestamps=True))
    words = [word for segment in transcript.segments for word in segment.words or []]
    assert words and all(0 <= word.start <= word.end <= transcript.duration + 0.1 for word in words)
