"""Encodings are cut and joined without a change of their numbers or of their type."""

import ctranslate2
import numpy as np
import pytest

from worker.model.encodings import first_positions, joined

KINDS = (ctranslate2.DataType.float32, ctranslate2.DataType.float16, ctranslate2.DataType.bfloat16)


def encoding(first: float, kind: ctranslate2.DataType) -> ctranslate2.StorageView:
    """Six positions of width 4, with numbers that every type can hold."""
    return ctranslate2.StorageView.from_array(np.arange(first, first + 24, dtype=np.float32).reshape(1, 6, 4)).to(kind)


def numbers(view: ctranslate2.StorageView) -> list[float]:
    return [float(x) for x in np.asarray(view.to(ctranslate2.DataType.float32)).ravel()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_first_positions(kind: ctranslate2.DataType) -> None:
    cut = first_positions(encoding(0, kind), 2)
    assert (cut.shape, cut.dtype, numbers(cut)) == ([1, 2, 4], kind, [float(n) for n in range(8)])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_joined_windows(kind: ctranslate2.DataType) -> None:
    both = joined([encoding(0, kind), encoding(24, kind)])
    assert (both.shape, both.dtype, numbers(both)) == ([2, 6, 4], kind, [float(n) for n in range(48)])
