"""Chooses the encoder of a worker: the one that the settings name, or the fastest one on this machine with this model."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.models import Whisper
from numpy.typing import NDArray

from shared.logs import get_logger
from worker.engine_settings import EngineSettings
from worker.messages import ChosenEncoder
from worker.model.allocator import give_back_freed_memory
from worker.model.encoders.ctranslate2_encoder import CTranslate2Encoder
from worker.model.encoders.encoder import Encoder, EncoderUnavailable
from worker.model.encoders.openvino_encoder import BROKEN, OpenVinoEncoder, Precision, has_bfloat16

#: Lengths of the measured windows, in frames: a full one, a short one such as adaptive windows have, and the one of the check.
FULL_FRAMES, SHORT_FRAMES, CHECK_FRAMES = 3000, 560, 400
#: The largest distance of OpenVINO's encoding from CTranslate2's, relative to its length as a vector. In int8 it is 0.01.
LARGEST_DISTANCE = 0.1
#: An encoder is taken in place of one that is preferred if it needs less than this share of its time. Between two that are about
#: equal, the choice must not depend on what else the machine does at that moment.
CLEARLY_FASTER = 0.95
#: Rounds of the measurement, least and most; seconds after which no further round begins; and the multiple of the time of the
#: fastest encoder at which a slower one drops out.
LEAST_ROUNDS, MOST_ROUNDS, MOST_SECONDS, HOPELESS = 2, 20, 0.3, 2.0
#: If a window may take longer than this, a shorter one is measured.
LONGEST_WINDOW_MS = 3000

_LOG = get_logger(__name__)


def choose_encoder(model: Whisper, folder: Path, settings: EngineSettings) -> tuple[Encoder, ChosenEncoder]:
    """The encoder to use, and what to tell of it.

    `model`: the loaded model, from `folder`. Raises `EncoderUnavailable` if the settings demand OpenVINO and it cannot be used.
    """
    own = CTranslate2Encoder(model)
    if model.device != "cpu":
        return _told(own, "the model runs on a GPU")
    if settings.encoder == "ctranslate2":
        return _told(own, "WHISPER_ENCODER")
    frames = SHORT_FRAMES if settings.encoder_window == "adaptive" else FULL_FRAMES
    contest = _Contest(own, folder, settings.encoder_threads, _window(own, model.n_mels, frames))
    try:
        contest.try_openvino(settings.encoder_precision)
    except EncoderUnavailable as error:
        if settings.encoder == "openvino":
            raise
        return _told(own, str(error))
    if settings.encoder == "auto":
        contest.challenge(own)
    give_back_freed_memory()
    return _told(contest.best, "measured" if contest.ms else "WHISPER_ENCODER", contest.ms)


def _told(encoder: Encoder, why: str, ms: Mapping[str, float] | None = None) -> tuple[Encoder, ChosenEncoder]:
    told = ChosenEncoder(name=encoder.name, precision=encoder.precision, why=why, ms=ms or {})
    _LOG.info("encoder_chosen", encoder=told.name, precision=told.precision, why=why, ms=told.ms)
    return encoder, told


class _Contest:
    """Compares encoders one by one and keeps the best: no more than two are in memory, besides CTranslate2's own."""

    def __init__(self, own: Encoder, folder: Path, threads: int, window: ctranslate2.StorageView) -> None:
        self._own, self._folder, self._threads, self._window = own, folder, threads, window
        self._expected = _float32(own.encode(window))
        self._best: Encoder | None = None
        #: Milliseconds of processor time for the window, by name and precision.
        self.ms: dict[str, float] = {}

    @property
    def best(self) -> Encoder:
        """The best encoder so far."""
        assert self._best is not None
        return self._best

    def try_openvino(self, wanted: str) -> None:
        """Let OpenVINO's encoders take part, in the precisions to choose from. Raises `EncoderUnavailable` if none works here."""
        reasons = dict[str, None]()
        for group in precisions(wanted, self._own.precision, has_bf16=has_bfloat16()):
            for precision in group:
                try:
                    encoder = OpenVinoEncoder(self._folder, precision, self._threads)
                    check(encoder, self._window, self._expected)
                    self.challenge(encoder)
                except EncoderUnavailable as error:
                    reasons[str(error)] = None
            if self._best is not None:
                return
        raise EncoderUnavailable(" ".join(reasons))

    def challenge(self, encoder: Encoder) -> None:
        """Measure this encoder against the best one so far, and keep the one that is preferred."""
        if self._best is None:
            self._best = encoder
            return
        pair = [self._best, encoder]
        ms = measured({label(one): one for one in pair}, self._window)
        self._best = preferred(pair, ms)
        self.ms |= {name: min(took, self.ms.get(name, took)) for name, took in ms.items()}


