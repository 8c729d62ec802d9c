"""Decodes a file's bytes by FFmpeg into the samples that a model gets.

Only for processes behind a wall (`shared.audio.walls`).
"""

from __future__ import annotations

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from shared.audio.containers import Container
from shared.audio.content import Content
from shared.audio.enhance import enhance
from shared.audio.findings import Skipped, decoded, info_of
from shared.audio.frames import mpeg_audio_bytes
from shared.audio.programme import TOLERANCE_SECONDS, Placed
from shared.audio.reading import Reading
from shared.audio.report import Decoded
from shared.audio.request import Wanted
from shared.audio.sound import Samples, Sound, SoundFull, normalize
from shared.audio.source import check_shape, samples_of
from shared.errors import AudioTooLong, MalformedAudio

#: If less than this share of a file can be decoded, the file is refused as damaged.
LEAST_SHARE = 0.05
#: A recording of one of these that starts in the middle of a stream begins with packets that refer to earlier ones. Their failure
#: to decode is no loss, for up to `LEAD_IN_SECONDS`.
ENTERED_IN_THE_MIDDLE = frozenset({Container.MP3, Container.AAC, Container.LATM, Container.MPEG_TS, Container.MPEG_PS})
LEAD_IN_SECONDS = 0.15
TAGS = (b"ID3", b"3DI", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"LYRICS200")
MOST_OVERLAP_SECONDS = 0.5


def decode(content: Content, wanted: Wanted, buffer: Samples) -> Decoded:
    """Decode any file into a buffer of zeros: shape (1, samples), or (channels, samples) for split channels.

    Raises `NotAudio`, `MalformedAudio`, `UnsupportedAudio`, and `AudioTooLong` for more than `max_seconds`.
    """
    reading = Reading(content, wanted.track, wanted.max_seconds)
    sound = Sound(buffer)
    decoding = _Decoding(reading, sound)
    try:
        decoding.run()
        filled = sound.finish()
    except SoundFull as error:
        if sound.end_seconds >= wanted.max_seconds:
            raise AudioTooLong(f"The audio is longer than the {wanted.max_seconds:.0f} s that are allowed; split it.") from error
        decoding.skipped.is_cut_off = True
        filled = sound.finish()
    if decoding.is_nearly_nothing():
        raise MalformedAudio("Nearly nothing of the audio can be decoded: it is damaged. Export it again and resubmit.")
    if wanted.enhance:
        enhance(filled, sound.spans)
    elif wanted.normalize:
        normalize(filled, sound.spans)
    info = info_of(reading.container, reading.heard, wanted.track is not None)
    return decoded(filled, sound, info, reading.heard, decoding.skipped)


