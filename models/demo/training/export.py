"""Checkpoint to CTranslate2: `python export.py WORK OUT` writes what `faster_whisper.WhisperModel(OUT)` loads."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from ctranslate2.specs import WhisperSpec, common_spec
from numpy.typing import NDArray
from tokenizers import Tokenizer

from network import DECODER_LAYERS, ENCODER_LAYERS, HEADS, sinusoids

Weights = dict[str, NDArray[np.float32]]


def fill(spec: WhisperSpec, w: Weights) -> None:
    """Copy every weight to its place in the specification."""
    encoder, decoder = spec.encoder, spec.decoder
    for number, conv in ((1, encoder.conv1), (2, encoder.conv2)):
        conv.weight, conv.bias = w[f"conv{number}.weight"], w[f"conv{number}.bias"]
    encoder.position_encodings.encodings = w["positions"]
    _norm(encoder.layer_norm, w, "encoder_norm")
    for number, layer in enumerate(encoder.layer):
        _block(layer, w, f"encoder.{number}", cross=False)
    decoder.embeddings.weight = w["embedding.weight"]
    decoder.position_encodings.encodings = w["token_positions"]
    decoder.projection.weight = w["embedding.weight"]
    decoder.scale_embeddings = False
    _norm(decoder.layer_norm, w, "decoder_norm")
    for number, layer in enumerate(decoder.layer):
        _block(layer, w, f"decoder.{number}", cross=True)


def _norm(spec: common_spec.LayerNormSpec, w: Weights, name: str) -> None:
    spec.gamma, spec.beta = w[f"{name}.weight"], w[f"{name}.bias"]


def _linear(spec: common_spec.LinearSpec, w: Weights, *names: str) -> None:
    """One linear layer, or several side by side; a missing bias (Whisper's keys) is zero."""
    spec.weight = np.concatenate([w[f"{n}.weight"] for n in names])
    spec.bias = np.concatenate([w.get(f"{n}.bias", np.zeros(len(w[f"{n}.weight"]), np.float32)) for n in names])


def _block(layer: object, w: Weights, name: str, cross: bool) -> None:
    own = layer.self_attention  # type: ignore[attr-defined]
    _norm(own.layer_norm, w, f"{name}.attention_norm")
    _linear(own.linear[0], w, *(f"{name}.attention.{part}" for part in ("query", "key", "value")))
    _linear(own.linear[1], w, f"{name}.attention.out")
    if cross:
        other = layer.attention  # type: ignore[attr-defined]
        _norm(other.layer_norm, w, f"{name}.cross_norm")
        _linear(other.linear[0], w, f"{name}.cross.query")
        _linear(other.linear[1], w, f"{name}.cross.key", f"{name}.cross.value")
        _linear(other.linear[2], w, f"{name}.cross.out")
    _norm(layer.ffn.layer_norm, w, f"{name}.mlp_norm")  # type: ignore[attr-defined]
    _linear(layer.ffn.linear_0, w, f"{name}.mlp_in")  # type: ignore[attr-defined]
    _linear(layer.ffn.linear_1, w, f"{name}.mlp_out")  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(args.work / "tokenizer.json"))
    state = torch.load(args.work / "checkpoint.pt", weights_only=True)["average"]
    weights = {name: value.float().numpy() for name, value in state.items()}
    weights["positions"] = sinusoids(1500, weights["positions"].shape[1]).numpy()

    spec = WhisperSpec(ENCODER_LAYERS, HEADS, DECODER_LAYERS, HEADS)
    fill(spec, weights)
    special = tokenizer.token_to_id
    vocabulary = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids = [
        special(t) for t in ("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>")
    ]
    spec.config.suppress_ids_begin = [special("<|endoftext|>")]
    spec.config.lang_ids = [special("<|en|>")]
    spec.config.alignment_heads = [[layer, head] for layer in (DECODER_LAYERS - 2, DECODER_LAYERS - 1) for head in range(HEADS)]
    spec.validate()
    spec.optimize("int8")
    spec.save(str(args.out))
    shutil.copy(args.work / "tokenizer.json", args.out / "tokenizer.json")
    feature = {"feature_size": 80, "sampling_rate": 16_000, "hop_length": 160, "chunk_length": 30, "n_fft": 400}
    (args.out / "preprocessor_config.json").write_text(json.dumps(feature, indent=2) + "\n")


if __name__ == "__main__":
    main()
