"""whisper.cpp by the wheel of `pywhispercpp`, one clip after the other."""

from pathlib import Path

from pywhispercpp.model import Model

from tests.benchmarks.baselines import ggml_file
from tests.benchmarks.baselines.process import Clips, Transcribe


def load(threads: int, *, files: Path, precision: ggml_file.Precision, beam: int, audio_context: int) -> Transcribe:
    """`beam` 1 is its greedy search; `audio_context` is the encoder's positions of 20 ms, 0 for all 1,500."""
    path = ggml_file.write(files / f"ggml-{precision}.bin", precision)
    search = {"greedy": {"best_of": 1}} if beam == 1 else {"beam_search": {"beam_size": beam, "patience": -1.0}}
    model = Model(
        str(path),
        params_sampling_strategy=int(beam > 1),
        redirect_whispercpp_logs_to=None,
        n_threads=threads,
        audio_ctx=audio_context,
        language="en",
        print_progress=False,
        **search,
    )

    def transcribe(clips: Clips) -> list[str]:
        return [" ".join(segment.text.strip() for segment in model.transcribe(clip)) for clip in clips]

    return transcribe
