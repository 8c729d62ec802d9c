"""Spare the model most of the padding of a window.

faster-whisper pads every window with zeros to 30 s. Both halves of the model work on all of it: the encoder, and the decoder,
which attends to 1500 encoder positions. A 3 s utterance needs a fifth of them.

- `adaptive`: the encoder gets a shorter window. CTranslate2 takes shorter input, but Whisper was trained on windows of 30 s.
- `trimmed`: the encoder gets the full window, so its output is exact. The decoder gets the first positions of it.

With too little silence after the speech a decoder may go wrong. Hence a margin of silence, and a gate (`worker.model.gate`): a
result that looks wrong is decoded again with all positions.

Evidence for the margin (128 encoder positions, 2.56 s) and for the loops without one: whisper.cpp issues 137 and 1855 and pull
request 3532, and the whisper-acft project.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.models import WhisperGenerationResult

from shared.transcripts.transcript import EncoderWindow
from worker.model.batching import BatchingModel
from worker.model.encodings import first_positions
from worker.model.gate import believable

FRAMES_PER_SECOND = 100
#: The encoder makes one position of two frames.
FRAMES_PER_POSITION = 2
MARGIN_POSITIONS = 128
#: The sizes of short windows, in positions. Only windows of one size share a call to the decoder, and the size of a window must
#: not depend on the windows beside it. Hence few sizes (decision 25).
SIZES = (280, 400, 528, 750, 1000)
LEAST_LANGUAGE_PROBABILITY = 0.5


@dataclass
class WindowCounts:
    """How many windows a transcription has had, how many of them were short, and how many of the short ones were not believed."""

    short_kind: EncoderWindow
    all: int = 0
    short: int = 0
    fallbacks: int = 0

    @property
    def kind(self) -> str:
        """`full` (no short window was believed), `trimmed` or `adaptive` (every window was short and believed), or `mixed`."""
        believed = self.short - self.fallbacks
        if not believed:
            return "full"
        return self.short_kind if believed == self.all else "mixed"


@dataclass
class _Window:
    """The window that a thread is working on. `features`: padded, (1, mels, 3000)."""

    features: ctranslate2.StorageView
    content_seconds: float
    #: The encoding that the decoder gets.
    encoded: ctranslate2.StorageView
    #: The encoding of the full window, if there is one.
    full: ctranslate2.StorageView | None
    is_counted: bool = False

    @property
    def is_short(self) -> bool:
        return self.encoded is not self.full


class ShortWindowModel:
    """Wraps a `BatchingModel` and shortens its windows. A thread runs one transcription at a time."""

    def __init__(self, model: BatchingModel, kind: EncoderWindow) -> None:
        """`kind`: `full` leaves every window at its full length."""
        self._model, self.kind = model, kind
        self._thread = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @contextmanager
    def caller(self, check: Callable[[], None], urgent: bool) -> Iterator[WindowCounts]:
        """As `BatchingModel.caller`. The yielded counts are of the windows of this transcription."""
        self._thread.counts, self._thread.window = WindowCounts(self.kind), None
        try:
            with self._model.caller(check, urgent):
                yield self._thread.counts
        finally:
            self._thread.window = None

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:
        """The encoding of a padded window (1, mels, 3000), as short as its content and the margin allow.

        A window that the thread has just encoded, to detect its language, is not encoded again.
        """
        padded, last = np.asarray(features), self._thread.window
        if last is not None and np.array_equal(padded, np.asarray(last.features)):
            return last.encoded
        content = content_frames(padded)
        size = None if self.kind == "full" else short_size(content, padded.shape[-1])
        full = None
        if size is not None and self.kind == "adaptive":
            short = np.ascontiguousarray(padded[..., : size * FRAMES_PER_POSITION])
            encoded = self._model.encode(ctranslate2.StorageView.from_array(short), to_cpu)
        else:
            full = self._model.encode(features, to_cpu or size is not None)
            encoded = full if size is None else first_positions(full, size)
        self._thread.window = _Window(features, content / FRAMES_PER_SECOND, encoded, full)
        return encoded

    def detect_language(self, _: ctranslate2.StorageView) -> Any:
        """As the model's own. With the full window if it is encoded, or if the answer from a short one is unsure."""
        window: _Window = self._thread.window
        if window.full is None:
            answer = self._model.detect_language(window.encoded)
            if answer[0][0][1] >= LEAST_LANGUAGE_PROBABILITY:
                return answer
        return self._model.detect_language(self._full(window))

    def generate(
        self, _: ctranslate2.StorageView, prompts: Sequence[Sequence[int]], **options: Any
    ) -> list[WhisperGenerationResult]:
        """As `BatchingModel.generate`. If a short window's result is not believable, decode again with the full window."""
        window: _Window = self._thread.window
        self._count(window)
        results = self._model.generate(window.encoded, prompts, **options)
        if window.is_short and not believable(results[0], len(prompts[0]), window.content_seconds, options):
            window.encoded = self._full(window)
            self._thread.counts.fallbacks += 1
            results = self._model.generate(window.encoded, prompts, **options)
        return results

    def align(self, _: ctranslate2.StorageView, *arguments: Any, **options: Any) -> Any:
        """Align words with the encoding that the text was decoded from."""
        return self._model.align(self._thread.window.encoded, *arguments, **options)

    def _full(self, window: _Window) -> ctranslate2.StorageView:
        """The encoding of the full window."""
        if window.full is None:
            window.full = self._model.encode(window.features)
        return window.full

    def _count(self, window: _Window) -> None:
        """Count each window once, at its first decode. Further temperatures decode the same window again."""
        if not window.is_counted:
            window.is_counted = True
            self._thread.counts.all += 1
            self._thread.counts.short += window.is_short


def content_frames(padded: np.ndarray[Any, Any]) -> int:
    """How many frames precede the padding. Padding is exactly zero, unlike log-mel frames."""
    used = np.flatnonzero(padded.any(axis=tuple(range(padded.ndim - 1))))
    return int(used[-1]) + 1 if len(used) else 0


def short_size(content: int, frames: int) -> int | None:
    """The size in positions of a short window for this many frames of content. None: only the full window, of `frames`, fits."""
    needed = content / FRAMES_PER_POSITION + MARGIN_POSITIONS
    return next((size for size in SIZES if needed <= size < frames // FRAMES_PER_POSITION), None)
