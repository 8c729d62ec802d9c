"""Several transcriptions share the calls to one model.

`BatchingModel` takes the place of `ctranslate2.models.Whisper` inside faster-whisper. Each `WhisperModel.transcribe()` runs
unmodified in a thread of its own: VAD, prompts, the temperature ladder, word timestamps and the seek loop stay faster-whisper's.
The `generate` calls of all threads meet here, and one call to the model answers all those that can be decoded together.

Calls to the encoder are not batched: on a CPU, 30 s windows one by one are no slower than together. Sharing pays in the decoder,
where each step reads all weights once, for any number of hypotheses.

Transcriptions that a caller waits for are urgent. While one is under way, the calls of a long file let it go first, each for
`YIELD_SECONDS`. If the model runs two calls at once, urgent calls do not wait for a long file's call that has begun: both share
the processor until that call ends.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ctranslate2
from ctranslate2.models import Whisper, WhisperGenerationResult

from shared.logs import get_logger
from worker.model.encoders.encoder import Encoder
from worker.model.encodings import joined

#: How long a call waits for calls of transcriptions that are under way, but are neither in the encoder nor here.
LINGER_SECONDS = 0.005
#: How long a call waits for transcriptions in the encoder. The encoder may never be empty, so there must be a limit.
PATIENCE_SECONDS = 10.0
#: How long each call that is not urgent lets urgent calls go first.
YIELD_SECONDS = 5.0
#: How soon a waiting `generate` notices that its decode was given up. The events that it waits for wake it at once.
HEARS_SECONDS = 0.1

_LOG = get_logger(__name__)


@dataclass(kw_only=True)
class _Call:
    """One `generate` of one window. `outcome` is its result, or the exception that the model raised for it."""

    key: Hashable
    urgent: bool
    encoded: ctranslate2.StorageView
    prompt: Sequence[int]
    options: dict[str, Any]
    came_at: float
    outcome: WhisperGenerationResult | Exception | None = None

    def waited_seconds(self) -> float:
        """How long this call has waited."""
        return time.monotonic() - self.came_at

    def presses(self) -> bool:
        """Whether this call goes before others: it is urgent, or it has let urgent calls go first for long enough."""
        return self.urgent or self.waited_seconds() > YIELD_SECONDS


class BatchingModel:
    """A `ctranslate2.models.Whisper` for use from several threads. All other attributes are the model's own."""

    def __init__(self, model: Whisper, encoder: Encoder, max_batch: int, at_once: int = 1, at_once_urgent: int = 1) -> None:
        """`encoder` encodes; `model` does all else. `max_batch`: most windows in one `generate`.

        `at_once`: how many calls the model runs at the same time. `at_once_urgent`: how many of these calls may be urgent. Calls
        that are not urgent leave one place free, if there is more than one.
        """
        self._model, self._encoder, self._max_batch = model, encoder, max_batch
        self._places, self._places_of = at_once, {True: at_once_urgent, False: max(1, at_once - 1)}
        self._changed = threading.Condition()
        self._pending: list[_Call] = []
        #: By urgency: transcriptions under way; transcriptions in the encoder or waiting for it; calls that the model runs.
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
        """Wrap each transcription in this: calls of other transcriptions wait a moment for the calls of this one.

        `check` is called in the transcription's thread before each of its calls to the model, and while a call waits. It raises
        to end the transcription there.
        """
        self._thread.check, self._thread.urgent = check, urgent
        with self._counted(self._callers, urgent):
            yield

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:
        """Encode one window. On a GPU the result comes to the CPU if windows may be joined (`max_batch` above 1)."""
        self._thread.check()
        with self._counted(self._encoding, self._thread.urgent), self._turn(self._thread.urgent):
            return self._encoder.encode(features, to_cpu=to_cpu or (self._max_batch > 1 and self._model.device == "cuda"))

    def generate(
        self, encoded: ctranslate2.StorageView, prompts: Sequence[Sequence[int]], **options: Any
    ) -> list[WhisperGenerationResult]:
        """The tokens of one window, decoded together with windows of other threads that agree in prompt length and options.

        Raises what the model raises for this window. A window that cannot be decoded does not fail the windows beside it.
        """
        self._thread.check()
        (prompt,) = prompts
        # Only calls with the same shape and the same options can share a call to the model.
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
        """As the model's own `align`."""
        return self._alone(self._model.align, *arguments, **options)

    def detect_language(self, *arguments: Any, **options: Any) -> Any:
        """As the model's own `detect_language`."""
        return self._alone(self._model.detect_language, *arguments, **options)

    def _alone(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Run a call for this thread alone, without sharing it."""
        self._thread.check()
        with self._turn(self._thread.urgent):
            return call(*arguments, **options)

    def _wait(self, call: _Call) -> None:
        """Wait a moment, then check whether this decode was given up, unless its call is running already.

        The check also tells the supervisor that this decode moves. A decode whose call is running must not say so: the call may
        hang.
        """
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
        """Wait for a place in the model and hold it. A call that is not urgent lets urgent ones go first for `YIELD_SECONDS`."""
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
        """The calls to generate now: the one that goes first, else the oldest, and those that can share its call; or none.

        Also none if the thread's `own` call is not among them: the thread would have to stay for the call of another one.
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
        """The first call of this urgency, if it may be generated: there is a place, and no other call is worth waiting for."""
        here = [call for call in self._pending if call.urgent == urgent]
        if not here or not self._has_place(urgent) or (self._callers[True] and not here[0].presses()):
            return None
        waited_seconds = here[0].waited_seconds()
        if self._encoding[urgent] and waited_seconds < PATIENCE_SECONDS:
            return None
        all_are_here = len(here) >= min(self._callers[urgent], self._max_batch)
        return here[0] if all_are_here or waited_seconds > LINGER_SECONDS else None

    def _generate_for(self, batch: list[_Call]) -> None:
        """Generate for all calls of the batch in this thread. The lock is free meanwhile."""
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
            encoded = batch[0].encoded if len(batch) == 1 else joined([call.encoded for call in batch])
            results = self._model.generate(encoded, [call.prompt for call in batch], **batch[0].options)
            for call, result in zip(batch, results, strict=True):
                call.outcome = result
        except Exception as error:
            if len(batch) == 1:
                batch[0].outcome = error
                return
            # Sometimes one window is bad. If every shared call fails (too little memory on a GPU), sharing gains nothing.
            _LOG.warning("shared_call_failed", calls=len(batch), error=type(error).__name__, hint="a lower WHISPER_BATCH_SIZE?")
            for call in batch:
                self._answer([call])
