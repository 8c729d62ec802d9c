"""The random weights as a folder for OpenVINO GenAI's Whisper pipeline: `write(folder, eight_bits=...)`.

The folder holds what `optimum-cli export openvino` writes: two models, a tokenizer, a detokenizer, and three descriptions. Its
names and numbers are those of an English-only Whisper, as for the other baselines.
"""

import json
from pathlib import Path

import openvino as ov
from openvino_tokenizers import build_rwkv_tokenizer
from tokenizers import Tokenizer

from tests.benchmarks.base_shape import DECODER_POSITIONS, MEL_BINS, shape
from tests.benchmarks.baselines import openvino_graphs
from tests.benchmarks.baselines.ggml_file import word_bytes


def write(folder: Path, *, eight_bits: bool, words: int = 10, seconds: float = 3.0) -> Path:
    """Write the folder (about 145 MB as float16, 110 MB as int8) unless it is there. Returns it."""
    described = folder / "generation_config.json"
    if described.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    spec, tokenizer = shape(words, seconds)
    for side, build in (("encoder", openvino_graphs.encoder), ("decoder", openvino_graphs.decoder)):
        ov.save_model(build(spec.variables(), eight_bits=eight_bits), folder / f"openvino_{side}_model.xml")
    for kind, model in zip(("tokenizer", "detokenizer"), _tokenizers(tokenizer), strict=True):
        ov.save_model(model, folder / f"openvino_{kind}.xml")
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper", "max_target_positions": DECODER_POSITIONS}))
    feature = {"feature_size": MEL_BINS, "sampling_rate": 16_000, "hop_length": 160, "n_fft": 400, "chunk_length": 30}
    windows = {"n_samples": 480_000, "nb_max_frames": 3000}
    (folder / "preprocessor_config.json").write_text(json.dumps(feature | windows))
    described.write_text(json.dumps(_generation(tokenizer)))
    return folder


def _tokenizers(tokenizer: Tokenizer) -> tuple[ov.Model, ov.Model]:
    """Without the merges of a real one: the pipeline only turns tokens into text here."""
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    contents = [token.encode() if token.startswith("<|") else word_bytes(token) for token in tokens]
    lines = [f"{number} {content!r} {len(content)}" for number, content in enumerate(contents)]
    made: tuple[ov.Model, ov.Model] = build_rwkv_tokenizer(lines)
    return made


def _generation(tokenizer: Tokenizer) -> dict[str, object]:
    number = tokenizer.token_to_id
    return {
        "decoder_start_token_id": number("<|startoftranscript|>"),
        "eos_token_id": number("<|endoftext|>"),
        "pad_token_id": number("<|endoftext|>"),
        "translate_token_id": number("<|translate|>"),
        "transcribe_token_id": number("<|transcribe|>"),
        "prev_sot_token_id": number("<|startofprev|>"),
        "no_timestamps_token_id": number("<|notimestamps|>"),
        "is_multilingual": False,
        "max_initial_timestamp_index": 50,
        "begin_suppress_tokens": [number("<|endoftext|>")],
        "suppress_tokens": [],
        "max_length": DECODER_POSITIONS,
    }
