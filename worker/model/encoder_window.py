"""Encode the audio of a window without most of its padding.

faster-whisper pads every window with zeros to 30 s, and the encoder's work grows with the padded length. CTranslate2 takes
shorter input, so a 3 s utterance can be encoded with a sixth of the work. Whisper was trained on 30 s windows, though: with too
little silence after the speech a decoder may go wrong. Hence a margin of silence, and a gate: a result that looks wrong is
decoded again with the full window.

Evidence for the margin (128 encoder positions, 2.56 s) and for the loops without one: whisper.cpp issues 137 and 1855 and pull
request 3532, and the whisper-acft project.
"""

import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.models import WhisperGenerationResult

from worker.model.batching import BatchingModel

FRAMES_PER_SECOND = 100
MARGIN_FRAMES = 256
#: The sizes of short windows, in frames. They are few, so that windows of several jobs can still share a call.
BUCKETS = (400, 480, 560, 640, 720, 800, 1000, 1250, 1500, 2000)
#: A short window's result is not believed below this average log probability, or above this compression ratio of its tokens (a
#: decoder in a loop repeats itself) or this rate of tokens.
LEAST_LOG_PROBABILITY = -0.8
MOST_COMPRESSION = 2.4
MOST_TOKENS_PER_SECOND = 15.0
#: Nor below this rate of tokens: slow speech has two a second, and a segment's times are two tokens more. One second of the
#: content may be a pause and is not counted. From `NO_SPEECH` on (Whisper's own threshold) the model hears no speech: then few
#: tokens are right.
LEAST_TOKENS_PER_SECOND, NO_SPEECH = 1.0, 0.6
LEAST_LANGUAGE_PROBABILITY = 0.5


@dataclass
class Windows:
    """How many windows a transcription has had, how many of them were short, and how many of the short ones were not believed."""

    all: int = 0
    short: int = 0
    fallbacks: int = 0

    @property
    def kind(self) -> str:
        """`full` (no short window was believed), `adaptive` (every window was short and believed), or `mixed`."""
        believed = self.short - self.fallbacks
        if not believed:
            return "full"
        return "adaptive" if believed == self.all else "mixed"


@dataclass
class _Current:
    """The window that a thread is working on: its padded features, and its encoding, short or full."""

    features: ctranslate2.StorageView
    content_seconds: float
    encoded: ctranslate2.StorageView
    is_short: bool
    is_counted: bool = False


class AdaptiveWindow:
    """Wraps a `BatchingModel` and shortens its windows. A thread runs one transcription at a time."""

    def __init__(self, model: BatchingModel, shorten: bool) -> None:
        """`shorten`: False leaves every window at its full length."""
        self._model, self._shorten = model, shorten
        self._thread = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @contextmanager
    def caller(self, check: Callable[[], None], urgent: bool) -> Iterator[Windows]:
        """As `BatchingModel.caller`. The yielded `Windows` counts the windows of this transcription."""
        self._thread.windows = Windows()
        with self._model.caller(check, urgent):
            yield self._thread.windows

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:
        """The encoding of a padded window (1, mels, 3000), as short as its content and the margin allow."""
        padded = np.asarray(features)
        content = content_frames(padded)
        fitting = [bucket for bucket in BUCKETS if content + MARGIN_FRAMES <= bucket < padded.shape[-1]]
        size = fitting[0] if fitting and self._shorten else None
        shortened = features if size is None else ctranslate2.StorageView.from_array(np.ascontiguousarray(padded[..., :size]))
        encoded = self._model.encode(shortened, to_cpu)
        self._thread.current = _Current(features, content / FRAMES_PER_SECOND, encoded, size is not None)
        return encoded

    def detect_language(self, _: ctranslate2.StorageView) -> Any:
        """As the model's own. If the answer from a short window is unsure, detect again with the full window."""
        current: _Current = self._thread.current
        answer = self._model.detect_language(current.encoded)
        if current.is_short and answer[0][0][1] < LEAST_LANGUAGE_PROBABILITY:
            answer = self._model.detect_language(self._model.encode(current.features))
        return answer

    def generate(
        self, _: ctranslate2.StorageView, prompts: Sequence[Sequence[int]], **options: Any
    ) -> list[WhisperGenerationResult]:
        """As `BatchingModel.generate`. If a short window's result is not believable, decode again with the full window."""
        current: _Current = self._thread.current
        self._count(current)
        results = self._model.generate(current.encoded, prompts, **options)
        if current.is_short and not believable(results[0], len(prompts[0]), current.content_seconds, options):
            current.encoded, current.is_short = self._model.encode(current.features), False
            self._thread.windows.fallbacks += 1
            results = self._model.generate(current.encoded, prompts, **options)
        return results

    def _count(self, current: _Current) -> None:
        """Count each window once, at its first decode. Further temperatures decode the same window again."""
        if not current.is_counted:
            current.is_counted = True
            self._thread.windows.all += 1
            self._thread.windows.short += current.is_short

    def align(self, _: ctranslate2.StorageView, *arguments: Any, **options: Any) -> Any:
        """Align words with the encoding that the text was decoded from."""
        return self._model.align(self._thread.current.encoded, *arguments, **options)


def content_frames(padded: np.ndarray[Any, Any]) -> int:
    """How many frames precede the padding. Padding is exactly zero, unlike log-mel frames."""
    used = np.flatnonzero(padded.any(axis=tuple(range(padded.ndim - 1))))
    return int(used[-1]) + 1 if len(used) else 0


def believable(result: WhisperGenerationResult, prompt_length: int, seconds: float, options: dict[str, Any]) -> bool:
    """Whether the result of a short window looks like speech that was decoded to its end. `seconds`: length of its content."""
    tokens = result.sequences_ids[0]
    length = len(tokens)
    # faster-whisper's own formula: the score is the sum of log probabilities over length ** length_penalty.
    log_probability = result.scores[0] * length ** float(options.get("length_penalty", 1)) / (length + 1)
    # CTranslate2's Whisper gives a window half of `max_length` tokens at most.
    most = int(options.get("max_length", 448))
    ended = length < min(most // 2, most - prompt_length)
    fast = length > MOST_TOKENS_PER_SECOND * max(1.0, seconds)
    missed = length < LEAST_TOKENS_PER_SECOND * (seconds - 1) and result.no_speech_prob < NO_SPEECH
    likely = log_probability >= LEAST_LOG_PROBABILITY and _compression(tokens) <= MOST_COMPRESSION
    return ended and not fast and not missed and likely


def _compression(tokens: Sequence[int]) -> float:
    """The compression ratio of the tokens. It is high for a decoder in a loop, which repeats itself."""
    raw = np.asarray(tokens, np.uint16).tobytes()
    return len(raw) / max(1, len(zlib.compress(raw)))
