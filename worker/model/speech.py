"""Takes long silences out of samples before they are decoded, and maps the times of the result back to the original samples.

faster-whisper can do both. But if the time of the first word after a silence begins a little too early, faster-whisper maps that
word, and its segment, to before the silence: too early by the length of the silence. So this module maps the times itself.
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

#: The units of Whisper's timestamp tokens, and of the frames of its windows.
TOKEN_SECONDS, FRAME_SECONDS = 0.02, 0.01
#: How exact the times of words are.
SLACK_SECONDS = 0.05


@dataclass(frozen=True)
class Kept:
    """A stretch that was kept: `start` and `end` in the original samples, `begins` in the remaining samples. In seconds."""

    start: float
    end: float
    begins: float

    @property
    def ends(self) -> float:
        return self.begins + self.end - self.start

    def original(self, at: float) -> float:
        """Map a time in the remaining samples to the original samples."""
        return self.start + min(max(at, self.begins), self.ends) - self.begins


class Speech:
    """Samples without the silences that the VAD has found; all samples if `vad` is False."""

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
        """Give a segment, and its words, their times in the original samples. `first_timestamp`: the token of 0.00 s."""
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
        """Map a word's times. The word stays within the limits of its segment, and within one stretch."""
        start = min(max(word.start, limits[0]), limits[1])
        end = min(max(word.end, start), limits[1])
        number = min(max(self._stretch_of(start, end), stretches[0]), stretches[1])
        word.start, word.end = self._kept[number].original(start), self._kept[number].original(end)

    def _stretch_of(self, start: float, end: float) -> int:
        """The stretch of a word. A word across a border belongs to the stretch after the border in two cases.

        It begins in the padding before the border, where the speech of the earlier stretch has ended; or the larger part of the
        word is after the border.
        """
        number = self._begin_of(start)
        following = number + 1
        if following < len(self._kept) and end > self._kept[following].begins:
            border = self._kept[following].begins
            if start >= border - self._pad_seconds - SLACK_SECONDS or (border - start) < (end - border):
                return following
        return number

    def _begin_of(self, at: float) -> int:
        """The stretch of a time at which something begins: at a border, the stretch that begins there."""
        return max(0, bisect_right([kept.begins for kept in self._kept], at + 1e-6) - 1)

    def _end_of(self, at: float) -> int:
        """The stretch of a time at which something ends: at a border, the stretch that ends there."""
        return max(0, bisect_right([kept.begins for kept in self._kept], at - 1e-6) - 1)


def own_limits(segment: WhisperSegment, first_timestamp: int) -> tuple[float, float]:
    """Start and end of a segment by its own timestamp tokens. The search for words changes its attributes `start` and `end`."""
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
