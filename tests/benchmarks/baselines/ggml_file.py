"""The random weights as a file for whisper.cpp: `write(path, "f16" or "q8_0")`.

The format is that of whisper.cpp's own converter (`models/convert-h5-to-ggml.py`) and of its `quantize`: magic number, eleven
sizes, mel filters, tokens, then each tensor with its name. Numbers are little-endian, shapes are written last dimension first.

The model is English-only, as it is for faster-whisper: a vocabulary smaller than 51,865 means that to both, and the prompt is one
token long. whisper.cpp counts its special tokens itself, so that their embeddings must lie where it looks for them.
"""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray
from tokenizers import Tokenizer, pre_tokenizers

from tests.benchmarks.base_shape import DECODER_POSITIONS, ENCODER_POSITIONS, HEADS, LAYERS, MEL_BINS, WIDTH, shape

Precision = Literal["f16", "q8_0"]
Floats = NDArray[np.float32]

MAGIC = 0x67676D6C
#: Kinds of tensors, and of files (`ggml.h`). A quantised file's kind says the quantisation's version, too: 2.
F32, F16, Q8_0 = 0, 1, 8
FILE_KINDS = {"f16": 1, "q8_0": 2007}
#: Values that share a scale in `q8_0`.
BLOCK = 32
#: English-only vocabulary (`whisper.cpp`): words, end of text, start of transcript, 105 others, timestamps.
WORDS, END, START, FIRST_TIMESTAMP, ROWS = 50_256, 50_256, 50_257, 50_363, 51_864


def write(path: Path, precision: Precision, words: int = 10, seconds: float = 3.0) -> Path:
    """Write the file (about 145 MB as f16, 80 MB as q8_0) unless it is there. Returns its path."""
    if path.exists():
        return path
    spec, tokenizer = shape(words, seconds)
    unfinished = path.with_suffix(".part")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    with unfinished.open("wb") as file:
        _head(file, precision)
        _filters(file)
        _tokens(file, tokenizer)
        for name, tensor in _tensors(spec.variables(), tokenizer):
            _tensor(file, name, tensor, precision)
    return unfinished.replace(path)


def _head(file: BinaryIO, precision: Precision) -> None:
    encoder, decoder = (ENCODER_POSITIONS, WIDTH, HEADS, LAYERS), (DECODER_POSITIONS, WIDTH, HEADS, LAYERS)
    file.write(struct.pack("<12i", MAGIC, ROWS, *encoder, *decoder, MEL_BINS, FILE_KINDS[precision]))


def _filters(file: BinaryIO) -> None:
    filters = np.asarray(FeatureExtractor.get_mel_filters(16_000, 400, n_mels=MEL_BINS), np.float32)
    file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())


def _tokens(file: BinaryIO, tokenizer: Tokenizer) -> None:
    """The words as bytes. A single space must be among them: whisper.cpp asks for its number."""
    file.write(struct.pack("<i", WORDS))
    for number in range(WORDS):
        word = word_bytes(str(tokenizer.id_to_token(number)))
        file.write(struct.pack("<i", len(word)) + word)


def word_bytes(token: str) -> bytes:
    """The bytes that a token of a byte-level vocabulary stands for."""
    byte_of = _bytes_by_letter()
    return bytes(byte_of[letter] for letter in token)


@cache
def _bytes_by_letter() -> dict[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for: itself if it can be printed, else the next from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}
    assert set(letters) == set(pre_tokenizers.ByteLevel.alphabet())
    return letters


def _tensors(weights: dict[str, Floats], tokenizer: Tokenizer) -> Iterator[tuple[str, Floats]]:
    """All tensors under whisper.cpp's names, shaped (out, in)."""
    for number in (1, 2):
        yield f"encoder.conv{number}.weight", weights[f"encoder/conv{number}/weight"]
        yield f"encoder.conv{number}.bias", weights[f"encoder/conv{number}/bias"].reshape(-1, 1)
    yield "decoder.token_embedding.weight", _embeddings(weights["decoder/embeddings/weight"], tokenizer)
    for side, norm in (("encoder", "ln_post"), ("decoder", "ln")):
        yield f"{side}.positional_embedding", weights[f"{side}/position_encodings/encodings"]
        yield from _norm(f"{side}.{norm}", f"{side}/layer_norm", weights)
        for layer in range(LAYERS):
            yield from _layer(f"{side}.blocks.{layer}", f"{side}/layer_{layer}", weights)


