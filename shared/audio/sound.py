"""Builds a model's samples block by block: mono float32 at 16 kHz, or a row per channel. Measures the level on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

import numpy as np
import soxr
from numpy.typing import NDArray

from shared.audio.report import Level
from shared.audio.request import LOUDEST_SAMPLE, SAMPLE_RATE_HZ
from shared.errors import MalformedAudio, UnsupportedAudio

#: Sound is processed in blocks of this length. Whether channels cancel each other is decided for each block.
BLOCK_SECONDS = 0.5
#: Uncorrelated channels mix to the sum of their powers over the square of their number. A mix of a tenth of that power (-10 dB)
#: means that they cancel each other. From then on one channel is taken, until the mix has a third of that power again.
CANCELLED, MIXED_AGAIN = 0.1, 0.33
#: Below this power (-60 dBFS) the channels are always mixed.
FAINT_POWER = 1e-6
#: While channels cancel each other, the choice moves to another channel when that is four times as strong (6 dB).
LOUDER = 4.0
#: A sample of at least this amplitude is at full scale: mu-law ends at 0.98.
FULL_SCALE = 0.979
#: The level of digital silence is reported as this.
SILENCE_DBFS = -120.0

Samples = NDArray[np.float32]


class SoundFull(Exception):
    """There is more sound than the buffer has room for."""


@dataclass
class _Run:
    """A run of sound with one rate and number of channels, without a gap."""

    rate_hz: int
    channels: int
    start_seconds: float
    resampler: soxr.ResampleStream | None
    frames: int = 0

    @property
    def end_seconds(self) -> float:
        return self.start_seconds + self.frames / self.rate_hz


class Sound:
    """Fills a buffer of zeros, shape (rows, samples). One row: the channels are mixed. Several: each channel has its own."""

    def __init__(self, buffer: Samples) -> None:
        self._buffer, self._is_split = buffer, len(buffer) > 1
        self._at = 0
        self._run: _Run | None = None
        self._pending: list[Samples] = []
        self._pending_frames = 0
        self._rows = 1
        self._power_sum, self._peak, self._clipped, self._counted = 0.0, 0.0, 0, 0
        self._lead: int | None = None
        self.cancelled_seconds = 0.0
        #: The (start, end) samples between which there is sound. The samples in between are untouched and take no memory yet.
        self.spans: list[tuple[int, int]] = []

    @property
    def end_seconds(self) -> float:
        """The length of the sound so far."""
        return self._run.end_seconds if self._run else self._at / SAMPLE_RATE_HZ

    def add(self, block: Samples, rate_hz: int) -> None:
        """Append a block, shape (frames, channels). Raises `SoundFull`, and `UnsupportedAudio` for NaN or huge values."""
        run = self._run
        if run is None or (run.rate_hz, run.channels) != (rate_hz, block.shape[1]):
            run = self._begin(rate_hz, block.shape[1])
        run.frames += len(block)
        self._pending.append(block)
        self._pending_frames += len(block)
        if self._pending_frames >= rate_hz * BLOCK_SECONDS:
            self._flush(last=False)

    def silence_until(self, seconds: float) -> None:
        """Fill with silence up to this time. Raises `SoundFull`."""
        self._end_run()
        self._at = max(self._at, round(seconds * SAMPLE_RATE_HZ))
        if self._at > self._buffer.shape[1]:
            self._at = self._buffer.shape[1]
            raise SoundFull

    def finish(self) -> Samples:
        """The filled part of the buffer, shape (rows, samples). Raises `MalformedAudio` when it is empty."""
        self._end_run()
        if not self._at:
            raise MalformedAudio("The audio holds no samples that can be decoded; export it again.")
        return self._buffer[: self._rows, : self._at]

    def level(self) -> Level:
        """The level of all channels before they are mixed."""
        power = self._power_sum / max(1, self._counted)
        share = self._clipped / max(1, self._counted)
        return Level(rms_dbfs=_decibels(power**0.5), peak_dbfs=_decibels(self._peak), clipped_share=round(share, 6))

    def _begin(self, rate_hz: int, channels: int) -> _Run:
        start = self.end_seconds
        self._end_run()
        # Go by the time, so that rounding in earlier resamplers does not add up.
        self._at = min(round(start * SAMPLE_RATE_HZ), self._buffer.shape[1])
        rows = min(channels, len(self._buffer)) if self._is_split else 1
        resampler = None
        if rate_hz != SAMPLE_RATE_HZ:
            resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, rows, dtype="float32")
        self._run = _Run(rate_hz, channels, start, resampler)
        return self._run

    def _end_run(self) -> None:
        if self._run is not None:
            self._flush(last=True)
            self._at = max(self._at, min(round(self._run.end_seconds * SAMPLE_RATE_HZ), self._buffer.shape[1]))
            self._run = None

    def _flush(self, last: bool) -> None:
        run = self._run
        assert run is not None
        block = np.concatenate(self._pending) if self._pending else np.zeros((0, run.channels), np.float32)
        self._pending, self._pending_frames = [], 0
        self._measure(block)
        heard = _folded(block, len(self._buffer)) if self._is_split else self._mixed(block, run.rate_hz)
        if run.resampler is not None:
            heard = run.resampler.resample_chunk(np.ascontiguousarray(heard), last=last)
        self._write(heard)

    def _write(self, heard: Samples) -> None:
        """Write samples of shape (samples, rows) into the buffer of shape (rows, samples)."""
        room = self._buffer.shape[1] - self._at
        taken = heard[:room]
        self._buffer[: taken.shape[1], self._at : self._at + len(taken)] = taken.T
        self._rows = max(self._rows, taken.shape[1])
        if len(taken):
            begins = self._at
            if self.spans and self.spans[-1][1] >= begins - SAMPLE_RATE_HZ:
                begins = self.spans.pop()[0]
            self.spans.append((begins, self._at + len(taken)))
        self._at += len(taken)
        if len(heard) > room:
            self._run = None
            raise SoundFull

    def _measure(self, block: Samples) -> None:
        if not block.size:
            return
        peak = max(float(block.max()), -float(block.min()))
        if not peak <= LOUDEST_SAMPLE:
            raise UnsupportedAudio("Some samples are no finite numbers, or absurdly large ones; export the audio again.")
        self._peak = max(self._peak, peak)
        self._power_sum += float(np.vdot(block, block))
        self._counted += block.size
        if peak >= FULL_SCALE:
            self._clipped += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))

    def _mixed(self, block: Samples, rate_hz: int) -> Samples:
        """The mean of the channels; where they cancel each other, the louder channel."""
        mix: Samples = block.mean(axis=1, dtype=np.float32, keepdims=True)
        if block.shape[1] == 1 or not len(block):
            return mix
        powers = np.einsum("ij,ij->j", block, block) / len(block)
        uncorrelated = float(powers.sum()) / block.shape[1] ** 2
        if uncorrelated < FAINT_POWER:
            return mix
        share = float(np.vdot(mix, mix)) / len(mix) / uncorrelated
        if share > (CANCELLED if self._lead is None else MIXED_AGAIN):
            self._lead = None
            return mix
        if self._lead is None or self._lead >= len(powers) or powers.max() > LOUDER * powers[self._lead]:
            self._lead = int(powers.argmax())
        self.cancelled_seconds += len(block) / rate_hz
        louder: Samples = block[:, self._lead : self._lead + 1]
        return louder


def normalize(sound: Samples, spans: Sequence[tuple[int, int]]) -> None:
    """Bring the loudest sample to full scale, in place. Sound that is practically silent stays unchanged."""
    parts = [part for start, end in spans for part in parts_of(sound[:, start:end])]
    peak = max((max(float(part.max()), -float(part.min())) for part in parts if len(part)), default=0.0)
    if peak > SILENT_PEAK:
        for part in parts:
            np.multiply(part, np.float32(1 / peak), out=part)


#: Below this (-66 dBFS, 16 steps of 16-bit samples) there is no sound, only the converter's noise.
SILENT_PEAK = 10 ** (-66 / 20)


def parts_of(sound: Samples, seconds: int = 60) -> list[Samples]:
    """Views of the sound, each at most `seconds` long, so that work on all of it takes the memory of one part."""
    step = seconds * SAMPLE_RATE_HZ
    return [row[at : at + step] for row in sound for at in range(0, len(row), step)]


def _folded(block: Samples, rows: int) -> Samples:
    """If there are more channels than rows, the last row is the mix of the remaining channels."""
    if block.shape[1] <= rows:
        return block
    last = block[:, rows - 1 :].mean(axis=1, dtype=np.float32, keepdims=True)
    return np.concatenate([block[:, : rows - 1], last], axis=1)


def _decibels(amplitude: float) -> float:
    return round(max(SILENCE_DBFS, 20 * log10(amplitude)), 2) if amplitude > 0 else SILENCE_DBFS
