"""A long file's transcript: times of the file, ids in one sequence, and no word twice where a cut fell into speech."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.transcripts.pieces import Cut
from shared.transcripts.stitching import joined_segments, joined_text, stitched
from shared.transcripts.transcript import Segment, Transcript, Word, join_text


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


def piece(*segments: Segment, window: str = "full", revision: str = "r1", encoder: tuple[str, str] | None = None) -> str:
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
        **(dict(zip(("encoder", "encoder_precision"), encoder, strict=True)) if encoder else {}),  # type: ignore[arg-type]
    ).model_dump_json()


def test_times_are_those_of_the_file_and_ids_go_through() -> None:
    done = {"60000-80000": piece(segment(0.5, 2.0, "third")), "0-20000": piece(segment(1, 2, "first"), segment(3, 4, "second"))}
    assert [(s.id, s.start, s.end, s.text) for s in joined_segments(done)] == [
        (0, 1.0, 2.0, "first"),
        (1, 3.0, 4.0, "second"),
        (2, 60.5, 62.0, "third"),
    ]


def test_nothing_is_said_after_the_end_of_its_piece() -> None:
    done = {"0-20000": piece(segment(18.0, 30.0, "last words", words=True)), "20000-40000": piece(segment(0, 2, "more"))}
    last, more = joined_segments(done)
    assert (last.start, last.end, more.start) == (18.0, 20.0, 20.0)
    assert [(w.start, w.end) for w in last.words or ()] == [(18.0, 20.0), (20.0, 20.0)]


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


def test_the_whole_names_all_encoders_of_its_pieces() -> None:
    def encoders(*pieces: tuple[str, str] | None) -> tuple[str | None, str | None]:
        done = {f"{n}0000-{n + 1}0000": piece(segment(0, 1, "a"), encoder=one) for n, one in enumerate(pieces)}
        whole = stitched(done, Cut(duration=90.0, preprocess_ms=5.0, language="de", language_probability=0.9))
        return whole.encoder, whole.encoder_precision

    fast, own = ("openvino", "bf16"), ("ctranslate2", "int8_float32")
    assert encoders(fast, fast) == fast
    assert encoders(fast, own, fast) == ("ctranslate2+openvino", "bf16+int8_float32")
    assert encoders(fast, None) == (None, None), "a worker of an earlier release decoded a piece"


LEFT, RIGHT = "0-29500", "27500-57000"


def at_a_cut(left: Segment, right: Segment) -> str:
    """The text where two pieces overlap by 2 s. Times of the right piece count from its own start."""
    segments = joined_segments({LEFT: piece(left), RIGHT: piece(right)})
    assert all(a.end <= b.start for a, b in pairwise(segments))
    return join_text(segments)


def test_words_heard_on_both_sides_of_a_cut_are_said_once() -> None:
    text = at_a_cut(segment(25.5, 29.5, "went down to the river and then"), segment(0, 4, "River, and then we swam home"))
    assert text == "went down to the river and then we swam home"


def test_a_word_that_the_cut_went_through_is_taken_from_the_side_that_heard_it() -> None:
    text = at_a_cut(segment(27, 29.5, "over the old bridg", words=True), segment(0, 3, "the old bridge again", words=True))
    assert text == "over the old bridge again"


def test_common_words_outside_the_overlap_are_no_seam() -> None:
    left = segment(20, 29.5, "i think that the government should really do much more about it because of")
    right = segment(0, 10, "cause if that is what we want to see then we should act now")
    text = at_a_cut(left, right)
    assert text.startswith("i think that the government should really do much more about") and text.endswith(
        "then we should act now"
    )


def test_without_words_in_common_the_middle_of_the_overlap_decides() -> None:
    assert (
        at_a_cut(segment(26.5, 29.5, "one two six", words=True), segment(0, 3, "ten four five", words=True))
        == "one two four five"
    )


def test_a_language_without_spaces_is_joined_by_its_characters() -> None:
    text = at_a_cut(segment(27, 29.5, "我们去公园散步吧"), segment(0, 3, "园散步吧然后去吃饭"))
    assert text == "我们去公园散步吧 然后去吃饭"


def test_a_segment_of_one_word_is_a_word() -> None:
    assert at_a_cut(segment(28, 29.5, "Unfortunately."), segment(0.5, 3, "Unfortunately not")) == "Unfortunately. not"
    assert at_a_cut(segment(28, 29.5, "Unfortunate"), segment(0.5, 2, "unfortunately")) == "unfortunately"


def test_a_text_of_several_scripts_keeps_its_words() -> None:
    text = at_a_cut(segment(27, 29.5, "我们用 iPhone 打电话"), segment(0, 3, "iPhone 打电话然后 Facetime"))
    assert text == "我们用 iPhone 打电话 然后 Facetime"


_WORDS = st.sampled_from(
    ["unfortunately", "Unfortunately.", "not", "we", "don't", "¿Qué?", "(well)", "naïve", "안녕하세요", "1,000"]
)


@given(st.lists(_WORDS, min_size=1, max_size=6), st.lists(_WORDS, min_size=1, max_size=6), st.floats(20, 29))
def test_every_word_of_the_whole_is_a_word_of_one_side(left: list[str], right: list[str], start: float) -> None:
    text = at_a_cut(segment(start, 29.5, " ".join(left)), segment(0, 30 - start, " ".join(right)))
    assert set(text.split()) <= {*left, *right}


@given(st.lists(st.sampled_from("that the river of stone went down".split()), min_size=8, max_size=40), st.data())
def test_nothing_outside_the_overlap_is_lost(words: list[str], data: st.DataObject) -> None:
    """Whatever the two sides heard, the words clearly before and clearly after the overlap are kept."""
    other = data.draw(st.lists(st.sampled_from("that the river of glass went up".split()), min_size=8, max_size=40))
    left, right = segment(9.5, 29.5, " ".join(words)), segment(0, 20, " ".join(other))
    text = at_a_cut(left, right).split()
    safe_left = [w for n, w in enumerate(words) if 9.5 + (n + 0.5) * 20 / len(words) < 26.5]
    safe_right = [w for n, w in enumerate(other) if 27.5 + (n + 0.5) * 20 / len(other) > 30.5]
    assert text[: len(safe_left)] == safe_left
    assert not safe_right or text[-len(safe_right) :] == safe_right


def test_pieces_that_do_not_overlap_keep_every_word() -> None:
    done = {"0-10000": piece(segment(8, 10, "so it goes")), "10000-20000": piece(segment(0, 2, "it goes on"))}
    assert join_text(joined_segments(done)) == "so it goes it goes on"


def test_the_text_so_far_is_in_order() -> None:
    assert joined_text({"60000-80000": "late", "0-20000": "early", "20000-30000": ""}) == "early late"
