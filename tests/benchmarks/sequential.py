"""The baselines: unmodified faster-whisper, one file after the other, in a process of its own.

`python -m tests.benchmarks.sequential MODEL THREADS FOLDER` transcribes every wav of a folder and prints {seconds, transcripts}.
With `--long` the files are long: VAD is on; `--batched N` uses faster-whisper's own pipeline for them.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from faster_whisper import BatchedInferencePipeline, WhisperModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("threads", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--batched", type=int, default=0)
    args = parser.parse_args()
    whisper = WhisperModel(args.model, device="cpu", compute_type="int8", cpu_threads=args.threads)
    paths = sorted(args.folder.glob("*.wav"))
    transcribe = _long(whisper, args.batched) if args.long else _short(whisper)
    list(whisper.transcribe(np.zeros(16_000, np.float32), language="en")[0])  # warms the model
    started = time.perf_counter()
    heard = [transcribe(path) for path in paths]
    print(json.dumps({"seconds": time.perf_counter() - started, "transcripts": heard}))


def _short(whisper: WhisperModel) -> Callable[[Path], str]:
    def transcribe(path: Path) -> str:
        samples, _ = soundfile.read(path, dtype="float32")
        options = {"language": "en", "beam_size": 5, "vad_filter": False, "condition_on_previous_text": False}
        segments, _ = whisper.transcribe(samples, **options)
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe


def _long(whisper: WhisperModel, batch_size: int) -> Callable[[Path], str]:
    def transcribe(path: Path) -> str:
        if batch_size:
            pipeline = BatchedInferencePipeline(whisper)
            segments, _ = pipeline.transcribe(str(path), language="en", beam_size=5, batch_size=batch_size)
        else:
            options = {"language": "en", "beam_size": 5, "vad_filter": True, "condition_on_previous_text": False}
            segments, _ = whisper.transcribe(str(path), **options)
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe


if __name__ == "__main__":
    main()
