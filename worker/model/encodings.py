"""Cut and join encodings: the encoder's output, a `StorageView` of shape (windows, positions, width) in the CPU's memory."""

from collections.abc import Sequence
from typing import Any

import ctranslate2
import numpy as np


def first_positions(encoded: ctranslate2.StorageView, count: int) -> ctranslate2.StorageView:
    """The first positions of the encoding of one window. Both share their memory, except in bfloat16."""
    return _stored(_readable(encoded)[:, :count], encoded.dtype)


def joined(encoded: Sequence[ctranslate2.StorageView]) -> ctranslate2.StorageView:
    """Join encodings of shape (1, positions, width) into one of shape (count, positions, width)."""
    return _stored(np.concatenate([_readable(view) for view in encoded]), encoded[0].dtype)


def _readable(encoded: ctranslate2.StorageView) -> np.ndarray[Any, Any]:
    """The numbers of an encoding. numpy knows no bfloat16; widening to float32, and narrowing again, loses nothing."""
    is_narrow = encoded.dtype == ctranslate2.DataType.bfloat16
    return np.asarray(encoded.to(ctranslate2.DataType.float32) if is_narrow else encoded)


def _stored(numbers: np.ndarray[Any, Any], kind: ctranslate2.DataType) -> ctranslate2.StorageView:
    view = ctranslate2.StorageView.from_array(np.ascontiguousarray(numbers))
    return view if view.dtype == kind else view.to(kind)