def _embeddings(rows: Floats, tokenizer: Tokenizer) -> Floats:
    """Each token's row where whisper.cpp looks for it. Tokens that the model lacks never come up, and get zeros."""
    placed = np.zeros((ROWS, WIDTH), np.float32)
    placed[:WORDS] = rows[:WORDS]
    numbers = tokenizer.get_vocab()
    placed[END], placed[START] = rows[numbers["<|endoftext|>"]], rows[numbers["<|startoftranscript|>"]]
    first = numbers["<|0.00|>"]
    placed[FIRST_TIMESTAMP:] = rows[first : first + ROWS - FIRST_TIMESTAMP]
    return placed


def _layer(name: str, source: str, weights: dict[str, Floats]) -> Iterator[tuple[str, Floats]]:
    """CTranslate2 keeps query, key and value in one matrix, or key and value; whisper.cpp has three. A key has no bias."""
    cross = f"{source}/attention"
    yield from _norm(f"{name}.attn_ln", f"{source}/self_attention/layer_norm", weights)
    yield from _linears(f"{name}.attn", ("query", "key", "value"), f"{source}/self_attention/linear_0", weights)
    yield from _linears(f"{name}.attn", ("out",), f"{source}/self_attention/linear_1", weights)
    if f"{cross}/linear_0/weight" in weights:
        yield from _norm(f"{name}.cross_attn_ln", f"{cross}/layer_norm", weights)
        for number, parts in enumerate((("query",), ("key", "value"), ("out",))):
            yield from _linears(f"{name}.cross_attn", parts, f"{cross}/linear_{number}", weights)
    yield from _norm(f"{name}.mlp_ln", f"{source}/ffn/layer_norm", weights)
    for number, part in enumerate(("0", "2")):
        yield from _linears(f"{name}.mlp", (part,), f"{source}/ffn/linear_{number}", weights)


def _linears(name: str, parts: tuple[str, ...], source: str, weights: dict[str, Floats]) -> Iterator[tuple[str, Floats]]:
    matrices, biases = (np.split(weights[f"{source}/{what}"], len(parts)) for what in ("weight", "bias"))
    for part, matrix, bias in zip(parts, matrices, biases, strict=True):
        yield f"{name}.{part}.weight", matrix
        if part != "key":
            yield f"{name}.{part}.bias", bias


def _norm(name: str, source: str, weights: dict[str, Floats]) -> Iterator[tuple[str, Floats]]:
    yield f"{name}.weight", weights[f"{source}/gamma"]
    yield f"{name}.bias", weights[f"{source}/beta"]


def _tensor(file: BinaryIO, name: str, tensor: Floats, precision: Precision) -> None:
    kind, content = _encoded(name, tensor, precision)
    file.write(struct.pack("<3i", tensor.ndim, len(name), kind))
    file.write(struct.pack(f"<{tensor.ndim}i", *reversed(tensor.shape)))
    file.write(name.encode() + content)


def _encoded(name: str, tensor: Floats, precision: Precision) -> tuple[int, bytes]:
    """Norms, biases and positions stay float32; only matrices are quantised, not the convolutions."""
    if tensor.ndim < 2 or name.endswith(("positional_embedding", ".bias")):
        return F32, tensor.tobytes()
    if precision == "q8_0" and tensor.ndim == 2:
        return Q8_0, quantised(tensor)
    return F16, tensor.astype(np.float16).tobytes()


def quantised(matrix: Floats) -> bytes:
    """`q8_0`: for each 32 values a float16 scale, which is a 127th of the largest, and 32 int8 multiples of it."""
    blocks = matrix.reshape(-1, BLOCK)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / 127
    steps = np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales > 0).round().astype(np.int8)
    both = np.empty(len(blocks), np.dtype([("scale", "<f2"), ("steps", "i1", BLOCK)]))
    both["scale"], both["steps"] = scales[:, 0], steps
    return both.tobytes()
