"""Word times match the audio, also behind pauses that the VAD takes out, and across the pieces of a long file."""

import json
from functools import cache

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from shared.jobs.options import TranscriptionOptions
from shared.settings import WorkerSettings
from shared.transcripts.transcript import Word
from tests.audio_files import with_soundfile
from tests.conftest import CLIPS
from tests.processes import Stack
from worker.chosen_engine import chosen_engine
from worker.model.engine import Engine
from worker.model.engine_protocol import Nobody

RATE_HZ = 16_000
NAMES = [f"everyday_{number:03d}.wav" for number in range(8)]
TIMED = TranscriptionOptions(word_timestamps=True)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(chosen_engine(WorkerSettings(whisper_model="demo", whisper_cpu_threads=2)))


@cache
def samples_of(name: str) -> NDArray[np.float32]:
    samples, _ = soundfile.read(CLIPS / name, dtype="float32")
    return np.asarray(samples, np.float32)


def with_pauses(seed: int, clips: int, longest_seconds: float = 9.0) -> tuple[NDArray[np.float32], list[tuple[str, float]]]:
    """Clips with pauses between them, and where each clip begins."""
    rng = np.random.default_rng(seed)
    parts, begins, at = list[NDArray[np.float32]](), list[tuple[str, float]](), 0
    for name in rng.choice(NAMES, clips, replace=clips > len(NAMES)):
        pause = rng.normal(0, 1e-3, int(rng.uniform(2.5, longest_seconds) * RATE_HZ)).astype(np.float32)
        begins.append((str(name), at / RATE_HZ))
        parts += [samples_of(str(name)), pause]
        at += len(parts[-1]) + len(parts[-2])
    return np.concatenate(parts), begins


def first_word(engine: Engine, name: str) -> Word:
    """The first word in the transcript of the clip alone."""
    segments = engine.transcribe(samples_of(name), TIMED.model_copy(update={"vad": False}), 0.0, Nobody()).segments
    words = segments[0].words
    assert words
    return words[0]


def furthest_off(engine: Engine, begins: list[tuple[str, float]], words: list[tuple[str, float]]) -> list[float]:
    """For each clip, how far its first word is from its place (the nearest such word; 99 when there is none)."""
    off = []
    for name, at in begins:
        first = first_word(engine, name)
        off.append(min((abs(start - at - first.start) for word, start in words if word == first.word.strip()), default=99.0))
    return off


@pytest.mark.parametrize("seed", range(8))
def test_a_clip_behind_a_pause_begins_where_it_was_said(engine: Engine, seed: int) -> None:
    sound, begins = with_pauses(seed, clips=4)
    segments = engine.transcribe(sound, TIMED, 0.0, Nobody()).segments
    words = [(word.word.strip(), word.start) for segment in segments for word in segment.words or ()]
    assert max(furthest_off(engine, begins, words)) <= 0.3
    assert all(s.start <= word.start <= word.end <= s.end for s in segments for word in s.words or ())


def test_so_it_does_across_the_pieces_of_a_long_file(engine: Engine, stack: Stack) -> None:
    sound, begins = with_pauses(99, clips=16, longest_seconds=7.0)
    with stack.client() as client:
        answer = client.post("/v1/jobs?wait=60&word_timestamps=true", content=with_soundfile(sound, "FLAC", "PCM_16"))
    result = answer.json()["result"]
    words = [(word["word"].strip(), word["start"]) for segment in result["segments"] for word in segment["words"]]
    assert result["duration"] > 90 and max(furthest_off(engine, begins, words)) <= 0.3, json.dumps(words)
