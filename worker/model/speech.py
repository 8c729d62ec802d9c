"""Takes long silences out of samples before they are decoded, and puts the times of what was said back to where it was said.

faster-whisper can do both; its way back places the first word after a silence before it, whenever the word's time begins a little
too early, and with it the segment: by as much as was taken out. So the way back is our own.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from faster_whisper.transcribe import Segment as WhisperSegment
from faster_whisper.transcribe import Word as WhisperWord
from faster_whisper.vad import VadOptions as SileroOptions
from faster_whisper.vad import get_speech_timestamps

from shared.audio.request import SAMPLE_RATE_HZ
from shared.audio.sound import Samples
from shared.jobs.options import VadOptions

#: What Whisper's timestamp tokens count, and the frames of its windows.
TOKEN_SECONDS, FRAME_SECONDS = 0.02, 0.01
#: Times of words are this exact.
SLACK_SECONDS = 0.05


@dataclass(frozen=True)
class Kept:
    """A stretch that was kept: in the samples as they were, and where it begins in what is left. In seconds."""

    start: float
    end: float
    begins: float

    @property
    def ends(self) -> float:
        return self.begins + self.end - self.start

    def original(self, at: float) -> float:
        """Where a time of what is left was."""
        return self.start + min(max(at, self.begins), self.ends) - self.begins


class Speech:
    """Samples without the silences that a detector of speech has found; all of them when nobody asked for one."""

    def __init__(self, samples: Samples, vad: bool | VadOptions) -> None:
        """`samples`: mono float32 at 16 kHz."""
        self._pad_seconds = (vad if isinstance(vad, VadOptions) else VadOptions()).pad_ms / 1000
        self.samples, self._kept = samples, [Kept(0.0, len(samples) / SAMPLE_RATE_HZ, 0.0)]
        if vad is False:
            return
        found = get_speech_timestamps(samples, _silero(vad if isinstance(vad, VadOptions) else VadOptions()))
        self.samples = np.concatenate([samples[one["start"] : one["end"]] for one in found] or [samples[:0]])
        self._kept = []
        begins = 0.0
        for one in found:
            kept = Kept(one["start"] / SAMPLE_RATE_HZ, one["end"] / SAMPLE_RATE_HZ, begins)
            self._kept.append(kept)
            begins = kept.ends

    def place(self, segment: WhisperSegment, first_timestamp: int) -> None:
        """Give a segment, and its words, the times of the samples as they were. `first_timestamp`: the token of 0.00 s."""
        if not self._kept:
            return
        start, end = own_limits(segment, first_timestamp)
        first, last = self._begin_of(start), self._end_of(end)
        for word in segment.words or ():
            self._place_word(word, (start, end), (first, max(first, last)))
        if segment.words:
            segment.start, segment.end = segment.words[0].start, segment.words[-1].end
        else:
            segment.start = self._kept[first].original(start)
            segment.end = max(segment.start, self._kept[max(first, last)].original(end))

    def _place_word(self, word: WhisperWord, limits: tuple[float, float], stretches: tuple[int, int]) -> None:
        """A word is within its segment's own limits, and within one stretch."""
        start = min(max(word.start, limits[0]), limits[1])
        end = min(max(word.end, start), limits[1])
        number = min(max(self._stretch_of(start, end), stretches[0]), stretches[1])
        word.start, word.end = self._kept[number].original(start), self._kept[number].original(end)

    def _stretch_of(self, start: float, end: float) -> int:
        """A word over a border belongs behind it if it begins in the padding before it, where the speech before has ended."""
        number = self._begin_of(start)
        following = number + 1
        if following < len(self._kept) and end > self._kept[following].begins:
            border = self._kept[following].begins
            if start >= border - self._pad_seconds - SLACK_SECONDS or (border - start) < (end - border):
                return following
        return number

    def _begin_of(self, at: float) -> int:
        """The stretch of a time; a border belongs to what begins there."""
        return max(0, bisect_right([kept.begins for kept in self._kept], at + 1e-6) - 1)

    def _end_of(self, at: float) -> int:
        """Likewise, of an end: a border belongs to what ends there."""
        return max(0, bisect_right([kept.begins for kept in self._kept], at - 1e-6) - 1)


def own_limits(segment: WhisperSegment, first_timestamp: int) -> tuple[float, float]:
    """From when to when a segment goes by its own tokens. The search for words moves its `start` and `end`."""
    tokens: Sequence[int] = segment.tokens
    window = segment.seek * FRAME_SECONDS
    start, end = segment.start, segment.end
    if tokens and tokens[0] >= first_timestamp:
        start = window + (tokens[0] - first_timestamp) * TOKEN_SECONDS
    if len(tokens) > 1 and tokens[-1] >= first_timestamp:
        end = window + (tokens[-1] - first_timestamp) * TOKEN_SECONDS
    return start, max(start, end)


def _silero(vad: VadOptions) -> SileroOptions:
    return SileroOptions(
        threshold=vad.threshold,
        min_speech_duration_ms=vad.min_speech_ms,
        min_silence_duration_ms=vad.min_silence_ms,
        speech_pad_ms=vad.pad_ms,
    )