def precisions(wanted: str, compute_type: str, *, has_bf16: bool) -> list[list[Precision]]:
    """Groups of precisions to choose from; a later group is for machines where none of the earlier ones works.

    `wanted`: as in the settings. `compute_type`: what CTranslate2 calculates in. If that is int8, so may the encoder. Raises
    `EncoderUnavailable` if the settings demand bfloat16 and the processor has none: OpenVINO would take float32 and not say so.
    """
    if wanted == "bf16" and not has_bf16:
        raise EncoderUnavailable("This processor does not calculate in bfloat16, as WHISPER_ENCODER_PRECISION demands.")
    if wanted == "bf16":
        return [["bf16"]]
    if wanted == "f32":
        return [["f32"]]
    int8 = wanted == "int8" or compute_type.startswith("int8")
    in_bf16: list[Precision] = ["bf16", "int8_bf16"] if int8 else ["bf16"]
    in_f32: list[Precision] = ["f32", "int8_f32"] if int8 else ["f32"]
    groups = [in_bf16, in_f32] if has_bf16 else [in_f32]
    return [group[1:] for group in groups] if wanted == "int8" else groups


def check(encoder: Encoder, window: ctranslate2.StorageView, expected: NDArray[np.float32]) -> None:
    """Raise `EncoderUnavailable` if the encoder fails, or if its encoding of the window is far from what is expected."""
    about = f"The {encoder.name} encoder in {encoder.precision}"
    try:
        encoded = _float32(encoder.encode(window))
    except BROKEN as error:
        raise EncoderUnavailable(f"{about} does not work here ({type(error).__name__}).") from error
    distance = float(np.linalg.norm(encoded - expected) / np.linalg.norm(expected)) if encoded.shape == expected.shape else 1.0
    if not distance <= LARGEST_DISTANCE:  # nor is NaN
        raise EncoderUnavailable(f"{about} is wrong by {distance:.0%} here.")


def _window(own: Encoder, mels: int, frames: int) -> ctranslate2.StorageView:
    """The window for check and measurement: of so many frames, or of `CHECK_FRAMES` if that may take too long (large models)."""
    short = sample(mels, CHECK_FRAMES)
    return short if _ms(own, short) * frames / CHECK_FRAMES > LONGEST_WINDOW_MS else sample(mels, frames)


def measured(encoders: Mapping[str, Encoder], window: ctranslate2.StorageView) -> dict[str, float]:
    """Milliseconds of processor time for a window: measured in turns, the best of each encoder. All have encoded it before."""
    best = dict.fromkeys(encoders, float("inf"))
    running, started = list(encoders), time.monotonic()
    for number in range(1, MOST_ROUNDS + 1):
        for name in running:
            best[name] = min(best[name], _ms(encoders[name], window))
        running = [name for name in running if best[name] < HOPELESS * min(best.values())]
        if len(running) < 2 or (number >= LEAST_ROUNDS and time.monotonic() - started > MOST_SECONDS):
            break
    return {name: round(ms, 1) for name, ms in best.items()}


def preferred(candidates: Sequence[Encoder], ms: Mapping[str, float]) -> Encoder:
    """The first candidate than which no other one is clearly faster."""
    return next(one for one in candidates if min(ms.values()) >= CLEARLY_FASTER * ms[label(one)])


def label(encoder: Encoder) -> str:
    """Name and precision, for people."""
    return f"{encoder.name} {encoder.precision}"


def _ms(encoder: Encoder, window: ctranslate2.StorageView) -> float:
    """Processor time, not time by the clock: all workers of a machine start together, and must choose the same."""
    started = time.process_time()
    encoder.encode(window)
    return (time.process_time() - started) * 1000


def sample(mels: int, frames: int) -> ctranslate2.StorageView:
    """A window of noise in the range of log-mel features, the same one each time."""
    values: NDArray[Any] = np.random.default_rng(0).uniform(-1, 1, (1, mels, frames))
    return ctranslate2.StorageView.from_array(values.astype(np.float32))


def _float32(view: ctranslate2.StorageView) -> NDArray[np.float32]:
    """A copy of the values."""
    return np.array(view if view.dtype == ctranslate2.DataType.float32 else view.to(ctranslate2.DataType.float32))
