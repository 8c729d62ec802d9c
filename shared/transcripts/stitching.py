"""Stitches the transcripts of pieces to the transcript of their file: times in the file, segments numbered, no words twice."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from shared.transcripts.pieces import Cut, Piece
from shared.transcripts.spoken_units import bare, units_of
from shared.transcripts.transcript import Segment, Transcript, Word, join_text, merged

#: How far the time of a word may be off, if it is estimated from the times of its segment.
SLACK_SECONDS = 1.0
#: A single common word with fewer letters does not count as a match: it may be chance.
LEAST_LETTERS = 5


def joined_text(said: Mapping[str, str]) -> str:
    """The text of the pieces that are done, given by the pieces' names. At a cut within speech, words may appear twice."""
    in_order = sorted(said, key=lambda name: Piece.named(name).start_ms)
    return " ".join(said[name] for name in in_order if said[name])


def joined_segments(checkpoints: Mapping[str, str]) -> list[Segment]:
    """The segments of all pieces that are done, from their transcripts (JSON), given by the pieces' names."""
    return _together(_read(checkpoints))


def stitched(checkpoints: Mapping[str, str], cut: Cut) -> Transcript:
    """The transcript of a file whose pieces are all done. There must be at least one piece."""
    pieces = _read(checkpoints)
    segments, transcripts = _together(pieces), [transcript for _, transcript in pieces]
    first = transcripts[0]
    windows = {transcript.encoder_window for transcript in transcripts}
    return first.model_copy(
        update={
            "transcript": join_text(segments),
            "language": cut.language or first.language,
            "language_probability": cut.language_probability,
            "duration": cut.duration,
            "segments": segments,
            "preprocess_ms": round(cut.preprocess_ms + sum(t.preprocess_ms for t in transcripts), 1),
            "transcribe_ms": round(sum(t.transcribe_ms for t in transcripts), 1),
            # If workers of several revisions took part (during an upgrade), the joined name is one that no cache look-up uses.
            "model_revision": "+".join(sorted({t.model_revision for t in transcripts})),
            "encoder": _joined_names(t.encoder for t in transcripts),
            "encoder_precision": _joined_names(t.encoder_precision for t in transcripts),
            "encoder_window": windows.pop() if len(windows) == 1 else "mixed",
            "short_windows": sum(t.short_windows for t in transcripts),
            "window_fallbacks": sum(t.window_fallbacks for t in transcripts),
            "decoded_as": "+".join(sorted({t.decoded_as for t in transcripts})),
            "audio": cut.audio,
            "warnings": cut.warnings,
        }
    )


def _joined_names(names: Iterable[str | None]) -> str | None:
    """The name that all pieces have, or all their names; None if one is unknown."""
    different = set(names)
    return None if None in different else "+".join(sorted(name for name in different if name))


def _read(checkpoints: Mapping[str, str]) -> list[tuple[Piece, Transcript]]:
    pieces = ((Piece.named(name), Transcript.model_validate_json(transcript)) for name, transcript in checkpoints.items())
    return sorted(pieces, key=lambda pair: pair[0].start_ms)


def _together(pieces: Sequence[tuple[Piece, Transcript]]) -> list[Segment]:
    """Join the pieces of each channel by itself."""
    channels = sorted({piece.channel for piece, _ in pieces if piece.channel is not None})
    if not channels:
        return _number(_join(pieces))
    return merged([_join([one for one in pieces if one[0].channel == number]) for number in range(1, channels[-1] + 1)])


def _number(segments: Iterable[Segment]) -> list[Segment]:
    return [segment.model_copy(update={"id": number}) for number, segment in enumerate(segments)]


def _join(pieces: Sequence[tuple[Piece, Transcript]]) -> list[Segment]:
    joined: list[Segment] = []
    end_ms = 0
    for piece, transcript in pieces:
        segments = [_placed(segment, piece) for segment in transcript.segments]
        if piece.start_ms < end_ms and joined and segments:
            joined, segments = _without_overlap(joined, segments, piece.start_ms / 1000, end_ms / 1000)
        joined += segments
        end_ms = piece.end_ms
    return joined


def _placed(segment: Segment, piece: Piece) -> Segment:
    """The same segment, with times from the start of the file."""
    words = [word.model_copy(update=_times(word, piece)) for word in segment.words or ()]
    return segment.model_copy(update={**_times(segment, piece), "words": words or None})


