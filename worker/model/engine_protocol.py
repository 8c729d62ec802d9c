"""What the model process needs from an engine. `worker.model.engine.Engine` ships; tests bring engines that misbehave."""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from shared.audio.sound import Samples
from shared.jobs.options import TranscriptionOptions
from shared.transcripts.transcript import Segment, Transcript
from worker.engine_settings import EngineSettings
from worker.messages import ChosenEncoder


class DecodeStopped(Exception):
    """Raised to end a decode whose job was given up."""


class Listener(Protocol):
    """Receives the progress of a decode. Both methods raise `DecodeStopped` once the job has been given up."""

    #: A caller waits for the transcript: the decode's calls to the model go before those of long files.
    urgent: bool

    def on_segment(self, segment: Segment) -> None:
        """The decode has another segment."""
        ...

    def check(self) -> None:
        """The decode is about to begin a step that cannot be interrupted."""
        ...


class Nobody:
    """A listener for decodes without a job, such as the canary's."""

    urgent = False

    def on_segment(self, segment: Segment) -> None: ...

    def check(self) -> None: ...


@dataclass(frozen=True)
class Language:
    """The language of a file, and its probability."""

    code: str
    probability: float


class EngineProtocol(Protocol):
    """A loaded model. Constructed with `EngineSettings`; the constructor loads, and raises when it cannot."""

    #: Part of the cache key: transcripts of another revision do not count as this one's.
    revision: str
    device: str
    #: Part of the cache key, too; the worker's card tells all of it.
    encoder: ChosenEncoder

    def __init__(self, settings: EngineSettings) -> None: ...

    def canary(self) -> None:
        """Decode something small, to prove that the model works and to warm it up. Raises when it does not work."""

    def transcribe(self, samples: Samples, options: TranscriptionOptions, preprocess_ms: float, listener: Listener) -> Transcript:
        """Decode samples (mono float32, 16 kHz). Up to `batch_size` threads call it at a time. `DecodeStopped` passes through."""
        ...

    def language_of(self, samples: Samples, options: TranscriptionOptions, listener: Listener, /) -> Language:
        """The language that a job asks for, else the worker's own, else the one detected at the beginning of the samples."""
        ...


def load_engine(settings: EngineSettings) -> EngineProtocol:
    """Load the engine that `settings.factory` ("module:attribute") names. Raises when it cannot be loaded."""
    module, _, attribute = settings.factory.partition(":")
    engine: EngineProtocol = getattr(import_module(module), attribute)(settings)
    return engine
