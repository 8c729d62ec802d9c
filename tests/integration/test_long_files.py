"""Long files through the whole fleet: cut, decoded in pieces by several workers, visible while they grow, and stitched."""

import io
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import jiwer
import numpy as np
import pytest
import soundfile

from shared.jobs.keys import Keys
from tests.audio_files import with_soundfile
from tests.conftest import Clip
from tests.processes import Stack, running_stack, wait_until

WORST_WORD_ERROR_RATE = 0.25


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two workers that take one piece at a time."""
    folder = tmp_path_factory.mktemp("long") / "fleet"
    with running_stack(folder, workers=2, WHISPER_BATCH_SIZE="2", LEASE_SECONDS="2", ENABLE_CACHE="false") as stack:
        yield stack


@pytest.fixture
def client(fleet: Stack) -> Iterator[httpx.Client]:
    with fleet.client() as opened:
        yield opened


def speech(clips: list[Clip], seconds: float, first: int, pause: float = 0.6) -> tuple[bytes, list[str]]:
    """A wav of at least `seconds` of clips that the model knows, from the `first` on, with pauses; and the text of each clip."""
    known = [clip for clip in clips if clip.kind in ("own", "everyday")]
    parts: list[np.ndarray] = []
    said: list[str] = []
    while sum(map(len, parts)) < seconds * 16_000:
        clip = known[(first + len(said)) % len(known)]
        samples, _ = soundfile.read(io.BytesIO(clip.content), dtype="float32")
        parts += [samples, np.zeros(int(pause * 16_000), np.float32)]
        said.append(clip.text)
    return with_soundfile(np.concatenate(parts), "WAV", "PCM_16"), said


def ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    for _ in range(2):
        job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}?wait=60").raise_for_status().json()
        if job["status"] not in ("queued", "running"):
            return job
    raise AssertionError(f"not finished: {job}")


def test_a_long_file_is_decoded_by_several_workers_and_grows_in_sight(
    client: httpx.Client, fleet: Stack, clips: list[Clip]
) -> None:
    wav, said = speech(clips, 150, first=0)
    job_id = client.post("/v1/jobs?language=en&word_timestamps=true", content=wav).raise_for_status().json()["job_id"]
    seen: list[tuple[float, str]] = []

    def grows() -> bool:
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["status"] == "running":
            seen.append((job["progress"]["audio_seconds_done"], job["partial_transcript"]))
        return bool(job["status"] == "completed")

    wait_until(grows, "the file is done", 120)
    assert any(0 < done < 150 and partial for done, partial in seen), "no partial transcript was seen"
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    result = client.get(f"/v1/jobs/{job_id}/result").json()
    assert jiwer.wer(" ".join(said), result["transcript"]) <= WORST_WORD_ERROR_RATE
    segments = result["segments"]
    assert [s["id"] for s in segments] == list(range(len(segments)))
    assert all(a["end"] <= b["start"] + 0.01 for a, b in pairwise(segments))
    assert 140 < segments[-1]["end"] <= result["duration"] and abs(result["duration"] - len(wav) / 32_000) < 0.1
    assert all(s["start"] - 0.01 <= w["start"] <= w["end"] <= s["end"] + 0.01 for s in segments for w in s["words"])
    workers = {line["worker_name"] for line in _executions(fleet, job_id)}
    assert len(workers) == 2, "one worker decoded everything"


def _executions(fleet: Stack, job_id: str) -> list[dict[str, str]]:
    """One entry per piece in the workers' logs, with the number of the worker that decoded it."""
    lines = []
    for number, worker in enumerate(fleet.workers):
        done = [line for line in worker.log_text().splitlines() if f"{job_id}_p" in line and '"verdict": "piece"' in line]
        lines += [{"worker_name": str(number)} for _ in done]
    return lines


