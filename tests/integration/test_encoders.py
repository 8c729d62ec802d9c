"""OpenVINO's encoder against CTranslate2's own, on the demo model: the same encodings, transcripts, words and languages."""

import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
import soundfile
from ctranslate2.models import Whisper
from faster_whisper.audio import pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from shared.jobs.options import TranscriptionOptions
from shared.settings import DEMO_MODEL, WorkerSettings
from shared.transcripts.transcript import Transcript
from tests.conftest import Clip
from tests.model_files import QUANTIZATIONS, demo_arrays, demo_model_as, model_bin
from tests.processes import ROOT
from worker.chosen_engine import chosen_engine
from worker.model.encoders.encoder import EncoderUnavailable, UnreadableModel
from worker.model.encoders.openvino_encoder import OpenVinoEncoder, Precision, has_bfloat16
from worker.model.engine import Engine
from worker.model.engine_protocol import Nobody

pytest.importorskip("openvino")

Array = NDArray[np.float32]
#: Relative distance of two encodings that come of rounding in float32 alone.
ROUNDING = 1e-4


def view(features: Array) -> ctranslate2.StorageView:
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(features))


def distance(one: Any, other: Any) -> float:
    """How far two encodings are apart, relative to their length."""
    return float(np.linalg.norm(np.asarray(one) - np.asarray(other)) / np.linalg.norm(np.asarray(other)))


@pytest.fixture(scope="module")
def features(clips: list[Clip]) -> list[Array]:
    """The full windows of some clips: (1, mels, 3000)."""
    extract = FeatureExtractor()
    sounds = [soundfile.read(clip.path, dtype="float32")[0] for clip in clips[:6]]
    return [pad_or_trim(extract(sound)[:, :3000])[None].astype(np.float32) for sound in sounds]


@pytest.fixture(scope="module")
def exact() -> Whisper:
    return Whisper(str(DEMO_MODEL), device="cpu", compute_type="float32", intra_threads=2)


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_every_type_of_file_is_encoded_as_by_ctranslate2(tmp_path: Path, features: list[Array], quantization: str) -> None:
    folder = demo_model_as(quantization, tmp_path / "model")
    own = Whisper(str(folder), device="cpu", compute_type="float32", intra_threads=2)
    encoder = OpenVinoEncoder(folder, "f32", 2)
    assert distance(encoder.encode(view(features[0])), own.encode(view(features[0]))) < ROUNDING


@pytest.mark.parametrize(("precision", "most"), [("bf16", 0.01), ("int8_bf16", 0.02), ("int8_f32", 0.02)])
def test_lower_precisions_stay_close(features: list[Array], exact: Whisper, precision: Precision, most: float) -> None:
    if "bf16" in precision and not has_bfloat16():
        pytest.skip("this processor does not multiply in bfloat16")
    encoder = OpenVinoEncoder(DEMO_MODEL, precision, 2)
    assert all(distance(encoder.encode(view(one)), exact.encode(view(one))) < most for one in features)


