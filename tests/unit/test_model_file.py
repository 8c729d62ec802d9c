"""Reading CTranslate2's `model.bin`: every type of array, and files that are damaged or of another kind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from tests.model_files import model_bin
from worker.model.encoders.encoder import UnreadableModel
from worker.model.encoders.model_file import INT16_SCALE, ModelFile

SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=3, max_side=4)
FLOATS = arrays_of.arrays(np.float32, SHAPES, elements=st.floats(-100, 100, width=16))
NAMES = st.text("abc/_0", min_size=1, max_size=12)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.bin"


def opened(path: Path, content: bytes) -> ModelFile:
    path.write_bytes(content)
    return ModelFile(path)


@given(arrays=st.dictionaries(NAMES, FLOATS, max_size=5))
def test_float_arrays_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("file") / "model.bin"
    halves = {f"{name}.half": array.astype(np.float16) for name, array in arrays.items()}
    with opened(path, model_bin(arrays | halves)) as file:
        for name, array in arrays.items():
            assert np.array_equal(file.float32(name), array) and file.shape(name) == array.shape
            assert np.array_equal(file.float32(f"{name}.half"), array)


@given(content=st.binary(max_size=64), arrays=st.dictionaries(NAMES, FLOATS, min_size=1, max_size=3), cut=st.floats(0, 0.999))
def test_what_is_cut_short_is_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, arrays: dict[str, Any], cut: float
) -> None:
    path, whole = tmp_path_factory.mktemp("file") / "model.bin", model_bin(arrays, {"alias": "name"})
    for damaged in (whole[: int(len(whole) * cut)], content):
        with pytest.raises(UnreadableModel):
            opened(path, damaged)


def test_bfloat16_has_the_upper_half_of_float32(path: Path) -> None:
    with opened(path, model_bin({"w": np.array([[0x3F80, 0xC000]], np.uint16)})) as file:
        assert file.float32("w").tolist() == [[1.0, -2.0]]


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4)])
def test_int8_has_a_scale_for_each_row(path: Path, shape: tuple[int, ...]) -> None:
    values, scale = np.full(shape, 8, np.int8), np.array([2.0, 4.0], np.float32)
    with opened(path, model_bin({"w": values, "w_scale": scale})) as file:
        assert (file.float32("w")[0] == 4).all() and (file.float32("w")[1] == 2).all()


def test_int16_has_one_scale_that_old_files_leave_out(path: Path) -> None:
    values, scale = np.full((2, 3), 512, np.int16), np.array(1024.0, np.float32)
    with opened(path, model_bin({"w": values, "w_scale": scale, "old": values})) as file:
        assert (file.float32("w") == 0.5).all()
        assert np.allclose(file.float32("old"), 512 / INT16_SCALE)


@given(weight=arrays_of.arrays(np.float32, (3, 8), elements=st.floats(-9, 9, width=16)))
def test_a_weight_becomes_int8_by_rows(tmp_path_factory: pytest.TempPathFactory, weight: NDArray[np.float32]) -> None:
    with opened(tmp_path_factory.mktemp("file") / "model.bin", model_bin({"w": weight})) as file:
        made = file.int8("w")
    step = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-6) / 127
    assert (np.abs(made.values * made.factors[:, None] - weight) <= 0.51 * step).all()


def test_a_stored_int8_weight_is_kept_bit_by_bit(path: Path) -> None:
    values, scale = np.array([[1, -127], [5, 0]], np.int8), np.array([2.0, 4.0], np.float32)
    with opened(path, model_bin({"w": values, "w_scale": scale})) as file:
        assert np.array_equal(file.int8("w").values, values) and file.int8("w").factors.tolist() == [0.5, 0.25]


def test_an_alias_is_another_name_for_an_array_and_its_scale(path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {"w": np.full((2, 2), 8, np.int8), "w_scale": np.full(2, 2.0, np.float32)}
    with opened(path, model_bin(arrays, {"other": "w", "lost": "nothing"})) as file:
        assert np.array_equal(file.float32("other"), file.float32("w"))
        assert "other_scale" in file and "lost" not in file


ONE = {"w": np.ones(2, np.float32)}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "cannot be read"),
        (model_bin(ONE, version=7), "version 7"),
        (model_bin(ONE, version=3), "version 3"),
        (model_bin(ONE, kind="TransformerSpec"), "TransformerSpec"),
        (model_bin(ONE).replace(b"\x01\x02\x00\x00\x00\x00", b"\x01\x02\x00\x00\x00\x09"), "unknown type"),
        (model_bin(ONE).replace(b"\x01\x02\x00\x00\x00\x00", b"\x01\x03\x00\x00\x00\x00"), "another size"),
        (model_bin(ONE).replace(b"w\0", b"\xff\0"), "not text"),
        (model_bin({})[:-8] + b"\xff" * 8, "claims to list"),
    ],
)
def test_why_a_file_is_refused(path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(UnreadableModel, match=complaint):
        opened(path, content)


def test_a_missing_file_or_array_is_named(path: Path) -> None:
    with pytest.raises(UnreadableModel, match=r"model\.bin cannot be read"):
        ModelFile(path)
    with opened(path, model_bin({"w": np.ones((2, 2), np.int8)})) as file:
        with pytest.raises(UnreadableModel, match="has no nothing"):
            file.float32("nothing")
        with pytest.raises(UnreadableModel, match="has no w_scale"):
            file.float32("w")
        with pytest.raises(UnreadableModel, match="not a single number"):
            file.whole_number("w")


@pytest.mark.parametrize("scale", [[1.0, 2.0, 3.0], [0.0, 1.0], [float("nan"), 1.0]])
def test_a_scale_must_fit(path: Path, scale: list[float]) -> None:
    with (
        opened(path, model_bin({"w": np.ones((2, 2), np.int8), "w_scale": np.array(scale, np.float32)})) as file,
        pytest.raises(UnreadableModel, match="does not fit"),
    ):
        file.float32("w")
