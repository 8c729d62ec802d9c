"""How many workers of how many threads a machine of so many cores should have."""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.base_shape import build
from tests.benchmarks.throughput import clips_per_second, seconds_of_one
from tests.processes import ROOT, running_stack
from tests.report import Finding
from worker.cpu import threads_for, usable_cores, workers_for

CLIPS = {"full": 16, "adaptive": 64}


def sizing(folder: Path) -> Iterator[Finding]:
    """One worker with all cores, one for each core, what `make up` chooses, and twice too many threads."""
    cores = usable_cores()
    workers = workers_for(cores)
    chosen = (workers, threads_for(cores, workers))
    sizes = sorted({(1, cores), chosen, (cores, 1), (cores, 2)})
    for window, count in CLIPS.items():
        rates = {size: _measure(folder, size, window, count) for size in sizes}
        best = max(rate for rate, _ in rates.values())
        yield Finding(
            experiment=f"workers x threads on {cores} cores: 3 s clips per second of many, and seconds of one alone; shape of "
            f"Whisper base, {window} encoder window",
            must=f"what `make up` chooses ({chosen[0]} x {chosen[1]}) is within 10 % of the best",
            seen="; ".join(f"{w} x {t}: {rate:.2f} clips/s, {alone:.2f} s" for (w, t), (rate, alone) in rates.items()),
            holds=rates[chosen][0] >= 0.9 * best,
        )


def _measure(folder: Path, size: tuple[int, int], window: str, count: int) -> tuple[float, float]:
    workers, threads = size
    settings = {
        "WHISPER_MODEL": str(build(ROOT / "build" / "base-shape")),
        "ENABLE_CACHE": "false",
        "WHISPER_COMPUTE_TYPE": "int8",
        "LEASE_SECONDS": "30",
        "WHISPER_ENCODER_WINDOW": window,
        "WHISPER_CPU_THREADS": str(threads),
    }
    with running_stack(folder / f"{workers}x{threads}{window}", workers=workers, **settings) as stack:  # type: ignore[arg-type]
        return clips_per_second(stack, count), seconds_of_one(stack)
