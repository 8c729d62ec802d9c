"""A ten-minute file through the whole fleet, against faster-whisper in sequence and against its own batched pipeline."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from tests.audio_files import long_speech
from tests.benchmarks.base_shape import build
from tests.benchmarks.baselines.process import running, samples_of
from tests.benchmarks.baselines.roster import faster_whisper
from tests.benchmarks.bursts import encoders, span
from tests.benchmarks.submit_latency import clip
from tests.host import by_processor
from tests.processes import ROOT, Stack, running_stack, wait_until
from tests.report import Finding

WORKERS, THREADS, ROUNDS, MINUTES, PIECE_SECONDS = 2, 2, 2, 10, 29
#: Length of the file beside which short clips are timed.
LONGER_MINUTES = 20
#: English is spoken at about 150 words a minute; a window holds half a minute's words.
WORDS_PER_WINDOW, SPOKEN_SECONDS = 75, 28.0
QUERY = "?language=en&beam_size=5"
SHORTS = 10


def long_files(folder: Path) -> Iterator[Finding]:
    """Measure all three in turn, for some rounds. Each process is warmed by a decode first."""
    model = build(ROOT / "build" / "base-shape-long", WORDS_PER_WINDOW, SPOKEN_SECONDS)
    rounds = [long_speech(MINUTES * 60, number) for number in range(ROUNDS)]
    warm = long_speech(70, 99)
    seconds: dict[str, list[float]] = {"fleet": [], "long": [], "long batched": []}
    settings = {"WHISPER_MODEL": str(model), "ENABLE_CACHE": "false", "WHISPER_COMPUTE_TYPE": "int8", "LEASE_SECONDS": "30"}
    for number, wav in enumerate(rounds):
        for how in ("long", "long batched"):
            with running(faster_whisper(how, model), THREADS, [samples_of(warm)]) as process:
                seconds[how].append(process.transcribe([samples_of(wav)]).seconds)
        with running_stack(folder / f"fleet{number}", workers=WORKERS, **settings) as stack:  # type: ignore[arg-type]
            _decode(stack, warm)
            seconds["fleet"].append(_decode(stack, wav))
            if number == 0:
                told = encoders(stack)
                alone = [_short(stack, 100 + n) for n in range(SHORTS)]
                piece = _decode(stack, long_speech(PIECE_SECONDS, 98))
                short = _shorts_beside(stack, long_speech(LONGER_MINUTES * 60, 50))
    for name, baseline, target in (
        ("long", f"faster-whisper in sequence with {THREADS} threads, VAD on", by_processor(bf16=3.0, other=1.6)),
        ("long batched", f"its BatchedInferencePipeline with {THREADS} threads, batches of 8", by_processor(bf16=2.0, other=1.3)),
    ):
        yield _faster(name, baseline, target, seconds, told)
    yield Finding(
        experiment=f"3 s clips, one after another, beside a {LONGER_MINUTES} min file on both workers; baseline: an idle fleet",
        must=f"none waits for longer than one piece of the file takes by itself ({piece:.1f} s)",
        seen=f"{span(short)} against {span(alone)} s (n={len(short)})",
        holds=max(short) <= max(alone) + piece,
    )


def _faster(name: str, baseline: str, target: float, seconds: dict[str, list[float]], told: str) -> Finding:
    ratio = statistics.median(seconds[name]) / statistics.median(seconds["fleet"])
    return Finding(
        experiment=f"a {MINUTES} min file, shape of Whisper base, beam 5, full encoder window: {WORKERS} workers of 1 thread; "
        f"baseline: {baseline}",
        must=f">= {target} x as fast",
        seen=f"{ratio:.2f} x: {span(seconds['fleet'])} against {span(seconds[name])} s ({ROUNDS} rounds; encoder {told})",
        holds=ratio >= target,
    )


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
