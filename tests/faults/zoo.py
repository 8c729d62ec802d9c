"""A zoo of misbehaving models. The audio of a clip tells the model what to do, so the product runs unchanged.

A zoo clip is a wav whose first samples are a message: the animal, a number that becomes the transcript, and milliseconds.
`WHISPER_ENGINE=tests.faults.zoo:ZooEngine` makes a worker use this engine.
"""

import ctypes
import os
import time
from enum import IntEnum

import numpy as np

from shared.audio.request import SAMPLE_RATE_HZ
from shared.audio.sound import Samples
from shared.jobs.options import TranscriptionOptions
from shared.transcripts.transcript import Segment, Transcript
from tests.audio_files import with_soundfile
from worker.engine_settings import EngineSettings
from worker.messages import ChosenEncoder
from worker.model.engine_protocol import Language, Listener

SLICE_SECONDS = 0.05


class Animal(IntEnum):
    """The behaviour that a clip asks of the model."""

    #: Answers after the given time, with a segment every 50 ms.
    GOOD = 1
    #: Answers after the given time, without a segment until then.
    SILENT = 2
    SEGFAULT = 3
    ABORT = 4
    EXIT = 5
    #: Raises an exception.
    RAISE = 6
    #: Never returns from native code, and holds the interpreter lock.
    HANG = 7
    #: Answers normally, and keeps 100 MB.
    LEAK = 8
    #: Answers normally, and the canaries after it raise.
    SICKEN = 9


def clip(animal: Animal, number: int, milliseconds: int = 0, seconds: float = 1.0) -> bytes:
    """The wav for an animal; `number` (below 30,000) comes back as the transcript."""
    samples = np.full(int(seconds * SAMPLE_RATE_HZ), 100, np.int16)
    # The last of them is at full scale: so normalizing changes nothing.
    samples[:5] = animal, number, milliseconds // 1000, milliseconds % 1000, -32768
    return with_soundfile((samples / 32768).astype(np.float32), "WAV", "PCM_16")


class ZooEngine:
    """An engine without a model."""

    def __init__(self, settings: EngineSettings) -> None:
        self._name, self.revision, self.device = settings.name, "zoo", os.environ.get("ZOO_DEVICE", "cpu")
        self.encoder = ChosenEncoder(name="zoo", precision="f32")
        self._leaked: list[bytearray] = []
        self._sick = False
        time.sleep(float(os.environ.get("ZOO_LOAD_SECONDS", "0")))

    def canary(self) -> None:
        """Nothing to warm; raises after a `SICKEN` clip."""
        if self._sick:
            raise RuntimeError("sick")

    def transcribe(self, samples: Samples, options: TranscriptionOptions, preprocess_ms: float, listener: Listener) -> Transcript:
        animal, number, whole, rest = (round(float(s) * 32768) for s in samples[:4])
        self._misbehave(Animal(animal))
        segments = self._work(Animal(animal), whole + rest / 1000, listener)
        return Transcript(
            transcript=str(number),
            language=options.language or "en",
            language_probability=1.0,
            duration=len(samples) / SAMPLE_RATE_HZ,
            segments=segments,
            preprocess_ms=preprocess_ms,
            transcribe_ms=1000 * (whole + rest / 1000),
            model=self._name,
            model_revision=self.revision,
            device=self.device,
            encoder=self.encoder.name,
            encoder_precision=self.encoder.precision,
        )

    def language_of(self, _samples: Samples, options: TranscriptionOptions, _listener: Listener) -> Language:
        return Language(options.language or "en", 1.0)

    def _misbehave(self, animal: Animal) -> None:
        if animal is Animal.SEGFAULT:
            ctypes.string_at(0)
        if animal is Animal.ABORT:
            os.abort()
        if animal is Animal.EXIT:
            os._exit(3)
        if animal is Animal.RAISE:
            raise RuntimeError("the content of the audio, which no log may show")
        if animal is Animal.HANG:
            ctypes.PyDLL(None).pause()
        if animal is Animal.SICKEN:
            self._sick = True
        if animal is Animal.LEAK:
            self._leaked.append(bytearray(os.urandom(1) * 100_000_000))

    def _work(self, animal: Animal, seconds: float, listener: Listener) -> list[Segment]:
        segments: list[Segment] = []
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_SECONDS))
            if animal is not Animal.SILENT:
                segments.append(_segment(len(segments)))
                listener.on_segment(segments[-1])
        return segments


def _segment(number: int) -> Segment:
    return Segment(
        id=number,
        start=number * SLICE_SECONDS,
        end=(number + 1) * SLICE_SECONDS,
        text="word",
        confidence=1.0,
        avg_logprob=0.0,
        no_speech_prob=0.0,
        compression_ratio=1.0,
    )
