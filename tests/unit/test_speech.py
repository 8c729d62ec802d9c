"""After silences were taken out, the times of a transcript are mapped back to the times in the file."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audio.request import SAMPLE_RATE_HZ
from worker.model.speech import Kept, Speech, own_limits

FIRST_TIMESTAMP = 1000


def speech(*kept: tuple[float, float]) -> Speech:
    """A `Speech` as if a detector had found these stretches."""
    made = Speech(np.zeros(SAMPLE_RATE_HZ, np.float32), vad=False)
    begins, stretches = 0.0, []
    for start, end in kept:
        stretches.append(Kept(start, end, begins))
        begins += end - start
    made._kept = stretches
    return made


def said(start: float, end: float, *words: tuple[float, float], tokens: tuple[float, float] | None = None) -> Any:
    """A segment of the window that begins at 0, with the times of its tokens."""
    first, last = tokens or (start, end)
    marks = [FIRST_TIMESTAMP + round(first / 0.02), 5, FIRST_TIMESTAMP + round(last / 0.02)]
    listed = [SimpleNamespace(start=s, end=e) for s, e in words]
    return SimpleNamespace(start=start, end=end, seek=0, tokens=marks, words=listed or None)


def test_the_first_word_after_a_pause_stays_behind_it() -> None:
    """The word's time begins in the silence before it, since the alignment of words stretches it to the word before."""
    segment = said(1.7, 3.0, (1.7, 2.2), (2.2, 3.0), tokens=(2.0, 3.0))
    speech((0.0, 2.0), (9.0, 11.0)).place(segment, FIRST_TIMESTAMP)
    assert segment.start == segment.words[0].start == pytest.approx(9.0)
    assert segment.words[0].end == pytest.approx(9.2) and segment.end == pytest.approx(10.0)


def test_a_segment_over_a_pause_keeps_its_words_on_their_sides() -> None:
    segment = said(0.5, 3.5, (0.5, 1.0), (1.0, 1.5), (1.7, 2.6), (2.6, 3.5))
    speech((0.0, 2.0), (9.0, 11.0)).place(segment, FIRST_TIMESTAMP)
    assert [round(word.start, 2) for word in segment.words] == [0.5, 1.0, 9.0, 9.6]


def test_without_words_a_segment_goes_by_its_tokens() -> None:
    segment = said(2.0, 4.0)
    speech((1.0, 3.0), (9.0, 11.0)).place(segment, FIRST_TIMESTAMP)
    assert (segment.start, segment.end) == (pytest.approx(9.0), pytest.approx(11.0))


def test_limits_come_from_tokens_and_from_the_segment_without_any() -> None:
    assert own_limits(said(1.7, 3.0, tokens=(2.0, 2.9)), FIRST_TIMESTAMP) == pytest.approx((2.0, 2.9))
    untimed: Any = SimpleNamespace(start=1.0, end=2.0, seek=300, tokens=[5, 6])
    assert own_limits(untimed, FIRST_TIMESTAMP) == (1.0, 2.0)


times = st.lists(st.floats(0, 12), min_size=2, max_size=12).map(sorted)


@given(times=times, starts=st.floats(0, 6), length=st.floats(0, 6))
def test_words_are_in_order_and_within_what_was_kept(times: list[float], starts: float, length: float) -> None:
    words = list(pairwise(times))
    segment = said(times[0], times[-1], *words, tokens=(starts, starts + length))
    kept = ((1.0, 4.0), (9.0, 12.0), (20.0, 26.0))
    speech(*kept).place(segment, FIRST_TIMESTAMP)
    placed = [(word.start, word.end) for word in segment.words]
    assert all(any(s - 1e-6 <= start <= end <= e + 1e-6 for s, e in kept) for start, end in placed)
    assert (segment.start, segment.end) == (placed[0][0], placed[-1][1])
    assert all(one[0] <= other[0] + 1e-6 for one, other in pairwise(placed))
