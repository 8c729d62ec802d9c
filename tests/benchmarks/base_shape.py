"""A model with the shape, and so the cost, of Whisper `base` that says a given sentence: `build(folder)`.

Real weights cannot be fetched everywhere, and a benchmark of speed only needs their size. The weights are random, so the model
understands nothing. To make the decoder speak at its usual length, and end, the sentence is written into its position encodings.
At the k-th position after the prompt stands the embedding of the k-th wanted token, so large that after the final layer norm it
outweighs everything else. Every multiplication happens as in the real model, and no temperature fallback does.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec, common_spec
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from shared.settings import DEMO_MODEL

LAYERS, HEADS, WIDTH, MEL_BINS = 6, 8, 512, 80
WORDS = 50_257
ENCODER_POSITIONS, DECODER_POSITIONS = 1500, 448
#: Whisper's special tokens in Whisper's order, then its timestamps: the same as those of the demo model.
SPECIALS = [t for t in json.loads((DEMO_MODEL / "vocabulary.json").read_text()) if t.startswith("<|")]
#: Number of the sentence's first word.
FIRST_WORD = 1000
#: By how much the script outweighs everything else, and how confident the decoder is then.
SCRIPT_WEIGHT, CONFIDENCE = 400.0, 3.0


def build(folder: Path, words: int = 10, seconds: float = 3.0) -> Path:
    """Write the model (int8, about 75 MB) unless it is there already. Returns the folder, for `WhisperModel(folder)`.

    In each window the model says this many words, from 0 s to `seconds`.
    """
    if (folder / "model.bin").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    spec, tokenizer = shape(words, seconds)
    tokenizer.save(str(folder / "tokenizer.json"))
    _configure(spec, tokenizer)
    spec.validate()
    spec.optimize("int8")
    spec.save(str(folder))
    feature = {"feature_size": MEL_BINS, "sampling_rate": 16_000, "hop_length": 160, "chunk_length": 30, "n_fft": 400}
    (folder / "preprocessor_config.json").write_text(json.dumps(feature))
    return folder


def shape(words: int = 10, seconds: float = 3.0) -> tuple[WhisperSpec, Tokenizer]:
    """The weights as float32, the same ones at every call, and the tokenizer: other runtimes are fed with them, too."""
    tokenizer = _tokenizer()
    spec = WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    _fill(spec, tokenizer, _script(tokenizer, words, seconds))
    return spec, tokenizer


def sentence(words: int = 10) -> str:
    """What the model says in each window."""
    return " ".join(_word(FIRST_WORD + n) for n in range(words))


def _tokenizer() -> Tokenizer:
    """A tokenizer as large as Whisper's: all bytes, made-up words, the special tokens, the timestamps."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*alphabet, *(f"Ġ{_word(n)}" for n in range(WORDS - len(alphabet)))]
    tokenizer = Tokenizer(models.BPE(vocab={word: n for n, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    return tokenizer


def _word(number: int) -> str:
    """Five letters without a pattern: text that compresses well would count as a decoder's loop."""
    scattered = number * 2_654_435 % 26**5
    return "".join(chr(ord("a") + scattered // 26**place % 26) for place in range(5))


def _script(tokenizer: Tokenizer, words: int, seconds: float) -> list[int]:
    """The tokens that the decoder says: start, words, end, and the end of the text."""
    said, ids = [f"Ġ{_word(FIRST_WORD + n)}" for n in range(words)], tokenizer.get_vocab()
    return [ids[token] for token in ("<|0.00|>", *said, f"<|{seconds:.2f}|>", "<|endoftext|>")]


def _fill(spec: WhisperSpec, tokenizer: Tokenizer, script: list[int]) -> None:
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> NDArray[np.float32]:
        weights: NDArray[np.float32] = rng.standard_normal(shape, np.float32) / np.float32(shape[-1] ** 0.5)
        return weights

    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = noise(WIDTH, MEL_BINS, 3), np.zeros(WIDTH, np.float32)
    encoder.conv2.weight, encoder.conv2.bias = noise(WIDTH, WIDTH, 3), np.zeros(WIDTH, np.float32)
    encoder.position_encodings.encodings = noise(ENCODER_POSITIONS, WIDTH)
    embeddings = noise(tokenizer.get_vocab_size(), WIDTH)
    decoder.embeddings.weight = decoder.projection.weight = embeddings
    decoder.scale_embeddings = False
    positions = noise(DECODER_POSITIONS, WIDTH)
    for place, token in enumerate(script):
        positions[place] = SCRIPT_WEIGHT * embeddings[token]
    decoder.position_encodings.encodings = positions
    for part, cross in ((encoder, False), (decoder, True)):
        _norm(part.layer_norm, CONFIDENCE if cross else 1.0)
        for layer in part.layer:
            _layer(layer, noise, cross)


def _layer(layer: Any, noise: Callable[..., NDArray[np.float32]], cross: bool) -> None:
    """Self-attention (query, key and value side by side), cross-attention (key and value side by side), feed-forward."""
    attentions = [(layer.self_attention, (3, 1))] + ([(layer.attention, (1, 2, 1))] if cross else [])
    for attention, widths in attentions:
        _norm(attention.layer_norm, 1.0)
        for linear, width in zip(attention.linear, widths, strict=True):
            _linear(linear, noise(width * WIDTH, WIDTH))
    _norm(layer.ffn.layer_norm, 1.0)
    _linear(layer.ffn.linear_0, noise(4 * WIDTH, WIDTH))
    _linear(layer.ffn.linear_1, noise(WIDTH, 4 * WIDTH))


def _linear(linear: common_spec.LinearSpec, weight: NDArray[np.float32]) -> None:
    linear.weight, linear.bias = weight, np.zeros(len(weight), np.float32)


def _norm(norm: common_spec.LayerNormSpec, gain: float) -> None:
    norm.gamma, norm.beta = np.full(WIDTH, gain, np.float32), np.zeros(WIDTH, np.float32)


def _configure(spec: WhisperSpec, tokenizer: Tokenizer) -> None:
    special = tokenizer.token_to_id
    spec.register_vocabulary([tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())])
    spec.config.suppress_ids = [special(f"<|{t}|>") for t in ("translate", "transcribe", "startoflm", "startofprev", "nospeech")]
    spec.config.suppress_ids_begin = [special("<|endoftext|>")]
    spec.config.lang_ids = [special("<|en|>")]
    spec.config.alignment_heads = [[layer, head] for layer in (LAYERS - 2, LAYERS - 1) for head in range(HEADS)]
