"""Short clips through a running fleet: many at once, and one alone. The fleets of the benchmarks and their settings."""

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from tests.benchmarks.base_shape import build
from tests.benchmarks.submit_latency import clip
from tests.processes import ROOT, Stack, running_stack

QUERY = "?language=en&beam_size=5&vad=false"
#: Times that a clip is sent alone.
SINGLES = 5


def fleet(folder: Path, *, workers: int, threads: int, window: str) -> AbstractContextManager[Stack]:
    """A fleet with the model of `base_shape`, the encoder that it chooses itself, and no canaries that disturb."""
    settings = {
        "WHISPER_MODEL": str(build(ROOT / "build" / "base-shape")),
        "ENABLE_CACHE": "false",
        "WHISPER_COMPUTE_TYPE": "int8",
        "LEASE_SECONDS": "30",
        "CANARY_SECONDS": "3600",
        "WHISPER_ENCODER_WINDOW": window,
        "WHISPER_CPU_THREADS": str(threads),
    }
    return running_stack(folder / f"{workers}x{threads}{window}", workers=workers, **settings)  # type: ignore[arg-type]


def transcripts(stack: Stack, wavs: Sequence[bytes]) -> list[str]:
    """Transcripts of all clips, submitted at once by one client each."""

    def one(wav: bytes) -> str:
        with stack.client() as client:
            job = client.post(f"/v1/jobs{QUERY}", content=wav).raise_for_status().json()
            while job["status"] in ("queued", "running"):
                job = client.get(f"/v1/jobs/{job['job_id']}?wait=60").json()
        return str(job["result"]["transcript"])

    with ThreadPoolExecutor(min(len(wavs), 32)) as clients:
        return list(clients.map(one, wavs))


def clips_per_second(stack: Stack, count: int) -> float:
    """Clips per second from the first submit to the last transcript, after a few clips that warm everything up."""
    wavs = [clip(n) for n in range(count)]
    transcripts(stack, [clip(10_000 + n) for n in range(4)])
    started = time.perf_counter()
    with stack.client() as client:
        ids = [client.post(f"/v1/jobs{QUERY}", content=wav).raise_for_status().json()["job_id"] for wav in wavs]
        for job_id in ids:
            while (job := client.get(f"/v1/jobs/{job_id}?wait=60").json())["status"] in ("queued", "running"):
                pass
            assert job["status"] == "completed"
    return count / (time.perf_counter() - started)


def seconds_of_one(stack: Stack) -> float:
    """Seconds from submit to transcript on an otherwise idle fleet: the median of some."""
    took = []
    for number in range(SINGLES):
        wav = clip(20_000 + number)
        started = time.perf_counter()
        transcripts(stack, [wav])
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def encoders(stack: Stack) -> str:
    """The encoders of the fleet's workers and their precisions, as their cards tell them."""
    with stack.client() as client:
        cards = client.get("/stats").json()["workers"]
    return ", ".join(sorted({f"{card['encoder']} {card['encoder_precision']}" for card in cards if "encoder" in card}))


def made_anew(stack: Stack) -> str:
    """How many short windows there were, and how many failed their check and were decoded again in full."""
    with stack.client() as client:
        totals = client.get("/stats").json()["totals"]
    return f"{totals['window_fallbacks']} of {totals['short_windows']} short windows made anew in full"


def span(values: Sequence[float], digits: int = 2) -> str:
    """Median, least and most."""
    middle, least, most = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least}-{most})"
