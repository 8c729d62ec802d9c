"""Short clips through the whole fleet, against faster-whisper called sequentially with the same model, threads and options."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jiwer

from tests.benchmarks.base_shape import build
from tests.benchmarks.submit_latency import clip
from tests.processes import ROOT, Stack, running_stack
from tests.report import Finding

WORKERS, THREADS, ROUNDS, SEQUENTIAL_CLIPS = 2, 2, 4, 10
#: Clips per burst, by encoder window.
BURSTS = {"full": 48, "adaptive": 128}
QUERY = "?language=en&beam_size=5&vad=false"


def throughput(folder: Path) -> Iterator[Finding]:
    """The baseline runs before and after each burst: the speed of a shared host changes within minutes."""
    model = str(build(ROOT / "build" / "base-shape"))
    clips = _write(folder / "baseline", [clip(n) for n in range(SEQUENTIAL_CLIPS)])
    settings = {"WHISPER_MODEL": model, "ENABLE_CACHE": "false", "WHISPER_COMPUTE_TYPE": "int8", "LEASE_SECONDS": "30"}
    rates: dict[str, list[float]] = {window: [] for window in BURSTS}
    ratios: dict[str, list[float]] = {window: [] for window in BURSTS}
    sequential, windows = [_sequential_rate(model, clips)], list[tuple[int, int]]()
    for number in range(ROUNDS):
        for window, count in BURSTS.items():
            with running_stack(folder / f"{window}{number}", workers=WORKERS, WHISPER_ENCODER_WINDOW=window, **settings) as stack:  # type: ignore[arg-type]
                rates[window].append(clips_per_second(stack, count))
                windows.append(_short_windows(stack))
            sequential.append(_sequential_rate(model, clips))
            ratios[window].append(rates[window][-1] / statistics.fmean(sequential[-2:]))
    for window, target in (("full", 1.7), ("adaptive", 8.0)):
        ratio = statistics.median(ratios[window])
        yield Finding(
            experiment=f"bursts of {BURSTS[window]} 3 s clips, shape of Whisper base, beam 5, {window} encoder window: {WORKERS} "
            "workers of 1 thread, through HTTP and Redis; baseline, before and after each: faster-whisper in sequence with "
            f"{THREADS} threads",
            must=f">= {target} x clips per second",
            seen=f"{ratio:.2f} ({min(ratios[window]):.2f}-{max(ratios[window]):.2f}) x: {_span(rates[window])} against "
            f"{_span(sequential)} clips/s ({ROUNDS} bursts)" + (f"; {_made_anew(windows)}" if window == "adaptive" else ""),
            holds=ratio >= target,
        )


def agreement(folder: Path) -> Iterator[Finding]:
    """The demo model's transcripts: the fleet's against those of faster-whisper alone, and adaptive windows against full ones."""
    index = json.loads((ROOT / "models" / "demo" / "clips" / "transcripts.json").read_text())
    names = [name for name, entry in index.items() if "segments" not in entry]
    wavs = [(ROOT / "models" / "demo" / "clips" / name).read_bytes() for name in names]
    truth = [index[name]["text"] for name in names]
    _, alone = _sequential(str(ROOT / "models" / "demo"), _write(folder / "demo", wavs))
    heard, windows = {}, []
    for window in ("full", "adaptive"):
        with running_stack(folder / f"agree-{window}", workers=2, WHISPER_ENCODER_WINDOW=window) as stack:
            heard[window] = _transcripts(stack, wavs)
            windows.append(_short_windows(stack))
    same = sum(a == b for a, b in zip(alone, heard["full"], strict=True))
    yield Finding(
        experiment="the demo model's transcripts through the fleet, in batches, against faster-whisper alone",
        must="identical",
        seen=f"{same} of {len(names)} identical",
        holds=same == len(names),
    )
    full, adaptive = (100 * jiwer.wer(truth, heard[window]) for window in ("full", "adaptive"))
    yield Finding(
        experiment="the demo model's word error rate with adaptive encoder windows",
        must="not worse than with full ones by more than 0.5 points",
        seen=f"{adaptive:.1f} % against {full:.1f} % ({len(names)} clips; {_made_anew(windows)})",
        holds=adaptive <= full + 0.5,
    )


def _write(folder: Path, wavs: Sequence[bytes]) -> Path:
    folder.mkdir(parents=True)
    for number, wav in enumerate(wavs):
        (folder / f"{number:04d}.wav").write_bytes(wav)
    return folder


def _sequential(model: str, folder: Path) -> tuple[float, list[str]]:
    """Seconds for all clips, and the transcripts."""
    command = [sys.executable, "-m", "tests.benchmarks.sequential", model, str(THREADS), str(folder)]
    answer = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    return float(answer["seconds"]), list(answer["transcripts"])


def _sequential_rate(model: str, clips: Path) -> float:
    """Clips per second."""
    return SEQUENTIAL_CLIPS / _sequential(model, clips)[0]


def _transcripts(stack: Stack, wavs: Sequence[bytes]) -> list[str]:
    """Transcripts of all clips, submitted at once by one client each."""

    def one(wav: bytes) -> str:
        with stack.client() as client:
            job = client.post(f"/v1/jobs{QUERY}", content=wav).raise_for_status().json()
            while job["status"] in ("queued", "running"):
                job = client.get(f"/v1/jobs/{job['job_id']}?wait=60").json()
        return str(job["result"]["transcript"])

    with ThreadPoolExecutor(len(wavs)) as clients:
        return list(clients.map(one, wavs))


def clips_per_second(stack: Stack, count: int) -> float:
    """Clips per second from the first submit to the last transcript, after a few clips that warm everything up."""
    wavs = [clip(n) for n in range(count)]
    _transcripts(stack, [clip(10_000 + n) for n in range(4)])
    started = time.perf_counter()
    with stack.client() as client:
        ids = [client.post(f"/v1/jobs{QUERY}", content=wav).raise_for_status().json()["job_id"] for wav in wavs]
        for job_id in ids:
            while (job := client.get(f"/v1/jobs/{job_id}?wait=60").json())["status"] in ("queued", "running"):
                pass
            assert job["status"] == "completed"
    return count / (time.perf_counter() - started)


def seconds_of_one(stack: Stack) -> float:
    """Seconds from submit to transcript on an otherwise idle fleet: the median of five."""
    took = []
    for number in range(5):
        wav = clip(20_000 + number)
        started = time.perf_counter()
        _transcripts(stack, [wav])
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def _short_windows(stack: Stack) -> tuple[int, int]:
    """How many short windows there were, and how many failed their check and were decoded again in full."""
    with stack.client() as client:
        totals = client.get("/stats").json()["totals"]
    return totals["short_windows"], totals["window_fallbacks"]


def _made_anew(windows: Sequence[tuple[int, int]]) -> str:
    short, anew = (sum(counts) for counts in zip(*windows, strict=True))
    return f"{anew} of {short} short windows made anew in full"


def _span(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates):.2f} ({min(rates):.2f}-{max(rates):.2f})"
