"""The gate: whether what a decoder said of a short encoder window is believed, or all of the window is decoded again."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from ctranslate2.models import WhisperGenerationResult

#: A short window's result is not believed below this average log probability, or above this compression ratio of its tokens (a
#: decoder in a loop repeats itself) or this rate of tokens.
LEAST_LOG_PROBABILITY = -0.8
MOST_COMPRESSION = 2.4
MOST_TOKENS_PER_SECOND = 15.0
#: Nor below this rate of tokens: slow speech has two a second, and a segment's times are two tokens more. One second of the
#: content may be a pause and is not counted. From `NO_SPEECH` on (Whisper's own threshold) the model hears no speech: then few
#: tokens are right.
LEAST_TOKENS_PER_SECOND, NO_SPEECH = 1.0, 0.6


def believable(result: WhisperGenerationResult, prompt_length: int, seconds: float, options: dict[str, Any]) -> bool:
    """Whether the result of a short window looks like speech that was decoded to its end. `seconds`: length of its content."""
    tokens = result.sequences_ids[0]
    length = len(tokens)
    # faster-whisper's own formula: the score is the sum of log probabilities over length ** length_penalty.
    log_probability = result.scores[0] * length ** float(options.get("length_penalty", 1)) / (length + 1)
    # CTranslate2's Whisper gives a window half of `max_length` tokens at most.
    most = int(options.get("max_length", 448))
    ended = length < min(most // 2, most - prompt_length)
    fast = length > MOST_TOKENS_PER_SECOND * max(1.0, seconds)
    missed = length < LEAST_TOKENS_PER_SECOND * (seconds - 1) and result.no_speech_prob < NO_SPEECH
    likely = log_probability >= LEAST_LOG_PROBABILITY and _compression(tokens) <= MOST_COMPRESSION
    return ended and not fast and not missed and likely


def _compression(tokens: Sequence[int]) -> float:
    """The compression ratio of the tokens. It is high for a decoder in a loop, which repeats itself."""
    raw = np.asarray(tokens, np.uint16).tobytes()
    return len(raw) / max(1, len(zlib.compress(raw)))
