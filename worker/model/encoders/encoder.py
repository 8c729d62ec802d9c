"""What an encoder is. `BatchingModel` calls the one that it is given, and knows no other."""

from typing import Protocol

import ctranslate2


class Encoder(Protocol):
    """Turns features into what the decoder attends to. `encode` may be called from several threads at once."""

    #: `ctranslate2` or `openvino`.
    name: str
    #: What it calculates in. CTranslate2: its compute type. OpenVINO: `f32`, `bf16`, `int8_f32` or `int8_bf16`.
    precision: str

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:
        """Encode log-mel features (windows, mels, frames; float32) to (windows, frames / 2, width).

        `to_cpu`: on a GPU, bring the result to the CPU. The caller owns the result: no later call changes it.
        """
        ...


class EncoderUnavailable(Exception):
    """This encoder cannot run this model on this machine. The message says why, in a sentence for the operator."""


class UnreadableModel(EncoderUnavailable):
    """`model.bin` is damaged, or is no Whisper model in a layout that is known here."""
