"""The file for whisper.cpp, read back as whisper.cpp reads it (docs/decisions/026-baselines.md)."""

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.benchmarks import base_shape
from tests.benchmarks.baselines import ggml_file

BYTES = {ggml_file.F32: 4.0, ggml_file.F16: 2.0, ggml_file.Q8_0: 34 / 32}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One layer, narrow: the names and kinds of tensors are those of `base`."""
    for name, value in {"WIDTH": 64, "LAYERS": 1, "HEADS": 2}.items():
        monkeypatch.setattr(base_shape, name, value)
        monkeypatch.setattr(ggml_file, name, value)


def integers(file: BinaryIO, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}i", file.read(4 * count))


def tensors(file: BinaryIO) -> dict[str, tuple[int, tuple[int, ...], bytes]]:
    """Name to kind, shape (last dimension first) and content, until the file ends."""
    found = {}
    while head := file.read(12):
        dimensions, length, kind = struct.unpack("<3i", head)
        shape = integers(file, dimensions)
        name = file.read(length).decode()
        found[name] = kind, shape, file.read(int(np.prod(shape) * BYTES[kind]))
    return found


def past_head(file: BinaryIO) -> tuple[tuple[int, ...], list[bytes]]:
    """The eleven sizes, and the words; the mel filters are passed over."""
    magic, *sizes = integers(file, 12)
    assert magic == 0x67676D6C
    rows, columns = integers(file, 2)
    assert (rows, columns) == (80, 201)
    file.seek(4 * rows * columns, 1)
    return tuple(sizes), [file.read(*integers(file, 1)) for _ in range(*integers(file, 1))]


@pytest.mark.parametrize(("precision", "kind", "matrices"), [("f16", 1, ggml_file.F16), ("q8_0", 2007, ggml_file.Q8_0)])
def test_the_file_is_read_back(tmp_path: Path, precision: ggml_file.Precision, kind: int, matrices: int) -> None:
    with ggml_file.write(tmp_path / "model.bin", precision).open("rb") as file:
        sizes, words = past_head(file)
        found = tensors(file)
    assert sizes == (51_864, 1500, 64, 2, 1, 448, 64, 2, 1, 80, kind)
    assert len(words) == 50_256 and b" " in words and len(set(words)) == len(words)
    assert len(found) == 11 + 15 + 24  # beside the layers; of the encoder's; of the decoder's
    assert found["encoder.conv1.weight"][:2] == (ggml_file.F16, (3, 80, 64))
    assert found["encoder.conv1.bias"][:2] == (ggml_file.F32, (1, 64))
    assert found["decoder.positional_embedding"][:2] == (ggml_file.F32, (64, 448))
    assert found["decoder.blocks.0.cross_attn.value.weight"][:2] == (matrices, (64, 64))
    assert found["decoder.token_embedding.weight"][:2] == (matrices, (64, 51_864))
    assert not any(name.endswith("attn.key.bias") for name in found)


def test_special_tokens_lie_where_whisper_cpp_looks_for_them(tmp_path: Path) -> None:
    spec, tokenizer = base_shape.shape()
    with ggml_file.write(tmp_path / "model.bin", "f16").open("rb") as file:
        past_head(file)
        rows = np.frombuffer(tensors(file)["decoder.token_embedding.weight"][2], np.float16).reshape(-1, 64)
    expected = spec.variables()["decoder/embeddings/weight"].astype(np.float16)
    for token, row in {"<|endoftext|>": 50_256, "<|startoftranscript|>": 50_257, "<|0.00|>": 50_363, "<|30.00|>": 51_863}.items():
        np.testing.assert_array_equal(rows[row], expected[tokenizer.token_to_id(token)])


def test_quantised_values_are_within_half_a_step() -> None:
    matrix: NDArray[np.float32] = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    matrix[0, :32] = 0
    blocks = np.frombuffer(ggml_file.quantised(matrix), np.dtype([("scale", "<f2"), ("steps", "i1", 32)]))
    back = blocks["scale"][:, None].astype(np.float32) * blocks["steps"]
    steps = np.abs(matrix.reshape(-1, 32)).max(axis=1, keepdims=True) / 127
    assert (np.abs(back - matrix.reshape(-1, 32)) <= 0.6 * steps).all()


def test_bytes_of_a_word_are_those_of_its_text() -> None:
    assert ggml_file.word_bytes("Ġhé") == b" h\xe9"
