"""A model that answers at once, inside the supervisor's process: two hundred model processes would not fit on one machine."""

import struct
import threading
from collections.abc import Callable
from functools import cache

from shared.audio.request import SAMPLE_RATE_HZ
from shared.audio.wav import PcmEncoding, wav_of_pcm
from shared.transcripts.transcript import Segment, Transcript
from worker.engine_settings import EngineSettings
from worker.messages import (
    Able,
    Canary,
    ChosenEncoder,
    Done,
    FromModel,
    FromSupervisor,
    Progress,
    Ready,
    Stop,
    Stopped,
    Transcribe,
)
from worker.supervising.model_handle import ModelDied

#: The first samples of a clip: its number, and for how many ms the model holds it.
_ORDER = struct.Struct("<qq")
#: The text that follows the number: a transcript of usual size.
TEXT = "and then she asked whether anybody had seen the keys"


@cache
def _silence(size_bytes: int) -> tuple[bytes, bytes]:
    """Header and samples of a wav of this size."""
    header = len(wav_of_pcm(b"", PcmEncoding.S16LE, SAMPLE_RATE_HZ, 1))
    whole = wav_of_pcm(bytes(size_bytes - header), PcmEncoding.S16LE, SAMPLE_RATE_HZ, 1)
    return whole[:header], whole[header:]


def clip(number: int, size_bytes: int, hold_ms: int = 0) -> bytes:
    """A wav of this size that differs from those of all other numbers."""
    header, samples = _silence(size_bytes)
    return b"".join((header, _ORDER.pack(number, hold_ms), samples[_ORDER.size :]))


def text_of(number: int) -> str:
    """The transcript of the clip with this number."""
    return f"{number} {TEXT}"


class InstantModel:
    """Takes the place of `ModelHandle`. Answers within `send`, or after the time that the clip asks for."""

    pid = None

    def __init__(self, settings: EngineSettings, generation: int, deliver: Callable[[FromModel | ModelDied], None]) -> None:
        self._name, self.generation, self._deliver = settings.name, generation, deliver
        self._held: dict[str, threading.Timer] = {}
        deliver(
            Ready(
                model=settings.name,
                revision="instant",
                device="cpu",
                encoder=ChosenEncoder(name="", precision=""),
                load_seconds=0.0,
            )
        )

    def send(self, message: FromSupervisor) -> None:
        """Answer a message of the supervisor."""
        match message:
            case Transcribe():
                self._transcribe(message)
            case Stop():
                self._held.pop(message.attempt_id).cancel()
                self._deliver(Stopped(attempt_id=message.attempt_id))
            case Canary():
                self._deliver(Able())

    def kill(self) -> None:
        """Forget all clips that are held."""
        self._forget()
        self._deliver(ModelDied(generation=self.generation, cause="SIGKILL", rss_bytes=0))

    def close(self, timeout_seconds: float) -> None:  # noqa: ARG002 - there is no process to wait for
        """Forget all clips that are held, without a word."""
        self._forget()

    def _forget(self) -> None:
        for timer in self._held.values():
            timer.cancel()

    def _transcribe(self, message: Transcribe) -> None:
        number, hold_ms = _ORDER.unpack_from(message.audio, len(_silence(len(message.audio))[0]))
        if hold_ms:
            timer = threading.Timer(hold_ms / 1000, self._answer, (message, number))
            timer.daemon = True
            self._held[message.attempt_id] = timer
            timer.start()
        else:
            self._answer(message, number)

    def _answer(self, message: Transcribe, number: int) -> None:
        self._held.pop(message.attempt_id, None)
        segment = Segment(
            id=0,
            start=0.0,
            end=message.expected_seconds,
            text=text_of(number),
            confidence=1.0,
            avg_logprob=0.0,
            no_speech_prob=0.0,
            compression_ratio=1.0,
        )
        transcript = Transcript(
            transcript=segment.text,
            language=message.options.language or "en",
            language_probability=1.0,
            duration=message.expected_seconds,
            segments=[segment],
            preprocess_ms=0.0,
            transcribe_ms=0.0,
            model=self._name,
            model_revision="instant",
            device="cpu",
        )
        self._deliver(Progress(attempt_id=message.attempt_id, segment=segment, done_seconds=segment.end))
        self._deliver(Done(attempt_id=message.attempt_id, transcript=transcript))