def test_a_killed_worker_costs_a_long_file_no_more_than_its_pieces(client: httpx.Client, fleet: Stack, clips: list[Clip]) -> None:
    wav, _ = speech(clips, 150, first=1)

    def submit() -> str:
        # Higher temperatures sample at random.
        return str(client.post("/v1/jobs?language=en&temperature=0", content=wav).raise_for_status().json()["job_id"])

    undisturbed = ended(client, submit())
    job_id = submit()
    wait_until(lambda: client.get(f"/v1/jobs/{job_id}").json().get("partial_transcript"), "the first piece is done", 60, 0.02)
    fleet.workers[0].signal(signal.SIGKILL)
    try:
        job = ended(client, job_id)
    finally:
        fleet.restart_worker(0)
        fleet.wait_ready(2)
    assert (undisturbed["status"], job["status"]) == ("completed", "completed")
    assert job["result"]["segments"] == undisturbed["result"]["segments"]


def test_a_cancelled_long_file_ends_at_once_and_leaves_the_workers_free(
    client: httpx.Client, fleet: Stack, clips: list[Clip]
) -> None:
    wav, _ = speech(clips, 150, first=2)
    job_id = client.post("/v1/jobs?language=en", content=wav).raise_for_status().json()["job_id"]
    wait_until(lambda: client.get(f"/v1/jobs/{job_id}").json().get("partial_transcript"), "the first piece is done", 60, 0.02)
    assert client.delete(f"/v1/jobs/{job_id}").json()["status"] == "canceled"
    stats = client.get("/stats").json()
    assert (stats["queued_jobs"], stats["queued_audio_seconds"]) == (0, 0)
    with fleet.server.client() as redis:
        assert not list(redis.scan_iter(f"*{job_id}_p*")) and not list(redis.scan_iter(f"*:pieces:{job_id}"))


def test_short_audio_does_not_wait_for_a_long_file(client: httpx.Client, clips: list[Clip]) -> None:
    wav, _ = speech(clips, 300, first=3)
    long_id = client.post("/v1/jobs?language=en", content=wav).raise_for_status().json()["job_id"]
    wait_until(lambda: client.get(f"/v1/jobs/{long_id}").json().get("partial_transcript"), "the first piece is done", 60, 0.02)
    started = time.monotonic()
    short = client.post("/v1/jobs?language=en", content=clips[0].content).raise_for_status().json()
    assert ended(client, short["job_id"])["status"] == "completed"
    waited = time.monotonic() - started
    assert client.get(f"/v1/jobs/{long_id}").json()["status"] == "running", f"the long file ended first, {waited:.1f} s"
    assert client.delete(f"/v1/jobs/{long_id}").status_code == 200


def test_long_audio_without_speech_is_an_empty_transcript(client: httpx.Client) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-3, 70 * 16_000).astype(np.float32)
    job_id = client.post("/v1/jobs?language=en", content=with_soundfile(noise, "WAV", "PCM_16")).json()["job_id"]
    assert ended(client, job_id)["status"] == "completed"
    assert client.get(f"/v1/jobs/{job_id}/result").json()["transcript"] == ""


def test_when_redis_has_no_memory_for_pieces_the_worker_decodes_the_file_whole(tmp_path: Path, clips: list[Clip]) -> None:
    wav, said = speech(clips, 180, first=4)
    with running_stack(tmp_path / "full") as stack, stack.client() as client, stack.server.client() as redis:
        empty_bytes = int(redis.info("memory")["used_memory"])
        job_id = client.post("/v1/jobs?language=en", content=wav).raise_for_status().json()["job_id"]
        # Leave room for the first pieces, which are cut a second later.
        stored_bytes = redis.memory_usage(Keys("fleet").audio(job_id))
        redis.config_set("maxmemory", empty_bytes + int(stored_bytes) + 700_000)
        assert ended(client, job_id)["status"] == "completed"
        assert "decoding_whole" in stack.workers[0].log_text()
        assert jiwer.wer(" ".join(said), client.get(f"/v1/jobs/{job_id}/result?format=text").text) <= WORST_WORD_ERROR_RATE
        assert not list(redis.scan_iter(f"*{job_id}_p*"))
