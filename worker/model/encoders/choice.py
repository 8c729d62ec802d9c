"""Chooses the encoder of a worker: the one that the settings name, or the faster one on this machine with this model."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import ctranslate2
import numpy as np
from ctranslate2.models import Whisper

from shared.logs import get_logger
from worker.engine_settings import EngineSettings
from worker.messages import ChosenEncoder
from worker.model.encoders.ctranslate2_encoder import CTranslate2Encoder
from worker.model.encoders.encoder import Encoder, EncoderUnavailable
from worker.model.encoders.openvino_encoder import OpenVinoEncoder, Precision, has_bfloat16

#: Lengths of the measured windows, in frames: a full one, a short one such as adaptive windows have, and the one of the check.
FULL_FRAMES, SHORT_FRAMES, CHECK_FRAMES = 3000, 560, 400
#: OpenVINO's encoding may differ so much from CTranslate2's, relative to its length. On speech, int8 differs by 0.01.
LARGEST_DISTANCE = 0.1
#: CTranslate2 is taken if it needs less than this share of OpenVINO's time. Between equal ones the choice must not depend on
#: what else the machine does: a fleet's workers share their cache only if they have the same encoder.
CLEARLY_FASTER = 0.9
#: Most rounds, each of one window per encoder. A round in which one is so much faster decides; so does the last one within the
#: time.
ROUNDS, DECISIVE, MOST_SECONDS = 4, 1.5, 4.0

_LOG = get_logger(__name__)


def choose_encoder(model: Whisper, folder: Path, settings: EngineSettings) -> tuple[Encoder, ChosenEncoder]:
    """The encoder to use, and what to tell of it.

    `model`: the loaded model, from `folder`. Raises `EncoderUnavailable` if the settings demand OpenVINO and it cannot be used.
    """
    own = CTranslate2Encoder(model)
    encoder, ms, why = _chosen(own, model, folder, settings)
    told = ChosenEncoder(name=encoder.name, precision=encoder.precision, ms=ms, why=why)
    _LOG.info("encoder_chosen", encoder=told.name, precision=told.precision, why=why, **{f"{name}_ms": ms[name] for name in ms})
    return encoder, told


def _chosen(
    own: CTranslate2Encoder, model: Whisper, folder: Path, settings: EngineSettings
) -> tuple[Encoder, dict[str, float], str]:
    if model.device != "cpu":
        return own, {}, "the model runs on a GPU"
    if settings.encoder == "ctranslate2":
        return own, {}, "WHISPER_ENCODER"
    try:
        other = _openvino(own, model.n_mels, folder, settings)
    except EncoderUnavailable as error:
        if settings.encoder == "openvino":
            raise
        return own, {}, str(error)
    if settings.encoder == "openvino":
        return other, {}, "WHISPER_ENCODER"
    frames = SHORT_FRAMES if settings.encoder_window == "adaptive" else FULL_FRAMES
    ms = measured({own.name: own, other.name: other}, sample(model.n_mels, frames), sample(model.n_mels, CHECK_FRAMES))
    faster: Encoder = own if ms[own.name] < CLEARLY_FASTER * ms[other.name] else other
    return faster, ms, "measured"


def _openvino(own: Encoder, mels: int, folder: Path, settings: EngineSettings) -> OpenVinoEncoder:
    """OpenVINO's encoder in the first precision that works here: what it encodes must be what the model's own encodes."""
    window, reasons = sample(mels, CHECK_FRAMES), []
    expected = np.array(_float32(own.encode(window)))
    for precision in precisions(settings.encoder_precision, own.precision):
        try:
            encoder = OpenVinoEncoder(folder, precision, settings.cpu_threads)
            check(encoder, window, expected)
        except EncoderUnavailable as error:
            reasons.append(str(error))
        else:
            return encoder
    raise EncoderUnavailable(" ".join(dict.fromkeys(reasons)))


def precisions(wanted: str, compute_type: str) -> list[Precision]:
    """The precisions to try, in order. `wanted`: as in the settings. `compute_type`: the one that CTranslate2 calculates in.

    `auto` is bfloat16 where the processor has it. Elsewhere it is int8 if the decoder calculates in int8 too, else float32.
    """
    if wanted in {"bf16", "f32"}:
        return [cast("Precision", wanted)]
    has_bf16 = has_bfloat16()
    if wanted == "int8":
        return ["int8_bf16" if has_bf16 else "int8_f32"]
    other: list[Precision] = ["int8_f32", "f32"] if compute_type.startswith("int8") else ["f32"]
    return ["bf16", *other] if has_bf16 else other


def check(encoder: Encoder, window: ctranslate2.StorageView, expected: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    """Raise `EncoderUnavailable` if the encoder fails, or if its encoding of the window is far from what is expected."""
    try:
        encoded = _float32(encoder.encode(window))
    except RuntimeError as error:
        raise EncoderUnavailable(f"{encoder.name} in {encoder.precision} does not encode here.") from error
    distance = float(np.linalg.norm(encoded - expected) / np.linalg.norm(expected)) if encoded.shape == expected.shape else 1.0
    if not distance <= LARGEST_DISTANCE:
        raise EncoderUnavailable(
            f"{encoder.name} in {encoder.precision} encodes something else than CTranslate2 here (distance {distance:.2f})."
        )


def measured(
    encoders: Mapping[str, Encoder], window: ctranslate2.StorageView, short: ctranslate2.StorageView
) -> dict[str, float]:
    """Milliseconds per window of each encoder, in turns, the best of each. The short window instead, if the other takes long."""
    rounds = _rounds(encoders, short)
    at_least = next(rounds)
    if max(at_least.values()) / CHECK_FRAMES * FULL_FRAMES < 1000 * MOST_SECONDS / len(encoders):
        rounds = _rounds(encoders, window)
    started, best = time.monotonic(), next(rounds)
    for number, latest in enumerate(rounds, start=2):
        decisive = max(best.values()) > DECISIVE * min(best.values())
        if decisive or number > ROUNDS or time.monotonic() - started > MOST_SECONDS:
            break
        best = {name: min(best[name], latest[name]) for name in best}
    return {name: round(ms, 1) for name, ms in best.items()}


def _rounds(encoders: Mapping[str, Encoder], window: ctranslate2.StorageView) -> Iterator[dict[str, float]]:
    """Round after round, the milliseconds that each encoder takes for the window."""
    while True:
        took = {}
        for name, encoder in encoders.items():
            started = time.perf_counter()
            encoder.encode(window)
            took[name] = (time.perf_counter() - started) * 1000
        yield took


def sample(mels: int, frames: int) -> ctranslate2.StorageView:
    """A window of noise in the range of log-mel features, the same one each time."""
    values = np.random.default_rng(0).uniform(-1, 1, (1, mels, frames))
    return ctranslate2.StorageView.from_array(values.astype(np.float32))


def _float32(view: ctranslate2.StorageView) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(view if view.dtype == ctranslate2.DataType.float32 else view.to(ctranslate2.DataType.float32))
