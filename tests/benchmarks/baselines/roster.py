"""The baselines, by name. All have the weights of `base_shape` and say its sentence."""

from pathlib import Path

from tests.benchmarks.base_shape import build
from tests.benchmarks.baselines.process import Baseline
from tests.processes import ROOT

#: The rest of whisper.cpp's window for short clips: 5.1 s, as the fleet's adaptive window leaves some room after 3 s.
SHORT_CONTEXT = 256
FILES = ROOT / "build" / "baselines"


def faster_whisper(how: str, model: Path) -> Baseline:
    """`how` is `sequence`, `batched`, `long` or `long batched`."""
    options = {"model": str(model), "how": how}
    return Baseline(
        name=f"faster-whisper, {how}",
        module="faster_whisper",
        options=options,
        package="faster_whisper",
        batches="batched" in how,
    )


def whisper_cpp(precision: str, *, beam: int = 5, full: bool = True) -> Baseline:
    """`full` is its usual context of 30 s."""
    told = f"whisper.cpp {precision}, {_searching(beam)}{'' if full else f', audio_ctx {SHORT_CONTEXT}'}"
    options = {"files": FILES, "precision": precision, "beam": beam, "audio_context": 0 if full else SHORT_CONTEXT}
    return Baseline(name=told, module="whisper_cpp", options=options, package="pywhispercpp")


def openvino_genai(*, eight_bits: bool, precision: str = "", beam: int = 5) -> Baseline:
    """`precision` is `f32`, or none: then OpenVINO chooses bf16 where the processor has it."""
    weights = "int8" if eight_bits else "f16"
    told = f"OpenVINO GenAI {weights}{', ' if precision else ''}{precision}, {_searching(beam)}"
    options = {"files": FILES, "eight_bits": eight_bits, "precision": precision, "beam": beam}
    return Baseline(name=told, module="openvino_genai", options=options, package="openvino_genai")


def sequence() -> Baseline:
    """What all ratios to "faster-whisper in sequence" are measured against."""
    return faster_whisper("sequence", build(ROOT / "build" / "base-shape"))


def others() -> list[Baseline]:
    """Those with the fleet's beam that are neither faster-whisper in sequence nor whisper.cpp."""
    return [
        faster_whisper("batched", build(ROOT / "build" / "base-shape")),
        openvino_genai(eight_bits=False),
        openvino_genai(eight_bits=True),
        openvino_genai(eight_bits=True, precision="f32"),
    ]


def everything() -> list[Baseline]:
    """All for clips, in the order of the table."""
    ggml = [whisper_cpp(p, beam=beam, full=full) for full in (True, False) for beam in (5, 1) for p in ("f16", "q8_0")]
    return [sequence(), *others(), openvino_genai(eight_bits=True, precision="f32", beam=1), *ggml]


def _searching(beam: int) -> str:
    return "greedy" if beam == 1 else f"beam {beam}"
