"""A long file's transcript out of those of its pieces: true times, segments numbered through, nothing said twice."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from pydantic import BaseModel, ConfigDict

from shared.transcript import Segment, Transcript, Word, join_text

#: Words on each side of a cut without a silence in which the same words are looked for.
OVERLAP_WORDS = 16
#: A single short word in common says nothing.
LEAST_MATCH_LETTERS = 4


class Cut(BaseModel):
    """What is known of a whole file once it has been cut."""

    model_config = ConfigDict(frozen=True)

    duration: float
    preprocess_ms: float
    #: None where the worker does not detect languages.
    language: str | None = None
    language_probability: float = 1.0


@dataclass(frozen=True)
class Piece:
    """A stretch of a file, in milliseconds from its start. Two pieces overlap where the cut fell into speech."""

    start_ms: int
    end_ms: int

    @property
    def name(self) -> str:
        """As the store knows it."""
        return f"{self.start_ms}-{self.end_ms}"

    @classmethod
    def named(cls, name: str) -> "Piece":
        """The piece of a name."""
        start, _, end = name.partition("-")
        return cls(int(start), int(end))


def joined_segments(checkpoints: Mapping[str, str]) -> list[Segment]:
    """The segments of all pieces that are done, from the transcripts (JSON) under the pieces' names."""
    return _number(_join(_read(checkpoints)))


def stitched(checkpoints: Mapping[str, str], cut: Cut) -> Transcript:
    """The transcript of a file, all pieces of which are done. There is at least one."""
    pieces = _read(checkpoints)
    segments, transcripts = _number(_join(pieces)), [transcript for _, transcript in pieces]
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
            # Of several revisions (an upgrade under way) none is the one under which others would look.
            "model_revision": "+".join(sorted({t.model_revision for t in transcripts})),
            "encoder_window": windows.pop() if len(windows) == 1 else "mixed",
            "window_fallbacks": sum(t.window_fallbacks for t in transcripts),
        }
    )


def _read(checkpoints: Mapping[str, str]) -> list[tuple[Piece, Transcript]]:
    pieces = ((Piece.named(name), Transcript.model_validate_json(transcript)) for name, transcript in checkpoints.items())
    return sorted(pieces, key=lambda pair: pair[0].start_ms)


def _number(segments: Iterable[Segment]) -> list[Segment]:
    return [segment.model_copy(update={"id": number}) for number, segment in enumerate(segments)]


def _join(pieces: Sequence[tuple[Piece, Transcript]]) -> list[Segment]:
    joined: list[Segment] = []
    end_ms = 0
    for piece, transcript in pieces:
        segments = [_moved(segment, piece.start_ms / 1000) for segment in transcript.segments]
        if piece.start_ms < end_ms and joined and segments:
            joined, segments = _without_overlap(joined, segments, (piece.start_ms + end_ms) / 2000)
        joined += segments
        end_ms = piece.end_ms
    return joined


def _moved(segment: Segment, seconds: float) -> Segment:
    """The same segment, that much later."""
    words = [word.model_copy(update=_later(word, seconds)) for word in segment.words or ()]
    return segment.model_copy(update={**_later(segment, seconds), "words": words or None})


def _later(timed: Segment | Word, seconds: float) -> dict[str, float]:
    return {"start": round(timed.start + seconds, 3), "end": round(timed.end + seconds, 3)}


def _without_overlap(before: list[Segment], after: list[Segment], middle_seconds: float) -> tuple[list[Segment], list[Segment]]:
    """Both sides of a cut that fell into speech, what was heard on both sides kept once.

    Words that both heard in the same order are where one goes over into the other. Without any, the middle of the overlap is.
    """
    heard, again = before[-1].text.split()[-OVERLAP_WORDS:], after[0].text.split()[:OVERLAP_WORDS]
    match = SequenceMatcher(None, _bare(heard), _bare(again), autojunk=False).find_longest_match()
    if sum(len(word) for word in heard[match.a : match.a + match.size]) >= LEAST_MATCH_LETTERS:
        keep = len(before[-1].text.split()) - len(heard) + match.a + match.size
        return _kept([*before[:-1], _words(before[-1], 0, keep)], [_words(after[0], match.b + match.size, None), *after[1:]])
    return _kept([s for s in before if _middle(s) <= middle_seconds], [s for s in after if _middle(s) > middle_seconds])


def _bare(words: Sequence[str]) -> list[str]:
    return [word.strip(".,;:!?\"'").lower() for word in words]


def _middle(segment: Segment) -> float:
    return (segment.start + segment.end) / 2


def _words(segment: Segment, first: int, last: int | None) -> Segment:
    """Only these words of a segment; its times shrink in proportion where the words' own are not known."""
    said = segment.text.split()
    kept = said[first:last]
    if len(kept) == len(said):
        return segment
    span = (segment.end - segment.start) / max(1, len(said))
    start, end = segment.start + first * span, segment.start + (first + len(kept)) * span
    words = (segment.words or [])[first:last]
    if words:
        start, end = words[0].start, words[-1].end
    times = {"start": round(start, 3), "end": round(end, 3)}
    return segment.model_copy(update={"text": " ".join(kept), "words": words or None, **times})


def _kept(before: list[Segment], after: list[Segment]) -> tuple[list[Segment], list[Segment]]:
    """Without segments that nothing is left of, and in order of time."""
    before, after = [s for s in before if s.text], [s for s in after if s.text]
    if before and after and after[0].start < before[-1].end:
        end = after[0].start if after[0].start > before[-1].start else before[-1].end
        before[-1] = before[-1].model_copy(update={"end": end})
        after[0] = after[0].model_copy(update={"start": max(end, after[0].start), "end": max(end, after[0].end)})
    return before, after
