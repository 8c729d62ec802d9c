"""A ten-minute file through the whole fleet, against faster-whisper in sequence and against its own batched pipeline."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.audio_files import long_speech
from tests.benchmarks.base_shape import build
from tests.benchmarks.submit_latency import clip
from tests.processes import ROOT, Stack, running_stack, wait_until
from tests.report import Finding

WORKERS, THREADS, ROUNDS, MINUTES, BATCH, PIECE_SECONDS = 2, 2, 2, 10, 8, 29
#: Length of the file beside which short clips are timed.
LONGER_MINUTES = 20
#: English is spoken at about 150 words a minute; a window holds half a minute's words.
WORDS_PER_WINDOW, SPOKEN_SECONDS = 75, 28.0
QUERY = "?language=en&beam_size=5"
SHORTS = 10


def long_files(folder: Path) -> Iterator[Finding]:
    """Measure all three in turn, for some rounds. Each process is warmed by a decode first."""
    model = str(build(ROOT / "build" / "base-shape-long", WORDS_PER_WINDOW, SPOKEN_SECONDS))
    rooms = [_write(folder / f"round{number}", long_speech(MINUTES * 60, number)) for number in range(ROUNDS)]
    warm = long_speech(70, 99)
    seconds: dict[str, list[float]] = {"fleet": [], "sequence": [], "pipeline": []}
    settings = {"WHISPER_MODEL": model, "ENABLE_CACHE": "false", "WHISPER_COMPUTE_TYPE": "int8", "LEASE_SECONDS": "30"}
    for number, room in enumerate(rooms):
        seconds["sequence"].append(_alone(model, room))
        seconds["pipeline"].append(_alone(model, room, "--batched", str(BATCH)))
        with running_stack(folder / f"fleet{number}", workers=WORKERS, **settings) as stack:  # type: ignore[arg-type]
            _decode(stack, warm)
            seconds["fleet"].append(_decode(stack, (room / "long.wav").read_bytes()))
            if number == 0:
                alone = [_short(stack, 100 + n) for n in range(SHORTS)]
                piece = _decode(stack, long_speech(PIECE_SECONDS, 98))
                short = _shorts_beside(stack, long_speech(LONGER_MINUTES * 60, 50))
    for name, baseline, target in (
        ("sequence", f"faster-whisper in sequence with {THREADS} threads, VAD on", 1.5),
        ("pipeline", f"its BatchedInferencePipeline with {THREADS} threads, batches of {BATCH}", 1.0),
    ):
        yield _faster(name, baseline, target, seconds)
    yield Finding(
        experiment=f"3 s clips, one after another, beside a {LONGER_MINUTES} min file on both workers; baseline: an idle fleet",
        must=f"none waits for longer than one piece of the file takes by itself ({piece:.1f} s)",
        seen=f"{_span(short)} against {_span(alone)} s (n={len(short)})",
        holds=max(short) <= max(alone) + piece,
    )


def _faster(name: str, baseline: str, target: float, seconds: dict[str, list[float]]) -> Finding:
    ratio = statistics.median(seconds[name]) / statistics.median(seconds["fleet"])
    return Finding(
        experiment=f"a {MINUTES} min file, shape of Whisper base, beam 5, full encoder window: {WORKERS} workers of 1 thread; "
        f"baseline: {baseline}",
        must=f">= {target} x as fast",
        seen=f"{ratio:.2f} x: {_span(seconds['fleet'])} against {_span(seconds[name])} s ({ROUNDS} rounds)",
        holds=ratio >= target,
    )


def _write(folder: Path, wav: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "long.wav").write_bytes(wav)
    return folder


def _alone(model: str, folder: Path, *more: str) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.sequential", model, str(THREADS), str(folder), "--long", *more]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    return float(json.loads(answer)["seconds"])


def _decode(stack: Stack, wav: bytes, query: str = QUERY) -> float:
    """Seconds from submit to transcript."""
    started = time.perf_counter()
    with stack.client() as client:
        job = client.post(f"/v1/jobs{query}", content=wav).raise_for_status().json()
        while job["status"] in ("queued", "running"):
            job = client.get(f"/v1/jobs/{job['job_id']}?wait=60").json()
    assert job["status"] == "completed", job
    return time.perf_counter() - started


def _short(stack: Stack, number: int) -> float:
    return _decode(stack, clip(number), f"{QUERY}&vad=false")


def _shorts_beside(stack: Stack, wav: bytes) -> list[float]:
    """Seconds of each short clip while the long file is decoded. The last clip may outlast the long file."""
    took: list[float] = []
    with stack.client() as client:
        job_id = client.post(f"/v1/jobs{QUERY}", content=wav).raise_for_status().json()["job_id"]
        url = f"/v1/jobs/{job_id}"
        wait_until(lambda: client.get(url).json()["progress"]["audio_seconds_done"] > 0, "the first piece is done", 60)
        while len(took) < SHORTS and client.get(url).json()["status"] == "running":
            took.append(_short(stack, len(took)))
        client.delete(url)
    assert len(took) > 1, "the long file ended too soon to be in anybody's way"
    return took


def _span(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"
