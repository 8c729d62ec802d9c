"""Which encoder a worker takes: what the settings allow, what works on the machine, and what is clearly faster."""

import gc
import time
import weakref
from pathlib import Path
from typing import Any, cast

import ctranslate2
import numpy as np
import pytest
from ctranslate2.models import Whisper

from shared.settings import DEMO_MODEL, WorkerSettings
from worker.chosen_engine import chosen_engine
from worker.engine_settings import EngineSettings
from worker.messages import ChosenEncoder
from worker.model.encoders import choice, openvino_encoder
from worker.model.encoders.choice import FULL_FRAMES, SHORT_FRAMES, choose_encoder, precisions
from worker.model.encoders.encoder import EncoderUnavailable

#: Milliseconds that a fake encoder takes for each frame.
SLOW, MIDDLING, FAST = 0.02, 0.012, 0.008


class Fake:
    """An encoder that takes `ms_per_frame` on the test's clock, and encodes zeros to `value`."""

    def __init__(self, clock: "Clock", name: str, precision: str, ms_per_frame: float = FAST, value: float = 1.0) -> None:
        self.name, self.precision = name, precision
        self._clock, self._ms_per_frame, self._value = clock, ms_per_frame, value
        self.frames: list[int] = []

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:
        assert not to_cpu
        windows, _, frames = features.shape
        self.frames.append(frames)
        self._clock.seconds += frames * self._ms_per_frame / 1000
        return ctranslate2.StorageView.from_array(np.full((windows, frames // 2, 4), self._value, np.float32))


class Clock:
    seconds = 1000.0


class Machine:
    """Puts fakes in the place of the encoders. A precision that is not among `works` cannot be compiled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, device: str = "cpu", compute_type: str = "int8_float32") -> None:
        self.clock, self.patch = Clock(), monkeypatch
        self.model = cast("Whisper", type("Model", (), {"device": device, "n_mels": 80, "compute_type": compute_type})())
        self.own = Fake(self.clock, "ctranslate2", compute_type, SLOW)
        self.works: dict[str, Fake] = {}
        self.tried: list[str] = []
        self.has_bf16 = True
        monkeypatch.setattr(choice, "CTranslate2Encoder", lambda _: self.own)
        monkeypatch.setattr(choice, "OpenVinoEncoder", self._openvino)
        monkeypatch.setattr(choice, "has_bfloat16", self._has_bf16)
        for clock in ("process_time", "monotonic"):
            monkeypatch.setattr(time, clock, lambda: self.clock.seconds)

    def has(self, precision: str, ms_per_frame: float, value: float = 1.0) -> None:
        """OpenVINO's encoder works in this precision."""
        self.works[precision] = Fake(self.clock, "openvino", precision, ms_per_frame, value)

    def lacks_openvino(self) -> None:
        self.has_bf16 = cast("bool", None)

    def chosen(self, **settings: Any) -> ChosenEncoder:
        encoder, told = choose_encoder(self.model, Path("folder"), engine_settings(**settings))
        assert (encoder.name, encoder.precision) == (told.name, told.precision)
        return told

    def _has_bf16(self) -> bool:
        if self.has_bf16 is None:
            raise EncoderUnavailable("OpenVINO cannot be loaded: no module")
        return self.has_bf16

    def _openvino(self, folder: Path, precision: str, threads: int) -> Fake:
        assert (folder, threads) == (Path("folder"), 3)
        self.tried.append(precision)
        if precision not in self.works:
            raise EncoderUnavailable(f"OpenVINO cannot compile the encoder in {precision}: no")
        return self.works[precision]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def engine_settings(**settings: Any) -> EngineSettings:
    return chosen_engine(WorkerSettings(whisper_model="demo", whisper_cpu_threads=3, **settings))


def test_the_fastest_one_is_taken_and_told(machine: Machine) -> None:
    machine.has("bf16", MIDDLING)
    machine.has("int8_bf16", FAST)
    told = machine.chosen()
    assert (told.name, told.precision, told.why) == ("openvino", "int8_bf16", "measured")
    expected = {"openvino bf16": 36.0, "openvino int8_bf16": 24.0, "ctranslate2 int8_float32": 60.0}
    assert told.ms == pytest.approx(expected)


@pytest.mark.parametrize(("share", "chosen"), [(1.2, "bf16"), (0.97, "bf16"), (0.92, "int8_bf16")])
def test_an_encoder_that_is_not_clearly_faster_does_not_replace_the_closer_one(
    machine: Machine, share: float, chosen: str
) -> None:
    machine.has("bf16", FAST)
    machine.has("int8_bf16", FAST * share)
    assert machine.chosen().precision == chosen


def test_ctranslate2_stays_where_it_is_clearly_faster(machine: Machine) -> None:
    machine.has_bf16 = False
    machine.has("f32", 2 * SLOW)
    assert machine.chosen().name == "ctranslate2"


@pytest.mark.parametrize(("window", "frames"), [("full", FULL_FRAMES), ("adaptive", SHORT_FRAMES)])
def test_windows_are_measured_as_long_as_the_worker_will_encode(machine: Machine, window: str, frames: int) -> None:
    machine.has("bf16", FAST)
    machine.chosen(whisper_encoder_window=window)
    assert machine.works["bf16"].frames[-1] == machine.own.frames[-1] == frames


def test_a_large_model_is_measured_with_a_shorter_window(machine: Machine) -> None:
    machine.own = Fake(machine.clock, "ctranslate2", "int8_float32", 10.0)
    machine.has("bf16", 3.0)
    assert machine.chosen().name == "openvino"
    assert max(machine.own.frames) < FULL_FRAMES and machine.clock.seconds < 1000 + 30


def test_the_setting_decides_without_a_measurement(machine: Machine) -> None:
    machine.has("bf16", 2 * SLOW)
    machine.has("f32", SLOW)
    assert machine.chosen(whisper_encoder="ctranslate2") == ChosenEncoder(
        name="ctranslate2", precision="int8_float32", why="WHISPER_ENCODER"
    )
    assert not machine.tried
    told = machine.chosen(whisper_encoder="openvino", whisper_encoder_precision="f32")
    assert (told.name, told.precision, told.ms) == ("openvino", "f32", {})


def test_on_a_gpu_the_model_encodes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, device="cuda", compute_type="float16")
    for setting in ("auto", "openvino"):
        assert machine.chosen(whisper_encoder=setting).precision == "float16"
    assert not machine.tried


def test_without_openvino_the_model_encodes_itself_and_says_why(machine: Machine) -> None:
    machine.lacks_openvino()
    told = machine.chosen()
    assert (told.name, told.why) == ("ctranslate2", "OpenVINO cannot be loaded: no module")
    with pytest.raises(EncoderUnavailable, match="cannot be loaded"):
        machine.chosen(whisper_encoder="openvino")


@pytest.mark.parametrize("error", [RuntimeError("no plugin"), AttributeError("renamed"), MemoryError()])
def test_a_broken_openvino_is_as_none(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Broken:
        def Core(self) -> None:  # noqa: N802
            raise error

    monkeypatch.setattr(openvino_encoder, "_openvino", Broken)
    with pytest.raises(EncoderUnavailable, match="OpenVINO finds no CPU"):
        openvino_encoder.has_bfloat16()
    with pytest.raises(EncoderUnavailable, match="cannot compile"):
        openvino_encoder.OpenVinoEncoder(DEMO_MODEL, "f32", 1)


def test_an_encoder_that_needs_more_memory_than_there_is_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_encoder, "available_bytes", lambda: 1_000_000)
    with pytest.raises(EncoderUnavailable, match=r"needs up to 0\.0 GB for the encoder, and 0\.0 GB are available"):
        openvino_encoder.OpenVinoEncoder(DEMO_MODEL, "f32", 1)


def test_two_encoders_of_openvino_are_in_memory_at_most(machine: Machine) -> None:
    alive = weakref.WeakSet[Fake]()
    most = 0

    def made(_: Path, precision: str, __: int) -> Fake:
        nonlocal most
        gc.collect()
        fake = Fake(machine.clock, "openvino", precision, FAST * (2 if precision.startswith("int8") else 1))
        alive.add(fake)
        most = max(most, len(alive))
        return fake

    machine.patch.setattr(choice, "OpenVinoEncoder", made)
    assert machine.chosen(whisper_encoder="openvino").precision == "bf16"
    gc.collect()
    assert most <= 2 and len(alive) <= 1


@pytest.mark.parametrize("value", [2.0, float("nan")])
def test_an_encoder_that_encodes_something_else_is_not_used(machine: Machine, value: float) -> None:
    machine.has("bf16", FAST, value)
    machine.has("f32", MIDDLING)
    assert machine.chosen().precision == "f32"
    machine.works.pop("f32")
    assert "is wrong by" in machine.chosen().why
    with pytest.raises(EncoderUnavailable, match="is wrong by"):
        machine.chosen(whisper_encoder="openvino", whisper_encoder_precision="bf16")


@pytest.mark.parametrize(
    ("wanted", "compute_type", "has_bf16", "groups"),
    [
        ("auto", "int8_float32", True, [["bf16", "int8_bf16"], ["f32", "int8_f32"]]),
        ("auto", "int8_float32", False, [["f32", "int8_f32"]]),
        ("auto", "float32", True, [["bf16"], ["f32"]]),
        ("auto", "float32", False, [["f32"]]),
        ("int8", "float32", True, [["int8_bf16"], ["int8_f32"]]),
        ("int8", "float32", False, [["int8_f32"]]),
        ("bf16", "int8_float32", True, [["bf16"]]),
        ("f32", "int8_float32", True, [["f32"]]),
    ],
)
def test_precisions(wanted: str, compute_type: str, has_bf16: bool, groups: list[list[str]]) -> None:
    assert precisions(wanted, compute_type, has_bf16=has_bf16) == groups


def test_bfloat16_is_not_promised_where_the_processor_lacks_it(machine: Machine) -> None:
    machine.has_bf16 = False
    machine.has("bf16", FAST)
    assert "does not calculate in bfloat16" in machine.chosen(whisper_encoder_precision="bf16").why
    with pytest.raises(EncoderUnavailable, match="does not calculate in bfloat16"):
        machine.chosen(whisper_encoder="openvino", whisper_encoder_precision="bf16")


def test_transcripts_of_different_encoders_are_cached_apart() -> None:
    settings = WorkerSettings()
    kinds = [("openvino", "bf16"), ("openvino", "f32"), ("ctranslate2", "int8_float32")]
    assert len({settings.cache_revision("r", *kind) for kind in kinds}) == len(kinds)
