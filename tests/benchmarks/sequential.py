"""The baseline: faster-whisper as it comes, one clip after the other, in a process of its own.

`python -m tests.benchmarks.sequential MODEL THREADS FOLDER` transcribes every wav of a folder and prints {seconds, transcripts}.
"""

import json
import sys
import time
from pathlib import Path

import soundfile
from faster_whisper import WhisperModel


def main(model: str, threads: int, folder: Path) -> None:
    whisper = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=threads)
    clips = [soundfile.read(path, dtype="float32")[0] for path in sorted(folder.glob("*.wav"))]
    heard = []
    for number, clip in enumerate([clips[0], *clips]):
        if number == 1:  # the first one warms the model
            started = time.perf_counter()
        segments, _ = whisper.transcribe(clip, language="en", beam_size=5, vad_filter=False, condition_on_previous_text=False)
        heard.append(" ".join(segment.text.strip() for segment in segments))
    print(json.dumps({"seconds": time.perf_counter() - started, "transcripts": heard[1:]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
