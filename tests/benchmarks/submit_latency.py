"""How long a submit takes while the fleet is busy: `python -m tests.benchmarks.submit_latency`.

Twenty concurrent clients submit 200 distinct clips to two gateways in front of two workers, all on this machine. Prints the
distribution, checks that every job completes, and writes docs/performance.md. Submitting to an idle fleet is measured in the
same run as the baseline, so that the table holds a ratio and not only this machine's milliseconds.
"""

import os
import platform
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import soundfile

from tests.audio_files import with_soundfile
from tests.processes import ROOT, Stack, redis_server

CLIENTS, PER_CLIENT = 20, 10


def clip(number: int) -> bytes:
    """Three seconds of speech that no other clip equals, 96 KB."""
    paths = sorted((ROOT / "models" / "demo" / "clips").glob("everyday_*.wav"))
    samples, _ = soundfile.read(paths[number % len(paths)], dtype="float32")
    noise = np.random.default_rng(number).normal(0, 0.001, 48_000).astype(np.float32)
    return with_soundfile(np.resize(samples, 48_000) + noise, "WAV", "PCM_16")


def one_client(client: httpx.Client, clips: list[bytes]) -> tuple[list[float], list[str]]:
    """Milliseconds of each submit, and the job ids."""
    took, ids = [], []
    for content in clips:
        started = time.perf_counter()
        answer = client.post("/v1/jobs?beam_size=1&temperature=0", content=content)
        took.append((time.perf_counter() - started) * 1000)
        ids.append(answer.raise_for_status().json()["job_id"])
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


def percentiles(took: list[float]) -> tuple[float, float, float]:
    """p50, p95, p99."""
    cuts = statistics.quantiles(took, n=100)
    return cuts[49], cuts[94], cuts[98]


def idle_submits(stack: Stack) -> list[float]:
    """The baseline: one client, one submit after the other, to each gateway in turn."""
    clips = [clip(900_000 + i) for i in range(50)]
    clients = [stack.client(gateway=n) for n in range(2)]
    took = []
    for number, content in enumerate(clips):
        client = clients[number % 2]
        started = time.perf_counter()
        job_id = client.post("/v1/jobs", content=content).raise_for_status().json()["job_id"]
        took.append((time.perf_counter() - started) * 1000)
        client.delete(f"/v1/jobs/{job_id}")
    return took


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary, redis_server(Path(temporary)) as server:
        stack = Stack(server=server, folder=Path(temporary))
        try:
            for _ in range(2):
                stack.start_gateway()
            for _ in range(2):
                stack.start_worker()
            stack.wait_ready(2)
            baseline = idle_submits(stack)
            clips = [[clip(n * 1000 + i) for i in range(PER_CLIENT)] for n in range(CLIENTS)]
            # Made before the clock runs: reading certificates is a Python client's cost, not a submit's.
            clients = [stack.client(gateway=n % 2) for n in range(CLIENTS)]
            with ThreadPoolExecutor(CLIENTS) as pool:
                outcomes = list(pool.map(one_client, clients, clips))
            took = [t for times, _ in outcomes for t in times]
            completed = all_end(stack, [i for _, ids in outcomes for i in ids])
        except httpx.HTTPError as error:
            raise SystemExit(f"the run failed: {error}") from error
        finally:
            stack.stop()
    rows = [("one client, idle workers (baseline)", baseline), (f"{CLIENTS} clients at once, busy workers", took)]
    lines = ["| submits of 96 KB clips | n | p50 ms | p95 ms | p99 ms | p95 against the baseline |", "|---|---|---|---|---|---|"]
    for name, times in rows:
        p50, p95, p99 = percentiles(times)
        ratio = p95 / percentiles(baseline)[1]
        lines.append(f"| {name} | {len(times)} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {ratio:.1f} x |")
    if completed != len(took):
        raise SystemExit(f"only {completed} of {len(took)} jobs completed")
    lines += ["", f"{completed} of {len(took)} jobs completed. Target: p95 <= 100 ms."]
    table = "\n".join(lines)
    print(table)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; all on the same machine."
    (ROOT / "docs" / "performance.md").write_text(f"# Submit latency\n\nMeasured by `make bench`. {machine}\n\n{table}\n")


if __name__ == "__main__":
    main()
