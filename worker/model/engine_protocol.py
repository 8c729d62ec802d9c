"""What the model process asks of an engine. `worker.model.engine.Engine` is the one that ships; tests bring misbehaving ones."""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from shared.audio.sound import Samples
from shared.jobs.options import TranscriptionOptions
from shared.transcripts.transcript import Segment, Transcript
from worker.engine_settings import EngineSettings


class DecodeStopped(Exception):
    """Raised out of a decode whose job was given up."""


class Listener(Protocol):
    """Who hears how a decode comes on. Both methods raise `DecodeStopped` once the job has been given up."""

    #: Somebody waits for it: its calls to the model go before those of long files.
    urgent: bool

    def on_segment(self, segment: Segment) -> None:
        """Another segment is there."""
        ...

    def check(self) -> None:
        """About to begin something that cannot be interrupted."""
        ...


class Nobody:
    """A listener for decodes that nobody waits for, such as a canary's."""

    urgent = False

    def on_segment(self, segment: Segment) -> None: ...

    def check(self) -> None: ...


@dataclass(frozen=True)
class Language:
    """What a file is spoken in, and how sure that is."""

    code: str
    probability: float


class EngineProtocol(Protocol):
    """A loaded model. Constructed with `EngineSettings`; the constructor loads, and raises when it cannot."""

    #: Part of the cache key: another revision's transcripts are not this one's.
    revision: str
    device: str

    def __init__(self, settings: EngineSettings) -> None: ...

    def canary(self) -> None:
        """Decode something small, to prove that it works and to warm it; raises when it does not."""

    def transcribe(self, samples: Samples, options: TranscriptionOptions, preprocess_ms: float, listener: Listener) -> Transcript:
        """Decode samples (mono float32, 16 kHz). Called from `batch_size` threads at a time; lets `DecodeStopped` through."""
        ...

    def language_of(self, samples: Samples, options: TranscriptionOptions, listener: Listener, /) -> Language:
        """The language that a job asks for, else the worker's own, else what the samples' beginning sounds like."""
        ...


def load_engine(settings: EngineSettings) -> EngineProtocol:
    """The engine that `settings.factory` ("module:attribute") names, loaded."""
    module, _, attribute = settings.factory.partition(":")
    engine: EngineProtocol = getattr(import_module(module), attribute)(settings)
    return engine