@pytest.mark.parametrize("frames", [2, 400, 560, 1250, 2998, 3000])
def test_every_length_is_encoded(features: list[Array], exact: Whisper, frames: int) -> None:
    window = features[0][..., :frames]
    encoded = OpenVinoEncoder(DEMO_MODEL, "f32", 2).encode(view(window))
    assert encoded.shape == [1, frames // 2, 192]
    assert distance(encoded, exact.encode(view(window))) < ROUNDING


def test_several_windows_are_encoded_together(features: list[Array], exact: Whisper) -> None:
    windows = np.concatenate(features[:3])
    assert distance(OpenVinoEncoder(DEMO_MODEL, "f32", 2).encode(view(windows)), exact.encode(view(windows))) < ROUNDING


def test_a_window_that_is_too_long_raises() -> None:
    encoder = OpenVinoEncoder(DEMO_MODEL, "f32", 2)
    with pytest.raises(RuntimeError):
        encoder.encode(view(np.zeros((1, 80, 3200), np.float32)))
    assert encoder.encode(view(np.zeros((1, 80, 400), np.float32))).shape == [1, 200, 192]


def test_threads_get_their_own_encodings_and_keep_them(features: list[Array], exact: Whisper) -> None:
    encoder = OpenVinoEncoder(DEMO_MODEL, "f32", 2)
    work = [one[..., :frames] for one in features for frames in (400, 640, 800)] * 4
    with ThreadPoolExecutor(4) as pool:
        encoded = list(pool.map(lambda window: encoder.encode(view(window)), work))
    gc.collect()
    assert all(distance(one, exact.encode(view(window))) < ROUNDING for one, window in zip(encoded, work, strict=True))


def engine(**settings: Any) -> Engine:
    return Engine(chosen_engine(WorkerSettings(whisper_model="demo", whisper_cpu_threads=2, **settings)))


def heard(engine: Engine, clip: Clip, options: TranscriptionOptions) -> Transcript:
    return engine.transcribe(soundfile.read(clip.path, dtype="float32")[0], options, 0.0, Nobody())


def test_transcripts_words_and_languages_are_those_of_ctranslate2(clips: list[Clip]) -> None:
    own, other = engine(whisper_encoder="ctranslate2"), engine(whisper_encoder="openvino", whisper_encoder_precision="f32")
    options = TranscriptionOptions(word_timestamps=True)
    for clip in clips[:8]:
        expected, found = heard(own, clip, options), heard(other, clip, options)
        assert (found.transcript, found.language) == (expected.transcript, expected.language)
        times = [
            [(word.word, word.start) for segment in one.segments for word in segment.words or []] for one in (expected, found)
        ]
        assert [word for word, _ in times[0]] == [word for word, _ in times[1]]
        assert np.allclose([at for _, at in times[0]], [at for _, at in times[1]], atol=0.1)


@pytest.mark.parametrize("compute_type", ["float32", "int8_bfloat16", "bfloat16", "int16"])
def test_the_decoder_takes_the_encoding_in_every_type(clips: list[Clip], compute_type: str) -> None:
    if compute_type not in ctranslate2.get_supported_compute_types("cpu"):
        pytest.skip(f"this processor does not calculate in {compute_type}")
    model = engine(whisper_encoder="openvino", whisper_encoder_precision="f32", whisper_compute_type=compute_type)
    assert heard(model, clips[0], TranscriptionOptions(word_timestamps=True)).transcript


def test_a_transcript_and_the_engine_tell_the_encoder(clips: list[Clip]) -> None:
    model = engine(whisper_encoder="openvino", whisper_encoder_precision="f32")
    transcript = heard(model, clips[0], TranscriptionOptions())
    assert (
        (transcript.encoder, transcript.encoder_precision) == ("openvino", "f32") == (model.encoder.name, model.encoder.precision)
    )


def test_auto_measures_what_is_there() -> None:
    told = engine().encoder
    assert told.why == "measured" and f"{told.name} {told.precision}" in told.ms and len(told.ms) > 1


def test_a_machine_without_openvino_works_as_before() -> None:
    program = """
import sys
sys.modules["openvino"] = None  # an import of it fails
from shared.settings import WorkerSettings
from worker.chosen_engine import chosen_engine
from worker.model.engine import Engine
engine = Engine(chosen_engine(WorkerSettings(whisper_model="demo")))
engine.canary()
print(engine.encoder.name, engine.encoder.why)
try:
    Engine(chosen_engine(WorkerSettings(whisper_model="demo", whisper_encoder="openvino")))
except Exception as error:
    print(error)
"""
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    ).stdout
    lines = [line for line in shown.splitlines() if "OpenVINO cannot be loaded" in line]
    assert any(line.startswith("ctranslate2 OpenVINO cannot be loaded") for line in lines)
    assert any(line.startswith("OpenVINO cannot be loaded") for line in lines)


@pytest.mark.parametrize(
    ("spoilt", "complaint"),
    [("encoder/layer_1/ffn/linear_0/weight", "do not fit"), ("encoder/conv2/weight", "has no encoder/conv2")],
)
def test_a_model_that_is_not_understood_is_refused(tmp_path: Path, spoilt: str, complaint: str) -> None:
    arrays, aliases = demo_arrays("float32")
    if complaint == "do not fit":
        arrays[spoilt] = arrays[spoilt][:-1]
    else:
        del arrays[spoilt]
    (tmp_path / "model.bin").write_bytes(model_bin(arrays, aliases))
    with pytest.raises(UnreadableModel, match=complaint):
        OpenVinoEncoder(tmp_path, "f32", 1)


def test_a_precision_that_the_processor_lacks_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    def refuse(*_: object) -> None:
        raise RuntimeError("first line\nno such instruction")

    monkeypatch.setattr(openvino.Core, "compile_model", refuse)
    with pytest.raises(EncoderUnavailable, match="cannot compile the encoder in f32: no such instruction"):
        OpenVinoEncoder(DEMO_MODEL, "f32", 1)
