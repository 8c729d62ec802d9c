"""Sends a file through the product's probe and decode, behind the walls, as a gateway and a worker call them."""

import threading
import time
from concurrent.futures import wait
from dataclasses import dataclass, field

from shared.audio.containers import FORMS
from shared.audio.report import AudioInfo, AudioWarning, WarningCode
from shared.audio.request import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, Wanted
from shared.audio.walls.readers import Readers, info_from
from shared.audio.walls.schedule import PROBE_LANES_SECONDS
from shared.audio.walls.shared_memory import SharedFile
from shared.audio.wav import plain_info, plain_wav
from shared.errors import AudioTooLong, AudioTooShort, FleetError, HarmfulAudio, ReadersUnavailable
from shared.settings import FleetSettings
from worker.model.decode import Decoder

#: Far more time than any of these small files may take.
PATIENCE_SECONDS, LOOK_SECONDS = 90.0, 0.25


@dataclass
class Outcome:
    """The outcome of a file. `seconds`: length of the sound that a model would get; None where there is none."""

    kind: str = ""
    message: str = ""
    seconds: float | None = None
    demuxer: str = ""
    track: int = 1
    warnings: list[AudioWarning] = field(default_factory=list)
    probe_took: float = 0.0
    decode_took: float = 0.0
    #: An unforeseen error, here or in a reader.
    unforeseen: str | None = None

    @property
    def is_told_incomplete(self) -> bool:
        return any(warning.code is WarningCode.AUDIO_INCOMPLETE for warning in self.warnings)


class Walls:
    """Readers as in a gateway, and a decoder as in a worker, with the default limits. Made anew when they break."""

    def __init__(self) -> None:
        # Ignore the settings in the environment.
        self._settings = FleetSettings.model_construct()
        self._open()

    def _open(self) -> None:
        self._readers, self._decoder = Readers(1, niceness=0, lanes_seconds=PROBE_LANES_SECONDS), Decoder()
        self._readers.start()
        self._decoder.start()
        self._keepers, self._threads = self._pids(), _listening()

    def take(self, content: bytes) -> Outcome:
        """Probe the content, and decode it unless it is refused."""
        outcome = Outcome()
        try:
            self._take(content, outcome)
        except HarmfulAudio as error:
            stage = "decode" if outcome.decode_took else "probe"
            outcome.kind = f"harmful to {stage}: {error.cause}"
            if error.cause.startswith("error "):
                outcome.unforeseen = f"{error.cause} in {stage}"
        except ReadersUnavailable as error:
            outcome.kind, outcome.unforeseen = "readers unavailable", error.message
        except FleetError as error:
            outcome.kind, outcome.message = f"{'failed' if outcome.decode_took else 'refused'}: {error.code}", error.message
        # Any other error is one that the fuzz is looking for.
        except Exception as error:  # noqa: BLE001
            outcome.kind = outcome.unforeseen = f"exception {type(error).__name__}: {error}"
        if self._pids() != self._keepers or _listening() < self._threads:
            outcome.kind = outcome.unforeseen = "the readers broke, not only one of them"
            self.close()
            self._open()
        return outcome

    def close(self) -> None:
        """End the readers and the decoder."""
        self._readers.close()
        self._decoder.close()

    def _take(self, content: bytes, outcome: Outcome) -> None:
        started = time.monotonic()
        try:
            info = self._probe(content)
        finally:
            outcome.probe_took = time.monotonic() - started
        outcome.demuxer, outcome.track = FORMS[info.container].demuxer, info.track
        self._check(info)
        started = time.monotonic()
        outcome.decode_took = 1e-9
        try:
            wanted = Wanted(max_seconds=self._settings.max_audio_length_seconds)
            sounds = self._decoder.decode(
                SharedFile(content), wanted, info.seconds, info.channels, lambda: self._look_after(started)
            )
        finally:
            outcome.decode_took = time.monotonic() - started
        outcome.seconds, outcome.warnings = sounds.decoded.seconds, sounds.decoded.warnings
        outcome.track = sounds.decoded.audio.track
        outcome.kind = " and ".join(["taken", *sorted(warning.code.value for warning in outcome.warnings)])

    def _probe(self, content: bytes) -> AudioInfo:
        plain = plain_wav(content)
        if plain and MIN_RATE_HZ <= plain.rate_hz <= MAX_RATE_HZ and plain.channels <= MAX_CHANNELS:
            return plain_info(plain)
        reading = self._readers.probe(SharedFile(content), track=None, max_seconds=self._settings.max_audio_length_seconds)
        started = time.monotonic()
        while not wait([reading.result], LOOK_SECONDS).done:
            self._look_after(started)
        return info_from(reading.result.result())

    def _check(self, info: AudioInfo) -> None:
        if info.seconds > self._settings.max_audio_length_seconds:
            raise AudioTooLong("")
        if info.seconds < self._settings.min_audio_length_seconds:
            raise AudioTooShort("")

    def _pids(self) -> list[int]:
        processes = self._readers._process, self._decoder._readers._process
        return [process.pid for process in processes if process and process.poll() is None]

    def _look_after(self, started: float) -> None:
        if time.monotonic() > started + PATIENCE_SECONDS:
            raise TimeoutError(f"no answer in {PATIENCE_SECONDS:g} s")
        if _listening() < self._threads:
            raise RuntimeError("nobody listens to the readers any more")


def _listening() -> int:
    """How many threads listen to readers."""
    return sum(thread.name == "readers" for thread in threading.enumerate())
