"""What adaptive encoder windows gain and cost, on the operator's own audio and model."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jiwer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from shared.audio.sound import Samples
from shared.audio.walls.shared_memory import SharedFile
from shared.jobs.options import TranscriptionOptions
from shared.settings import WorkerSettings
from worker.chosen_engine import chosen_engine
from worker.model.decode import Decoder
from worker.model.engine_protocol import EngineProtocol, Nobody, load_engine

#: Below this agreement of words, or below this speed-up, full windows are the better choice.
LEAST_AGREEMENT, LEAST_SPEEDUP = 0.98, 1.2


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One file decoded with both windows. `agreement` is 1 minus the word error rate of adaptive against full."""

    name: str
    audio_seconds: float
    full_seconds: float
    adaptive_seconds: float
    agreement: float
    window: str


def compare_all(files: Sequence[Path], console: Console) -> list[Comparison]:
    """Decode every file with both windows, and show a progress bar. Raises a `FleetError` for audio that cannot be read."""
    settings = WorkerSettings()
    clips = _decoded(files, settings.max_audio_length_seconds)
    full, adaptive = _engine(settings, "full"), _engine(settings, "adaptive")
    return [compare(full, adaptive, *clip) for clip in track(clips, "Decoding twice", console=console, transient=True)]


def _decoded(files: Sequence[Path], max_seconds: float) -> list[tuple[str, Samples]]:
    """The name and the samples of each file, decoded as for a job with default options."""
    decoder = Decoder()
    decoder.start()
    try:
        wanted = TranscriptionOptions().wanted(max_seconds)
        heard = [decoder.decode(SharedFile(path.read_bytes()), wanted, max_seconds, 1, check=lambda: None) for path in files]
    finally:
        decoder.close()
    return [(path.name, sounds.samples[0]) for path, sounds in zip(files, heard, strict=True)]


def compare(full: EngineProtocol, adaptive: EngineProtocol, name: str, samples: Samples) -> Comparison:
    """Decode a clip (mono float32, 16 kHz) with both windows."""
    heard, took = [], []
    for engine in (full, adaptive):
        started = time.perf_counter()
        heard.append(engine.transcribe(samples, TranscriptionOptions(), 0.0, Nobody()))
        took.append(time.perf_counter() - started)
    reference, other = (transcript.transcript.lower() for transcript in heard)
    return Comparison(
        name=name,
        audio_seconds=heard[0].duration,
        full_seconds=took[0],
        adaptive_seconds=took[1],
        agreement=max(0.0, 1 - jiwer.wer(reference, other)) if reference else float(not other),
        window=heard[1].encoder_window,
    )


def recommendation(compared: Sequence[Comparison]) -> str:
    """One sentence for the operator."""
    speedup = sum(c.full_seconds for c in compared) / sum(c.adaptive_seconds for c in compared)
    seconds = sum(c.audio_seconds for c in compared)
    agreement = sum(c.agreement * c.audio_seconds for c in compared) / seconds if seconds else 1.0
    seen = f"{speedup:.1f} x as fast, {agreement:.1%} of the words agree"
    if agreement < LEAST_AGREEMENT:
        return f"{seen}: keep WHISPER_ENCODER_WINDOW=full."
    if speedup < LEAST_SPEEDUP:
        return f"{seen}: WHISPER_ENCODER_WINDOW=adaptive gains little here; keep full."
    return f"{seen}: WHISPER_ENCODER_WINDOW=adaptive pays on this audio."


def _engine(settings: WorkerSettings, window: Literal["full", "adaptive"]) -> EngineProtocol:
    engine = load_engine(chosen_engine(settings.model_copy(update={"whisper_encoder_window": window})))
    engine.canary()
    return engine


def comparison_table(compared: Sequence[Comparison]) -> Table:
    """The comparisons as a table for a terminal."""
    table = Table("file", "audio s", "full s", "adaptive s", "speed-up", "words agree", "windows")
    for c in compared:
        speedup = f"{c.full_seconds / c.adaptive_seconds:.1f} x"
        times = (f"{value:.2f}" for value in (c.audio_seconds, c.full_seconds, c.adaptive_seconds))
        table.add_row(c.name, *times, speedup, f"{c.agreement:.1%}", c.window)
    return table
