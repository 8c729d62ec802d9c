"""Unmodified faster-whisper on a CTranslate2 model of int8: in sequence, and its BatchedInferencePipeline."""

from itertools import pairwise
from typing import Literal

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel

from tests.benchmarks.baselines.process import Clips, Transcribe

How = Literal["sequence", "batched", "long", "long batched"]
SAMPLE_RATE_HZ = 16_000
BATCH = 8


def load(threads: int, *, model: str, how: How) -> Transcribe:
    """`long` is for files: voices are looked for first. `batched` joins the clips into one file and tells where each lies."""
    whisper = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=threads)
    ways = {"sequence": _sequence, "batched": _batched, "long": _long, "long batched": _long_batched}
    return lambda clips: ways[how](whisper, clips)


def _sequence(whisper: WhisperModel, clips: Clips) -> list[str]:
    return [_alone(whisper, clip, voices=False) for clip in clips]


def _long(whisper: WhisperModel, clips: Clips) -> list[str]:
    return [_alone(whisper, clip, voices=True) for clip in clips]


def _alone(whisper: WhisperModel, clip: np.ndarray, *, voices: bool) -> str:
    options = {"language": "en", "beam_size": 5, "vad_filter": voices, "condition_on_previous_text": False}
    return " ".join(segment.text.strip() for segment in whisper.transcribe(clip, **options)[0])


def _batched(whisper: WhisperModel, clips: Clips) -> list[str]:
    """The pipeline makes batches of one file's parts only: clip by clip it would be no faster than the sequence."""
    ends = np.cumsum([0, *(len(clip) for clip in clips)]) / SAMPLE_RATE_HZ
    places = [{"start": start, "end": end} for start, end in pairwise(ends)]
    options = {"language": "en", "beam_size": 5, "batch_size": BATCH, "vad_filter": False, "clip_timestamps": places}
    segments = BatchedInferencePipeline(whisper).transcribe(np.concatenate(clips), **options)[0]
    return [segment.text.strip() for segment in segments]


def _long_batched(whisper: WhisperModel, clips: Clips) -> list[str]:
    options = {"language": "en", "beam_size": 5, "batch_size": BATCH}
    heard = [BatchedInferencePipeline(whisper).transcribe(clip, **options)[0] for clip in clips]
    return [" ".join(segment.text.strip() for segment in segments) for segments in heard]