def _times(timed: Segment | Word, piece: Piece) -> dict[str, float]:
    """Times from the start of the file. A model's times may run to the end of its window: limit them to the piece's end."""
    start, end = (min(piece.start_ms / 1000 + at, piece.end_ms / 1000) for at in (timed.start, timed.end))
    return {"start": round(start, 3), "end": round(end, 3)}


@dataclass(frozen=True)
class _Spoken:
    """A word in a list of segments: its segment and its place in it, its form for comparison, and the middle of its time."""

    segment: int
    word: int
    bare: str
    middle_seconds: float


def _without_overlap(
    before: list[Segment], after: list[Segment], start_seconds: float, end_seconds: float
) -> tuple[list[Segment], list[Segment]]:
    """The segments on both sides of a cut that fell into speech. Words that both sides heard are kept once.

    The transcript goes over from one side to the other at the longest run of words that both sides have in the overlap. If there
    is none, it goes over in the middle of the overlap. Nothing outside the overlap changes.
    """
    left = [w for w in _spoken(before) if w.middle_seconds > start_seconds - SLACK_SECONDS]
    right = [w for w in _spoken(after) if w.middle_seconds < end_seconds + SLACK_SECONDS]
    match = SequenceMatcher(None, [w.bare for w in left], [w.bare for w in right], autojunk=False).find_longest_match()
    common = left[match.a : match.a + match.size]
    if match.size > 1 or sum(len(w.bare) for w in common) >= LEAST_LETTERS:
        dropped_left, dropped_right = left[match.a + match.size :], right[: match.b + match.size]
    else:
        middle = (start_seconds + end_seconds) / 2
        dropped_left = [w for w in left if w.middle_seconds > middle]
        dropped_right = [w for w in right if w.middle_seconds <= middle]
    return _in_order(_without(before, dropped_left), _without(after, dropped_right))


def _units(segment: Segment) -> list[str]:
    """The words of a segment: the model's own if they make up its text, else the units of its text."""
    words = [word.word for word in segment.words or ()]
    return words if words and "".join(words).strip() == segment.text.strip() else units_of(segment.text.strip())


def _spoken(segments: Sequence[Segment]) -> list[_Spoken]:
    spoken = []
    for number, segment in enumerate(segments):
        said = _units(segment)
        step = (segment.end - segment.start) / max(1, len(said))
        timed = segment.words if segment.words and len(segment.words) == len(said) else None
        for place, word in enumerate(said):
            middle = (timed[place].start + timed[place].end) / 2 if timed else segment.start + (place + 0.5) * step
            spoken.append(_Spoken(number, place, bare(word), middle))
    return spoken


def _without(segments: Sequence[Segment], dropped: Sequence[_Spoken]) -> list[Segment]:
    """The segments without the dropped words. Segments without any word left are dropped, too."""
    kept = []
    for number, segment in enumerate(segments):
        places = {word.word for word in dropped if word.segment == number}
        said = _units(segment)
        if not places:
            kept.append(segment)
        elif len(places) < len(said):
            kept.append(_only(segment, [place for place in range(len(said)) if place not in places]))
    return kept


def _only(segment: Segment, places: Sequence[int]) -> Segment:
    """The segment with only the words at `places`, which are next to each other.

    If the times of the words are unknown, the segment's times shrink in proportion.
    """
    said = _units(segment)
    step = (segment.end - segment.start) / len(said)
    start, end = segment.start + places[0] * step, segment.start + (places[-1] + 1) * step
    words = None
    if segment.words and len(segment.words) == len(said):
        words = [segment.words[place] for place in places]
        start, end = words[0].start, words[-1].end
    text = "".join(said[place] for place in places).strip()
    return segment.model_copy(update={"text": text, "words": words, "start": round(start, 3), "end": round(end, 3)})


def _within(segment: Segment, start: float, end: float) -> Segment:
    """The segment with these times, and its words' times limited to them."""
    words = [
        word.model_copy(update={"start": min(max(word.start, start), end), "end": min(max(word.end, start), end)})
        for word in segment.words or ()
    ]
    return segment.model_copy(update={"start": start, "end": end, "words": words or None})


def _in_order(before: list[Segment], after: list[Segment]) -> tuple[list[Segment], list[Segment]]:
    """Both lists in order of time. Estimated times may overlap: then the earlier segment ends where the later one begins."""
    if before and after and after[0].start < before[-1].end:
        end = max(before[-1].start, after[0].start)
        before[-1] = _within(before[-1], before[-1].start, end)
        after[0] = _within(after[0], end, max(end, after[0].end))
    return before, after
