"""A long file's transcript: true times, numbered through, and nothing twice where a cut fell into speech."""

from itertools import pairwise

from shared.stitching import Cut, joined_segments, stitched
from shared.transcript import Segment, Transcript, Word, join_text


def segment(start: float, end: float, text: str, *, words: bool = False) -> Segment:
    said = text.split()
    step = (end - start) / len(said)
    timed = [Word(word=w, start=start + n * step, end=start + (n + 1) * step, probability=1.0) for n, w in enumerate(said)]
    return Segment(
        id=0,
        start=start,
        end=end,
        text=text,
        confidence=1.0,
        avg_logprob=0.0,
        no_speech_prob=0.0,
        compression_ratio=1.0,
        words=timed if words else None,
    )


def piece(*segments: Segment, window: str = "full", revision: str = "r1") -> str:
    return Transcript(
        transcript=join_text(list(segments)),
        language="en",
        language_probability=1.0,
        duration=10.0,
        segments=list(segments),
        preprocess_ms=1.0,
        transcribe_ms=100.0,
        model="demo",
        model_revision=revision,
        device="cpu",
        encoder_window=window,
        window_fallbacks=1,
    ).model_dump_json()


def test_times_are_those_of_the_file_and_ids_go_through() -> None:
    done = {"60000-80000": piece(segment(0.5, 2.0, "third")), "0-20000": piece(segment(1, 2, "first"), segment(3, 4, "second"))}
    assert [(s.id, s.start, s.end, s.text) for s in joined_segments(done)] == [
        (0, 1.0, 2.0, "first"),
        (1, 3.0, 4.0, "second"),
        (2, 60.5, 62.0, "third"),
    ]


def test_the_whole_says_what_its_pieces_cost_and_were() -> None:
    done = {
        "0-9000": piece(segment(0, 1, "a b")),
        "9000-20000": piece(segment(0, 1, "c", words=True), window="mixed", revision="r2"),
    }
    cut = Cut(duration=20.0, preprocess_ms=5.0, language="de", language_probability=0.9)
    whole = stitched(done, cut)
    assert (whole.transcript, whole.duration, whole.language, whole.language_probability) == ("a b c", 20.0, "de", 0.9)
    assert (whole.preprocess_ms, whole.transcribe_ms, whole.window_fallbacks) == (7.0, 200.0, 2)
    assert (whole.encoder_window, whole.model_revision) == ("mixed", "r1+r2")
    assert whole.segments[1].words is not None and whole.segments[1].words[0].start == 9.0


def test_words_heard_on_both_sides_of_a_cut_are_said_once() -> None:
    done = {
        "0-29000": piece(segment(20, 29, "we went down to the river and then")),
        "27000-50000": piece(segment(0, 4, "River, and then we swam"), segment(5, 6, "home")),
    }
    segments = joined_segments(done)
    assert join_text(segments) == "we went down to the river and then we swam home"
    assert all(a.end <= b.start for a, b in pairwise(segments))


def test_with_word_times_the_right_words_go() -> None:
    done = {
        "0-29000": piece(segment(25, 29, "over the old bridg", words=True)),
        "27000-50000": piece(segment(0, 4, "the old bridge again", words=True)),
    }
    segments = joined_segments(done)
    assert join_text(segments) == "over the old bridge again"
    assert [w.word for s in segments for w in s.words or ()] == ["over", "the", "old", "bridge", "again"]
    assert all(a.end <= b.start for a, b in pairwise(segments))


def test_without_a_word_in_common_the_middle_of_the_overlap_decides() -> None:
    done = {
        "0-29000": piece(segment(20, 27, "early"), segment(28.2, 29, "cut off")),
        "27000-50000": piece(segment(0, 0.5, "tail"), segment(1.5, 3, "late")),
    }
    assert join_text(joined_segments(done)) == "early late"


def test_pieces_that_do_not_overlap_keep_every_word() -> None:
    done = {"0-10000": piece(segment(8, 10, "so it goes")), "10000-20000": piece(segment(0, 2, "it goes on"))}
    assert join_text(joined_segments(done)) == "so it goes it goes on"
