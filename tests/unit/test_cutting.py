"""Where long audio is cut: every piece fits a window, no speech is lost, and cuts fall into silences where there are any."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcripts.pieces import WINDOW_MS, Piece
from worker.model.cutting import LONGEST_MS, OVERLAP_MS, PADDING_MS, Span, plan

gaps_and_speech = st.lists(st.tuples(st.integers(160, 40_000), st.integers(100, 70_000)), max_size=12)


def laid_out(lengths: list[tuple[int, int]]) -> tuple[list[Span], int]:
    """Spans of these (silence before, length), and the total length with another second after them."""
    spans, at = [], 0
    for gap, length in lengths:
        spans.append(Span(at + gap, at + gap + length))
        at += gap + length
    return spans, at + 1000


@given(gaps_and_speech)
def test_no_piece_is_longer_than_a_window_and_all_speech_is_in_one(lengths: list[tuple[int, int]]) -> None:
    spans, total_ms = laid_out(lengths)
    pieces = plan(spans, total_ms, skip_silence=True)
    assert all(0 < piece.end_ms - piece.start_ms <= WINDOW_MS for piece in pieces)
    for span in spans:
        heard = [(max(span.start_ms, p.start_ms), min(span.end_ms, p.end_ms)) for p in pieces]
        covered_to = span.start_ms
        for start, end in (h for h in heard if h[0] < h[1]):
            assert start <= covered_to
            covered_to = max(covered_to, end)
        assert covered_to >= span.end_ms


@given(gaps_and_speech)
def test_without_vad_nothing_at_all_is_left_out(lengths: list[tuple[int, int]]) -> None:
    spans, total_ms = laid_out(lengths)
    pieces = plan(spans, total_ms, skip_silence=False)
    assert pieces[0].start_ms == 0 and pieces[-1].end_ms == total_ms
    assert all(after.start_ms <= before.end_ms for before, after in pairwise(pieces))
    assert all(0 < piece.end_ms - piece.start_ms <= WINDOW_MS for piece in pieces)


@pytest.mark.parametrize(
    ("silences", "cut"),
    [
        ([(10_000, 15_000), (25_000, 25_400), (28_000, 28_200)], (25_000, 25_400)),
        ([(10_000, 15_000), (25_000, 25_250), (28_000, 28_200)], (25_000, 25_250)),
        ([(25_000, 27_000), (28_000, 28_300)], (28_000, 28_300)),
        ([(10_000, 15_000), (20_000, 20_200)], (20_000, 20_200)),
    ],
    ids=["the last clear one", "else the longest near the end", "not the longest of the clear ones", "else the last of all"],
)
def test_where_a_cut_falls(silences: list[tuple[int, int]], cut: tuple[int, int]) -> None:
    edges = [0, *(edge for silence in silences for edge in silence), 50_000]
    spans = [Span(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    first, second = plan(spans, 50_000, skip_silence=True)[:2]
    padding = min(PADDING_MS, (cut[1] - cut[0]) // 2)
    assert (first, second.start_ms) == (Piece(0, cut[0] + padding), cut[1] - padding)


def test_speech_without_a_silence_is_cut_with_an_overlap() -> None:
    first, second, third = plan([Span(0, 70_000)], 70_000, skip_silence=True)
    assert (first.end_ms - second.start_ms, second.end_ms - third.start_ms) == (OVERLAP_MS, OVERLAP_MS)


@pytest.mark.parametrize(("skip_silence", "pieces"), [(True, 0), (False, 3)])
def test_audio_without_speech_has_no_pieces_unless_all_of_it_is_wanted(skip_silence: bool, pieces: int) -> None:
    assert len(plan([], 70_000, skip_silence)) == pieces


def test_speech_whose_only_silence_is_early_is_cut_later_and_with_an_overlap() -> None:
    first, second = plan([Span(0, 900), Span(1_200, 45_000)], 45_000, skip_silence=True)
    assert first == Piece(0, LONGEST_MS) and second.start_ms == LONGEST_MS - OVERLAP_MS


@pytest.mark.parametrize("total_ms", [29_501, 29_700, 30_000])
def test_the_last_piece_is_no_crumb(total_ms: int) -> None:
    assert plan([Span(0, total_ms - 300)], total_ms, skip_silence=True) == [Piece(0, total_ms - 100)]


def test_long_silences_belong_to_no_piece() -> None:
    pieces = plan([Span(100_000, 105_000), Span(300_000, 304_000)], 400_000, skip_silence=True)
    assert pieces == [Piece(99_800, 105_200), Piece(299_800, 304_200)]


@pytest.mark.parametrize(("silence_ms", "has_pause"), [(300, False), (1_400, False), (1_600, True), (5_000, True)])
def test_a_piece_tells_whether_it_holds_a_silence_to_take_out(silence_ms: int, has_pause: bool) -> None:
    spans = [Span(0, 10_000), Span(10_000 + silence_ms, 25_000), Span(26_000, 45_000)]
    first, second = plan(spans, 45_000, skip_silence=True)
    assert (first.has_pause, second.has_pause) == (has_pause, False)
