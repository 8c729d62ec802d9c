"""OpenVINO GenAI's Whisper pipeline, one clip after the other. It always encodes 30 s."""

from pathlib import Path

from openvino_genai import WhisperPipeline

from tests.benchmarks.baselines import openvino_files
from tests.benchmarks.baselines.process import Clips, Transcribe


def load(threads: int, *, files: Path, eight_bits: bool, precision: str, beam: int) -> Transcribe:
    """`precision` is `f32`, or none for OpenVINO's own choice. It multiplies int8 weights as int8 where its choice is `f32`."""
    folder = openvino_files.write(files / f"openvino-{'int8' if eight_bits else 'f16'}", eight_bits=eight_bits)
    chosen = {"INFERENCE_PRECISION_HINT": precision} if precision else {}
    pipeline = WhisperPipeline(str(folder), "CPU", INFERENCE_NUM_THREADS=threads, **chosen)

    def transcribe(clips: Clips) -> list[str]:
        return [pipeline.generate(clip, num_beams=beam, return_timestamps=True).texts[0].strip() for clip in clips]

    return transcribe