class _Decoding:
    """Decodes packet by packet. A packet that cannot be decoded becomes silence and is noted."""

    def __init__(self, reading: Reading, sound: Sound) -> None:
        self._reading, self._sound = reading, sound
        self.skipped = Skipped()
        self._decoded_seconds, self._decoded_bytes = 0.0, 0
        self._missing_seconds = self._trailing_seconds = 0.0

    def run(self) -> None:
        """Decode the whole file. Raises `SoundFull` and the errors of `Reading.packets`."""
        for placed in self._reading.packets():
            if self._is_cut_short(placed):
                continue
            try:
                frames = placed.packet.decode()
            except MemoryError:
                raise
            except (av.FFmpegError, ValueError, IndexError, OSError, OverflowError):
                self._skip(placed)
                continue
            for frame in frames:
                self._add(frame, placed)
            self._decoded_bytes += placed.packet.size if frames else 0
            self._trailing_seconds = 0.0 if frames else self._trailing_seconds
            if placed.packet.is_corrupt and self._reading.form.keeps_time:
                self._reading.heard.faults += 1
        if self._reading.form.keeps_time:
            # Packets that fail to decode become silence between others, but add nothing at the end of the file.
            self._sound.silence_until(self._reading.heard.seconds - self._trailing_seconds)

    def is_nearly_nothing(self) -> bool:
        """Whether hardly any of the file could be decoded, by the time of its packets or by their bytes."""
        expected_seconds = self._decoded_seconds + self.skipped.seconds
        packets_failed = self._decoded_seconds <= LEAST_SHARE * expected_seconds
        return packets_failed or self._decoded_bytes < LEAST_SHARE * self._reading.frame_bytes()

    def _add(self, frame: AudioFrame, placed: Placed) -> None:
        check_shape(frame.sample_rate, frame.layout.nb_channels)
        if not frame.samples:
            return
        block = _block(frame)
        if self._reading.form.keeps_time:
            block = self._go_to(placed.at + _after_packet_seconds(frame, placed), block, frame.sample_rate)
        elif self._missing_seconds > TOLERANCE_SECONDS:
            self._sound.silence_until(self._sound.end_seconds + self._missing_seconds)
        self._missing_seconds = 0.0
        self._sound.add(block, frame.sample_rate)
        self._decoded_seconds += len(block) / frame.sample_rate

    def _go_to(self, at: float, block: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
        """Fill with silence up to the block's time; or cut the block's start if the sound already goes further.

        The latter happens where a damaged packet has become more sound than it stands for.
        """
        early_seconds = self._sound.end_seconds - at
        if early_seconds < -TOLERANCE_SECONDS:
            self._sound.silence_until(at)
        # After `MOST_OVERLAP_SECONDS` of overlap in all, the timestamps are wrong and not the sound: keep the block whole.
        if early_seconds <= TOLERANCE_SECONDS or self.skipped.overlap_seconds > MOST_OVERLAP_SECONDS:
            return block
        rest = block[round(early_seconds * rate_hz) :]
        self.skipped.overlap_seconds += (len(block) - len(rest)) / rate_hz
        return rest

    def _is_cut_short(self, placed: Placed) -> bool:
        """Whether the packet is an incomplete MPEG frame: decoding one gives noise."""
        is_mpeg = self._reading.container is Container.MP3
        return is_mpeg and 0 < placed.packet.size < mpeg_audio_bytes(bytes(placed.packet), 0)

    def _is_pause(self, placed: Placed) -> bool:
        """Whether the packet is a pause: in silence, a phone sends noise frames or empty ones (AMR types from 8 on).

        FFmpeg cannot decode these.
        """
        codec = self._reading.heard.tracks[self._reading.heard.track - 1].codec or ""
        return codec.startswith("amr") and bytes(placed.packet)[0] >> 3 & 15 >= 8

    def _skip(self, placed: Placed) -> None:
        if not placed.packet.size or _is_tag(placed):
            return
        if self._is_pause(placed):
            self._missing_seconds += placed.seconds
            return
        self._missing_seconds += placed.seconds
        self._trailing_seconds += placed.seconds
        is_first = not self._decoded_seconds and self._reading.container in ENTERED_IN_THE_MIDDLE
        if is_first and self._missing_seconds < LEAD_IN_SECONDS:
            return
        self.skipped.note(placed.at, placed.seconds)


def _after_packet_seconds(frame: AudioFrame, placed: Placed) -> float:
    """Seconds from the packet's time to the frame's: the part that the decoder threw away before the frame.

    Less than 0 for a decoder that gives its frames late.
    """
    packet = placed.packet
    if frame.pts is None or not frame.time_base or packet.pts is None or not packet.time_base:
        return 0.0
    return float(frame.pts * frame.time_base - packet.pts * packet.time_base)


def _is_tag(placed: Placed) -> bool:
    """Whether the packet is a tag that programs write into mp3: in a frame without sound, or between files that were joined."""
    head = bytes(placed.packet)[:64]
    return head.startswith(TAGS) or any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))


def _block(frame: AudioFrame) -> NDArray[np.float32]:
    """A frame's samples as float32 between -1 and 1, shape (frames, channels)."""
    block = samples_of(frame)
    plain: NDArray[np.float32] = block.astype(np.float32)
    if block.dtype == np.uint8:
        plain = (plain - 128) / np.float32(128)
    elif block.dtype.kind == "i":
        plain /= np.float32(1 << (8 * block.dtype.itemsize - 1))
    return plain
