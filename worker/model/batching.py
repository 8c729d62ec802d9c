"""Several transcriptions share the calls to one model.

`BatchingModel` takes the place of `ctranslate2.models.Whisper` inside faster-whisper. Each `WhisperModel.transcribe()` runs in a
thread of its own, unmodified: VAD, prompts, the temperature ladder, word timestamps and the seek loop stay faster-whisper's.
Its calls to `generate` meet here, and those that can be answered together are answered by one call.

The encoder is not batched: on a processor, 30 s windows one by one are no slower than together, and the decoder is where
sharing pays (each step reads all weights once, for however many hypotheses).

Transcriptions that somebody waits for are urgent. While they are about, a call of a long file lets them pass for a while; and one
that has begun does not keep them waiting where the model runs two calls at once: they share the processor with it until it ends.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.models import Whisper, WhisperGenerationResult

from shared.logs import get_logger

#: How long a call waits for others that are on their way, but neither in the encoder nor here.
LINGER_SECONDS = 0.005
#: How long it waits for those in the encoder, which might never be empty.
PATIENCE_SECONDS = 10.0
#: How long each call that is not urgent lets urgent ones pass.
YIELD_SECONDS = 5.0
#: How soon a call that waits hears that it is to end. What it waits for wakes it.
HEARS_SECONDS = 0.1

_LOG = get_logger(__name__)


@dataclass(kw_only=True)
class _Call:
    """One `generate` of one window. `outcome` is its result, or what went wrong with it."""

    key: Hashable
    urgent: bool
    encoded: ctranslate2.StorageView
    prompt: Sequence[int]
    options: dict[str, Any]
    came_at: float
    outcome: WhisperGenerationResult | Exception | None = None

    def waited_seconds(self) -> float:
        """Since it came."""
        return time.monotonic() - self.came_at

    def presses(self) -> bool:
        """It goes first: urgent, or it has let others pass for long enough."""
        return self.urgent or self.waited_seconds() > YIELD_SECONDS


class BatchingModel:
    """As `ctranslate2.models.Whisper`, for use from several threads. Attributes that are not here are the model's own."""

    def __init__(self, model: Whisper, max_batch: int, at_once: int = 1, at_once_urgent: int = 1) -> None:
        """`at_once`: how many calls the model runs at the same time, `at_once_urgent`: how many of them may be urgent.

        All others leave a place, if there is more than one.
        """
        self._model, self._max_batch = model, max_batch
        self._places, self._places_of = at_once, {True: at_once_urgent, False: max(1, at_once - 1)}
        self._changed = threading.Condition()
        self._pending: list[_Call] = []
        #: By urgency: transcriptions under way; those of them that are in the encoder or wait for it; calls that the model runs.
        self._callers, self._encoding, self._running = {True: 0, False: 0}, {True: 0, False: 0}, {True: 0, False: 0}
        self._thread = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @property
    def at_the_encoder(self) -> int:
        """How many transcriptions are in the encoder, or wait for their turn there."""
        return sum(self._encoding.values())

    @contextmanager
    def caller(self, check: Callable[[], None], urgent: bool = True) -> Iterator[None]:
        """Around each transcription: others wait a moment for one that is under way.

        `check` is called in the thread of the transcription before each of its calls to the model, and raises to end it there.
        """
        self._thread.check, self._thread.urgent = check, urgent
        with self._counted(self._callers, urgent):
            yield

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:
        """One window. On a GPU the result comes to the CPU if it is to be joined with others."""
        self._thread.check()
        with self._counted(self._encoding, self._thread.urgent), self._turn(self._thread.urgent):
            return self._model.encode(features, to_cpu=to_cpu or (self._max_batch > 1 and self._model.device == "cuda"))

    def generate(
        self, encoded: ctranslate2.StorageView, prompts: Sequence[Sequence[int]], **options: Any
    ) -> list[WhisperGenerationResult]:
        """One window's tokens, decoded together with those of other threads where prompt length and options agree.

        Raises what the model raises for this window; a window that cannot be decoded spoils no other.
        """
        self._thread.check()
        (prompt,) = prompts
        # Only what has the same shape and the same options can share a call.
        urgent: bool = self._thread.urgent
        key = (urgent, len(prompt), tuple(encoded.shape), tuple(sorted((name, str(value)) for name, value in options.items())))
        call = _Call(key=key, urgent=urgent, encoded=encoded, prompt=prompt, options=options, came_at=time.monotonic())
        with self._changed:
            self._pending.append(call)
            self._changed.notify_all()
            try:
                while call.outcome is None:
                    if batch := self._next_batch(call):
                        self._generate_for(batch)
                    else:
                        self._wait(call)
            finally:
                if call in self._pending:
                    self._pending.remove(call)
        if isinstance(call.outcome, Exception):
            raise call.outcome
        return [call.outcome]

    def align(self, *arguments: Any, **options: Any) -> Any:
        """As the model's."""
        return self._alone(self._model.align, *arguments, **options)

    def detect_language(self, *arguments: Any, **options: Any) -> Any:
        """As the model's."""
        return self._alone(self._model.detect_language, *arguments, **options)

    def _alone(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A call that is shared with nobody."""
        self._thread.check()
        with self._turn(self._thread.urgent):
            return call(*arguments, **options)

    def _wait(self, call: _Call) -> None:
        """A moment. Who is still in the queue moves; who shares the call that runs has to answer for it, should it hang."""
        self._changed.wait(HEARS_SECONDS if call.waited_seconds() > LINGER_SECONDS else LINGER_SECONDS)
        if call in self._pending:
            self._thread.check()

    @contextmanager
    def _counted(self, counts: dict[bool, int], urgent: bool) -> Iterator[None]:
        with self._changed:
            counts[urgent] += 1
        try:
            yield
        finally:
            with self._changed:
                counts[urgent] -= 1
                self._changed.notify_all()

    @contextmanager
    def _turn(self, urgent: bool) -> Iterator[None]:
        """A place in the model. What is not urgent lets pass who is, for a while."""
        yields_until = time.monotonic() + (0.0 if urgent else YIELD_SECONDS)
        with self._changed:
            while not self._has_place(urgent) or (self._callers[True] and time.monotonic() < yields_until):
                self._changed.wait(min(1.0, YIELD_SECONDS))
                self._thread.check()
            self._running[urgent] += 1
        try:
            yield
        finally:
            with self._changed:
                self._running[urgent] -= 1
                self._changed.notify_all()

    def _has_place(self, urgent: bool) -> bool:
        return self._running[urgent] < self._places_of[urgent] and sum(self._running.values()) < self._places

    def _next_batch(self, own: _Call) -> list[_Call]:
        """What is to be generated now: what waits longest, and what can share its call; or nothing.

        Only by a thread whose own call is in it: it would have to stay for somebody else's.
        """
        ready = [head for urgent in (True, False) if (head := self._ready(urgent))]
        if not ready:
            return []
        first = min(ready, key=lambda head: (not head.presses(), head.came_at))
        batch = [call for call in self._pending if call.key == first.key][: self._max_batch]
        if own not in batch:
            return []
        self._pending = [call for call in self._pending if call not in batch]
        return batch

    def _ready(self, urgent: bool) -> _Call | None:
        """The first call of a kind, if it may be generated: there is a place, and nobody is worth waiting for."""
        here = [call for call in self._pending if call.urgent == urgent]
        if not here or not self._has_place(urgent) or (self._callers[True] and not here[0].presses()):
            return None
        waited_seconds = here[0].waited_seconds()
        if self._encoding[urgent] and waited_seconds < PATIENCE_SECONDS:
            return None
        all_are_here = len(here) >= min(self._callers[urgent], self._max_batch)
        return here[0] if all_are_here or waited_seconds > LINGER_SECONDS else None

    def _generate_for(self, batch: list[_Call]) -> None:
        """In this thread, for all whose call it is; the lock is free meanwhile."""
        urgent = batch[0].urgent
        self._running[urgent] += 1
        self._changed.release()
        try:
            self._answer(batch)
        finally:
            self._changed.acquire()
            self._running[urgent] -= 1
            self._changed.notify_all()

    def _answer(self, batch: list[_Call]) -> None:
        try:
            encoded = batch[0].encoded if len(batch) == 1 else _joined([call.encoded for call in batch])
            results = self._model.generate(encoded, [call.prompt for call in batch], **batch[0].options)
            for call, result in zip(batch, results, strict=True):
                call.outcome = result
        except Exception as error:
            if len(batch) == 1:
                batch[0].outcome = error
                return
            # Once in a while it is a bad window. If it is each time (too little memory on a GPU), sharing gains nothing.
            _LOG.warning("shared_call_failed", calls=len(batch), error=type(error).__name__, hint="a lower WHISPER_BATCH_SIZE?")
            for call in batch:
                self._answer([call])


def _joined(encoded: Sequence[ctranslate2.StorageView]) -> ctranslate2.StorageView:
    """(1, positions, width) each, to (count, positions, width)."""
    kind = encoded[0].dtype
    # numpy knows no bfloat16; what is widened and narrowed again stays the same.
    readable = [view.to(ctranslate2.DataType.float32) if kind == ctranslate2.DataType.bfloat16 else view for view in encoded]
    joined = ctranslate2.StorageView.from_array(np.concatenate([np.asarray(view) for view in readable]))
    return joined if joined.dtype == kind else joined.to(kind)
