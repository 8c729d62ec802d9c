"""The real model, several decodes at a time: every transcript is the same as if it had been decoded alone."""

import time
from concurrent.futures import ThreadPoolExecutor

import ctranslate2
import jiwer
import numpy as np
import pytest
import soundfile
from faster_whisper.feature_extractor import FeatureExtractor

from shared.audio.sound import Samples
from shared.jobs.options import TranscriptionOptions
from shared.settings import WorkerSettings
from shared.transcripts.transcript import EncoderWindow, Segment, Transcript
from tests.conftest import Clip
from worker.chosen_engine import chosen_engine
from worker.model import encoder_window
from worker.model.batching import BatchingModel
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


def loaded(window: EncoderWindow) -> Engine:
    """The encoder is named: two engines that each measure encoders on a busy machine may choose different ones."""
    settings = WorkerSettings(
        whisper_model="demo",
        whisper_cpu_threads=1,
        whisper_batch_size=8,
        whisper_encoder_window=window,
        whisper_encoder="ctranslate2",
    )
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
    """The least of some: threads that spin do so each time, and other threads of the tests may work now and then."""
    samples = heard_of(clips[0])

    def spun_seconds() -> float:
        FeatureExtractor()(samples)
        before = time.process_time()
        time.sleep(0.1)  # the time over which processor time is counted
        return time.process_time() - before

    assert min(spun_seconds() for _ in range(5)) < 0.05


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


@pytest.mark.parametrize(("window", "margin"), [("trimmed", 0.003), ("adaptive", 0.03)])
def test_short_windows_hear_the_same(engine: Engine, clips: list[Clip], window: EncoderWindow, margin: float) -> None:
    shortened = loaded(window)
    with ThreadPoolExecutor(8) as pool:
        ours = list(pool.map(lambda clip: heard(shortened, clip, TranscriptionOptions()), clips))
        stock = list(pool.map(lambda clip: heard(engine, clip, TranscriptionOptions()), clips))
    assert {one.encoder_window for one in stock} == {"full"} and not any(one.short_windows for one in stock)
    assert sum(one.encoder_window == window for one in ours) >= len(clips) / 2
    assert all(one.window_fallbacks == 0 for one in ours if one.encoder_window == window)
    truth = [clip.text for clip in clips]
    assert jiwer.wer(truth, [one.transcript for one in ours]) <= jiwer.wer(truth, [one.transcript for one in stock]) + margin


@pytest.mark.parametrize("window", ["trimmed", "adaptive"])
def test_short_windows_do_not_depend_on_the_company(clips: list[Clip], window: EncoderWindow) -> None:
    shortened = loaded(window)
    alone = [without_times(heard(shortened, clip, TranscriptionOptions())) for clip in clips[:8]]
    with ThreadPoolExecutor(8) as pool:
        together = [
            without_times(one) for one in pool.map(lambda clip: heard(shortened, clip, TranscriptionOptions()), clips[:8])
        ]
    assert [one.transcript for one in together] == [one.transcript for one in alone]
    assert [one.encoder_window for one in together] == [one.encoder_window for one in alone]


@pytest.mark.parametrize("window", ["trimmed", "adaptive"])
def test_a_short_window_that_is_not_believed_is_heard_as_a_full_one(
    engine: Engine, clips: list[Clip], window: EncoderWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_window, "believable", lambda *_: False)
    doubted, stock = (heard(one, clips[0], TranscriptionOptions()) for one in (loaded(window), engine))
    assert (doubted.transcript, doubted.segments) == (stock.transcript, stock.segments)
    assert (doubted.encoder_window, doubted.short_windows, doubted.window_fallbacks) == ("full", 1, 1)


@pytest.mark.parametrize("window", ["full", "trimmed", "adaptive"])
def test_to_detect_a_language_costs_no_second_encoding(
    clips: list[Clip], window: EncoderWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, encode = list[list[int]](), BatchingModel.encode

    def counted(model: BatchingModel, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:
        encoded.append(features.shape)
        return encode(model, features, to_cpu)

    monkeypatch.setattr(BatchingModel, "encode", counted)
    # The demo model knows one language.
    monkeypatch.setattr(encoder_window.ShortWindowModel, "is_multilingual", True, raising=False)
    monkeypatch.setattr(encoder_window.ShortWindowModel, "detect_language", lambda *_: [[("<|en|>", 0.75), ("<|de|>", 0.25)]])
    known = TranscriptionOptions(vad=False, temperature=0.0, language="en")
    unknown = known.model_copy(update={"language": None})
    detected, told = (heard(loaded(window), clips[0], options) for options in (unknown, known))
    assert (detected.language, detected.language_probability) == ("en", 0.75)
    assert [s.tokens for s in detected.segments] == [s.tokens for s in told.segments]
    assert len(encoded) == 2 * (1 + told.window_fallbacks)


@pytest.mark.parametrize("window", ["trimmed", "adaptive"])
def test_word_times_come_from_the_window_that_was_heard(engine: Engine, clips: list[Clip], window: EncoderWindow) -> None:
    options = TranscriptionOptions(word_timestamps=True)
    ours, stock = (heard(one, clips[0], options) for one in (loaded(window), engine))
    words, stock_words = ([word for segment in one.segments for word in segment.words or []] for one in (ours, stock))
    assert ours.transcript == stock.transcript and ours.encoder_window == window
    assert [word.start for word in words] == pytest.approx([word.start for word in stock_words], abs=0.15)
    assert [word.end for word in words] == pytest.approx([word.end for word in stock_words], abs=0.15)
