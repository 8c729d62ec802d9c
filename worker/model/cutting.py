"""Cuts long audio at its silences into pieces of at most a window. Any worker can decode a piece."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

import soundfile
from faster_whisper.vad import VadOptions, get_speech_timestamps

from shared.audio.request import SAMPLE_RATE_HZ
from shared.audio.sound import Samples
from shared.cpu import usable_cores
from shared.transcripts.pieces import WINDOW_MS, Piece
from worker.model.engine_protocol import Listener

#: A piece fits into a window. Only the last piece may fill it whole: so what is left for it is never tiny.
LONGEST_MS = WINDOW_MS - 500
#: A cut falls into this last part of a piece if there is a silence: into its last silence of at least `CLEAR_MS`, which is
#: clearly between sentences; else into its longest one. If there is none, it falls into the last silence of the piece's second
#: half. Cuts come late since every piece costs a window of the encoder.
LAST_PART, CLEAR_MS = 0.2, 300
#: How much audio two pieces share if the cut between them fell into speech.
OVERLAP_MS = 2_000
#: faster-whisper's VAD takes out silences of two seconds. With a margin for safety: if all silences of a piece are shorter than
#: this, the VAD would take out nothing.
PAUSE_MS = 1_500
#: How much audio is kept on each side of detected speech.
PADDING_MS = 200
#: The VAD gets the audio in blocks, so that it can be stopped between two of them. Several blocks are looked at in parallel,
#: since the workers of the whole fleet wait for the pieces.
BLOCK_SECONDS, MOST_BLOCKS_AT_ONCE = 60, 4
#: Shorter silences than this are within a sentence: a cut there would cost more than it gains.
SILENCE = VadOptions(min_silence_duration_ms=160, speech_pad_ms=30)


@dataclass(frozen=True)
class Span:
    """A stretch of speech or of silence, in milliseconds."""

    start_ms: int
    end_ms: int


def speech(samples: Samples, listener: Listener) -> list[Span]:
    """The stretches of speech, in order. The listener may stop the detection between blocks."""
    spans: list[Span] = []
    block = BLOCK_SECONDS * SAMPLE_RATE_HZ
    starts = range(0, len(samples), block)
    pool = ThreadPoolExecutor(min(usable_cores(), MOST_BLOCKS_AT_ONCE), "detect")
    try:
        found_in = pool.map(lambda at: get_speech_timestamps(samples[at : at + block], SILENCE), starts)
        for at, found in zip(starts, found_in, strict=True):
            listener.check()
            _extend(spans, [Span(*((at + one[edge]) * 1000 // SAMPLE_RATE_HZ for edge in ("start", "end"))) for one in found])
    finally:
        pool.shutdown(cancel_futures=True)
    return spans


def plan(spans: Sequence[Span], total_ms: int, skip_silence: bool) -> list[Piece]:
    """Pieces of at most a window that hold all speech; also all silence, unless `skip_silence`."""
    if skip_silence and not spans:
        return []
    pieces: list[Piece] = []
    start = max(0, spans[0].start_ms - PADDING_MS) if skip_silence else 0
    end = min(total_ms, spans[-1].end_ms + PADDING_MS) if skip_silence else total_ms
    while start < end:
        if end - start <= WINDOW_MS:
            cut, start_of_next = end, end
        else:
            cut, start_of_next = _next_cut(spans, start, end, skip_silence)
        pieces.append(Piece(start, cut, has_pause=any(_pauses(spans, start, cut))))
        start = start_of_next
    return pieces


def plan_all(channels: Samples, is_split: bool, skip_silence: bool, listener: Listener) -> list[Piece]:
    """The pieces of all channels, shape (channels, samples), in order of time. Pieces of split channels carry their channel."""
    total_ms = channels.shape[1] * 1000 // SAMPLE_RATE_HZ
    pieces = []
    for number, samples in enumerate(channels, start=1):
        own = plan(speech(samples, listener), total_ms, skip_silence)
        pieces += own if not is_split else [replace(piece, channel=number) for piece in own]
    return sorted(pieces, key=lambda piece: piece.start_ms)


def flac(samples: Samples) -> bytes:
    """The samples as 16-bit FLAC, which is about half as large as a wav."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def stretch(channels: Samples, piece: Piece) -> Samples:
    """The samples of a piece, taken from those of all channels."""
    samples: Samples = channels[(piece.channel or 1) - 1]
    return samples[piece.start_ms * SAMPLE_RATE_HZ // 1000 : piece.end_ms * SAMPLE_RATE_HZ // 1000]


def _extend(spans: list[Span], more: Sequence[Span]) -> None:
    """Append the spans of the next block. Speech that the border between two blocks cut apart becomes one span again."""
    for span in more:
        together = spans and span.start_ms - spans[-1].end_ms < SILENCE.min_silence_duration_ms
        spans.append(Span(spans.pop().start_ms, span.end_ms) if together else span)


def _next_cut(spans: Sequence[Span], start: int, end: int, skip_silence: bool) -> tuple[int, int]:
    """Where the piece from `start` ends, and where the next one starts."""
    limit = start + LONGEST_MS
    silences = [silence for silence in _silences(spans, start, limit, end) if silence.end_ms > start + LONGEST_MS // 2]
    if not silences:
        in_speech = any(span.start_ms < limit < span.end_ms for span in spans)
        return limit, limit - (OVERLAP_MS if in_speech else 0)
    late = [silence for silence in silences if silence.end_ms > limit - int(LAST_PART * LONGEST_MS)]
    clear = [silence for silence in late if silence.end_ms - silence.start_ms >= CLEAR_MS]
    chosen = clear[-1] if clear else max(late, key=lambda silence: silence.end_ms - silence.start_ms) if late else silences[-1]
    middle = (chosen.start_ms + min(chosen.end_ms, limit)) // 2
    if not skip_silence:
        return middle, middle
    padding = min(PADDING_MS, (chosen.end_ms - chosen.start_ms) // 2)
    return min(chosen.start_ms + padding, limit), chosen.end_ms - padding


def _pauses(spans: Sequence[Span], start: int, end: int) -> Iterator[bool]:
    """For each silence within a piece: whether it is long enough for the VAD to take it out."""
    within = [span for span in spans if span.start_ms < end and span.end_ms > start]
    edges = [Span(start, start), *within, Span(end, end)]
    return (following.start_ms - span.end_ms >= PAUSE_MS for span, following in pairwise(edges))


def _silences(spans: Sequence[Span], start: int, limit: int, end: int) -> Iterator[Span]:
    """The silences that begin before `limit`, after some speech since `start`. A silence that lasts until `end` is left out."""
    for span, following in pairwise(spans):
        if start < span.end_ms < limit and span.end_ms < following.start_ms < end:
            yield Span(span.end_ms, following.start_ms)
