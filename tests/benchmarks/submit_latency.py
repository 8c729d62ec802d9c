"""How long a submit takes while the fleet is busy: twenty clients submit 200 distinct clips to two gateways."""

import io
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from tests.audio_files import with_av, with_soundfile
from tests.benchmarks.load import Connection, request
from tests.processes import ROOT, Stack, running_stack
from tests.report import Finding, milliseconds, p95

CLIENTS, PER_CLIENT = 20, 10


def clip(number: int) -> bytes:
    """Three seconds of speech, different for each number, 96 KB."""
    paths = sorted((ROOT / "models" / "demo" / "clips").glob("everyday_*.wav"))
    samples, _ = soundfile.read(paths[number % len(paths)], dtype="float32")
    noise = np.random.default_rng(number).normal(0, 0.001, 48_000).astype(np.float32)
    return with_soundfile(np.resize(samples, 48_000) + noise, "WAV", "PCM_16")


def one_client(port: int, clips: list[bytes]) -> tuple[list[float], list[str]]:
    """Milliseconds of each submit, and the job ids. The client costs little, since twenty share a processor with the fleet."""
    took, ids = [], []
    with Connection(port) as connection:
        for content in clips:
            sent = request("/v1/jobs?beam_size=1&temperature=0", content, "audio/wav")
            started = time.perf_counter()
            status, body = connection.exchange(sent)
            took.append((time.perf_counter() - started) * 1000)
            assert status == 202, body
            ids.append(json.loads(body)["job_id"])
    return took, ids


def all_end(stack: Stack, ids: list[str]) -> int:
    """How many of the jobs complete."""
    with stack.client() as client:
        states = []
        for job_id in ids:
            job = client.get(f"/v1/jobs/{job_id}?wait=60").json()
            while job["status"] in ("queued", "running"):
                job = client.get(f"/v1/jobs/{job_id}?wait=60").json()
            states.append(job["status"])
    return states.count("completed")


def idle_submits(stack: Stack) -> list[float]:
    """The baseline: one client, one submit after the other, to each gateway in turn."""
    took = []
    with stack.client() as client:
        for number in range(50):
            times, (job_id,) = one_client(stack.port(number % 2), [clip(900_000 + number)])
            took += times
            client.delete(f"/v1/jobs/{job_id}")
    return took


def compressed(number: int) -> Mapping[str, bytes]:
    """The same clip in formats that browsers and phones send."""
    samples, _ = soundfile.read(io.BytesIO(clip(number)), dtype="float32")
    return {"mp3": with_soundfile(samples, "MP3", "MPEG_LAYER_III"), "webm": with_av(samples, "webm", "libopus")}


def compressed_submits(stack: Stack, port: int, wav: Sequence[float]) -> Iterator[Finding]:
    """The cost of having FFmpeg read a file behind its wall."""
    took: dict[str, list[float]] = {"mp3": [], "webm": []}
    with stack.client() as client:
        for number in range(50):
            for kind, content in compressed(800_000 + number).items():
                times, (job_id,) = one_client(port, [content])
                took[kind] += times
                client.delete(f"/v1/jobs/{job_id}")
    for kind, times in took.items():
        middle = statistics.median(times)
        yield Finding(
            experiment=f"submit of a 3 s {kind}, one client, idle; baseline: the same as plain wav",
            must="p50 <= 15 ms",
            seen=f"{milliseconds(times)}: p50 {middle / statistics.median(wav):.1f} x the baseline's",
            holds=middle <= 15,
        )


def submit_latency(folder: Path) -> Iterator[Finding]:
    """Submits to an idle fleet are measured in the same run, so that there is a ratio and not only milliseconds."""
    with running_stack(folder / "submit", gateways=2, workers=2) as stack:
        baseline = idle_submits(stack)
        yield from compressed_submits(stack, stack.port(), baseline)
        clips = [[clip(n * 1000 + i) for i in range(PER_CLIENT)] for n in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            outcomes = list(pool.map(one_client, [stack.port(n % 2) for n in range(CLIENTS)], clips))
        took = [t for times, _ in outcomes for t in times]
        completed = all_end(stack, [i for _, ids in outcomes for i in ids])
    ratio = p95(took) / p95(baseline)
    yield Finding(
        experiment=f"submit of 96 KB clips by {CLIENTS} clients at once, 2 gateways, 2 busy workers; baseline: one client, idle",
        must="all complete; p95 <= 100 ms",
        seen=f"{milliseconds(took)}; baseline {milliseconds(baseline)}: p95 {ratio:.1f} x; {completed} of {len(took)} complete",
        holds=p95(took) <= 100 and completed == len(took),
    )
