"""Transcribes recordings in several configurations: each encoder with each encoder window."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from shared.jobs.options import TranscriptionOptions
from shared.transcripts.transcript import EncoderWindow, Transcript
from worker.calibrate.recordings import Recording
from worker.calibrate.words import WordErrors, word_errors
from worker.engine_settings import EngineSettings
from worker.model.encoders.encoder import EncoderUnavailable
from worker.model.engine import Engine
from worker.model.engine_protocol import Nobody


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """An encoder, what it calculates in, and a window."""

    encoder: str
    precision: str
    window: EncoderWindow


@dataclass(kw_only=True)
class Measured:
    """All recordings in one configuration. `seconds`: how long that took. `texts`: what was heard, in their order."""

    configuration: Configuration
    seconds: float = 0.0
    texts: list[str] = field(default_factory=list)
    short_windows: int = 0
    fallbacks: int = 0

    def add(self, transcript: Transcript, seconds: float) -> None:
        """Add the next recording."""
        self.texts.append(transcript.transcript)
        self.seconds += seconds
        self.short_windows += transcript.short_windows
        self.fallbacks += transcript.window_fallbacks

    def against(self, other: "Measured") -> WordErrors:
        """The words that differ from those of another configuration."""
        return sum((word_errors(*texts) for texts in zip(other.texts, self.texts, strict=True)), WordErrors())

    def against_references(self, recordings: Sequence[Recording]) -> WordErrors:
        """The words that differ from the references, over all recordings that have one."""
        pairs = zip(recordings, self.texts, strict=True)
        return sum((word_errors(one.reference, text) for one, text in pairs if one.reference is not None), WordErrors())


class Progress(Protocol):
    """Is told how far the measuring is."""

    def begins(self, what: str) -> None: ...

    def has_heard(self, seconds: float) -> None: ...


def measure_all(
    recordings: Sequence[Recording],
    settings: EngineSettings,
    encoders: Sequence[str],
    windows: Sequence[EncoderWindow],
    progress: Progress,
    load: Callable[[EngineSettings], Engine] = Engine,
) -> tuple[list[Measured], dict[str, str]]:
    """Measure every encoder with every window, and say why an encoder could not be measured: {encoder: reason}.

    One model at a time is in memory. Raises what the engine raises when the model cannot be loaded.
    """
    measured, reasons = list[Measured](), dict[str, str]()
    for encoder in encoders:
        progress.begins(f"loading, {encoder}")
        try:
            engine = load(replace(settings, encoder=encoder))
        except EncoderUnavailable as error:
            reasons[encoder] = str(error)
            continue
        if engine.encoder.name == encoder:
            progress.begins(encoder)
            engine.canary()
            measured += _measure(recordings, engine, windows, progress)
        else:
            reasons[encoder] = engine.encoder.why
        del engine
        gc.collect()
    return measured, reasons


def _measure(
    recordings: Sequence[Recording], engine: Engine, windows: Sequence[EncoderWindow], progress: Progress
) -> list[Measured]:
    """Each recording in all windows, one after the other. The first window changes, since a machine's speed does."""
    used = engine.encoder
    measured = [Measured(configuration=Configuration(encoder=used.name, precision=used.precision, window=w)) for w in windows]
    for number, recording in enumerate(recordings):
        first = number % len(measured)
        for one in measured[first:] + measured[:first]:
            engine.use_window(one.configuration.window)
            started = time.perf_counter()
            transcript = engine.transcribe(recording.samples, TranscriptionOptions(), 0.0, Nobody())
            one.add(transcript, time.perf_counter() - started)
            progress.has_heard(recording.seconds)
    return measured
