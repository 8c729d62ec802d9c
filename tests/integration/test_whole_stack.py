"""The main job, end to end: two gateways, two workers, real Redis, real model, real speech."""

import base64
import io
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jiwer
import numpy as np
import pytest
import soundfile

from tests.audio_files import FORMATS, tone, with_soundfile
from tests.conftest import Clip
from tests.processes import Stack, wait_until

#: Well above the committed model's rate on the committed clips: exceeded only when something is broken.
WORST_WORD_ERROR_RATE = 0.15


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the first gateway, with an empty cache."""
    with stack.client() as opened:
        opened.delete("/cache").raise_for_status()
        yield opened


def finished(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job once it has ended."""
    for _ in range(3):
        job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}?wait=60").raise_for_status().json()
        if job["status"] not in ("queued", "running"):
            return job
    raise AssertionError(f"not finished after three minutes: {job}")


def submit(client: httpx.Client, content: bytes, query: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = client.post(f"/v1/jobs{query}", content=content).raise_for_status().json()
    return answer


def decodes(client: httpx.Client) -> int:
    return int(client.get("/stats").json()["totals"].get("decoded", 0))


def test_submit_fetch_and_every_format_of_the_result(client: httpx.Client, clips: list[Clip]) -> None:
    clip = clips[0]
    answer = client.post("/v1/jobs?language=en&word_timestamps=true", content=clip.content)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"].endswith(f"/v1/jobs/{job['job_id']}")
    assert finished(client, job["job_id"])["status"] == "completed"
    result = client.get(f"/v1/jobs/{job['job_id']}/result").json()
    assert jiwer.wer(clip.text, result["transcript"]) <= 0.5
    assert result["cached"] is False and result["language"] == "en" and result["attempts"] == 1
    assert result["segments"][0]["words"][0].keys() >= {"word", "start", "end"}
    assert result["model"] == "demo" and result["duration"] > 0 and result["real_time_factor"] > 0
    workers = client.get("/stats").json()["workers"]
    assert (result["encoder"], result["encoder_precision"]) in {(w["encoder"], w["encoder_precision"]) for w in workers}
    assert {"queue_ms", "preprocess_ms", "transcribe_ms", "total_ms"} <= result["processing_time"].keys()
    texts = {f: client.get(f"/v1/jobs/{job['job_id']}/result?format={f}") for f in ("text", "srt", "vtt", "tsv", "verbose_json")}
    assert texts["text"].text.strip() == result["transcript"]
    assert texts["srt"].text.startswith("1\n00:00:0") and " --> " in texts["srt"].text
    assert texts["vtt"].text.startswith("WEBVTT\n\n00:00") and texts["tsv"].text.startswith("start\tend\ttext\n")
    assert texts["verbose_json"].json()["segments"][0].keys() >= {"id", "seek", "tokens", "temperature", "no_speech_prob"}


@pytest.mark.parametrize("form", ["json", "json data url", "multipart", "raw"])
def test_three_forms_of_submit_give_the_same_job(client: httpx.Client, clips: list[Clip], form: str) -> None:
    clip = clips[1]
    text = base64.b64encode(clip.content).decode()
    answers = {
        "json": lambda: client.post("/v1/jobs", json={"audio": text, "language": "en"}),
        "json data url": lambda: client.post("/v1/jobs", json={"audio": f"data:audio/wav;base64,{text}", "language": "en"}),
        "multipart": lambda: client.post("/v1/jobs", files={"file": ("x", clip.content)}, data={"language": "en"}),
        "raw": lambda: client.post("/v1/jobs?language=en", content=clip.content),
    }
    job = finished(client, answers[form]().raise_for_status().json()["job_id"])
    assert job["result"]["transcript"]


def test_any_gateway_answers_and_a_long_poll_wakes_at_once(stack: Stack, client: httpx.Client, clips: list[Clip]) -> None:
    with stack.client(gateway=1) as other:
        job_id = submit(client, clips[2].content)["job_id"]
        job = other.get(f"/v1/jobs/{job_id}?wait=60").json()
        woken_at_ms = time.time() * 1000
    assert job["status"] == "completed"
    stored = stack.server.client().hget(f"fleet:job:{job_id}", "finished_at_ms")
    assert stored is not None
    assert woken_at_ms - int(stored) < 1000, "woken by an event, not by the end of the wait"


def test_a_wait_that_runs_out_returns_what_is_known(stack: Stack, client: httpx.Client) -> None:
    job_id = submit(client, FORMATS["wav 16 bit"](tone(40.0)), "?vad=false&beam_size=20")["job_id"]
    answer = client.get(f"/v1/jobs/{job_id}?wait=0.05")
    assert answer.status_code == 200 and answer.json()["status"] in ("queued", "running")
    assert int(answer.headers["retry-after"]) >= 1
    assert client.get(f"/v1/jobs/{job_id}/result").status_code == 409
    assert client.delete(f"/v1/jobs/{job_id}").json()["status"] == "canceled"


def test_fifty_equal_submits_cost_one_decode_and_later_ones_none(stack: Stack, client: httpx.Client, clips: list[Clip]) -> None:
    clip, before = clips[3], decodes(client)
    start = threading.Barrier(50)

    def one(number: int) -> dict[str, Any]:
        with stack.client(gateway=number % 2) as mine:
            start.wait(30)
            return finished(mine, submit(mine, clip.content, "?language=en")["job_id"])

    with ThreadPoolExecutor(50) as pool:
        jobs = list(pool.map(one, range(50)))
    assert {job["status"] for job in jobs} == {"completed"}
    assert len({job["job_id"] for job in jobs}) == 50
    assert len({job["result"]["transcript"] for job in jobs}) == 1
    assert decodes(client) == before + 1
    later = client.post("/v1/jobs?language=en", content=clip.content)
    assert later.status_code == 200 and later.json()["status"] == "completed"
    assert later.json()["result"]["cached"] is True
    assert decodes(client) == before + 1


@pytest.mark.parametrize("query", ["?language=de", "?beam_size=1", "?vad=false", "?prompt=good+morning", "?task=translate"])
def test_another_option_is_its_own_decode(client: httpx.Client, clips: list[Clip], query: str) -> None:
    finished(client, submit(client, clips[4].content)["job_id"])
    before = decodes(client)
    job = finished(client, submit(client, clips[4].content, query)["job_id"])
    assert job["result"]["cached"] is False
    assert decodes(client) == before + 1


def test_many_clients_each_get_their_own_transcript(stack: Stack, client: httpx.Client, clips: list[Clip]) -> None:
    """200 clips at once from 20 clients at two gateways: each is decoded, and each transcript is nearest to its clip's text."""
    short = [c for c in clips if c.kind in ("own", "everyday")]
    before = decodes(client)

    def one_client(number: int) -> list[tuple[Clip, str]]:
        mine = [short[(number * 7 + i) % len(short)] for i in range(10)]
        with stack.client(gateway=number % 2) as own:
            jobs = [submit(own, _unique(clip, number * 10 + i), "?beam_size=1")["job_id"] for i, clip in enumerate(mine)]
            return [(clip, finished(own, job_id)["result"]["transcript"]) for clip, job_id in zip(mine, jobs, strict=True)]

    with ThreadPoolExecutor(20) as pool:
        heard = [pair for pairs in pool.map(one_client, range(20)) for pair in pairs]
    assert decodes(client) == before + len(heard) == before + 200
    strangers = [
        (clip.text, text) for clip, text in heard if clip is not min(short, key=lambda c: jiwer.cer(c.text, text or " "))
    ]
    assert not strangers


def test_the_short_forms(client: httpx.Client, clips: list[Clip]) -> None:
    content = clips[5].content
    direct = client.post("/transcribe", files={"file": ("a.wav", content)})
    assert direct.status_code == 200 and direct.json()["transcript"]
    answer = client.post("/transcribe-async", files={"file": ("a.wav", content)}, data={"beam_size": "2"}).json()
    assert answer.keys() >= {"job_id", "status"}
    finished(client, answer["job_id"])
    polled = client.get("/transcribe-async", params={"job_id": answer["job_id"]}).json()
    assert polled["status"] == "completed" and polled["result"]["transcript"]


def test_a_job_that_is_erased_is_gone_and_its_list_entry_too(client: httpx.Client, clips: list[Clip]) -> None:
    job_id = submit(client, clips[6].content)["job_id"]
    finished(client, job_id)
    assert job_id in [job["job_id"] for job in client.get("/v1/jobs?status=completed").json()["jobs"]]
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    gone = client.get(f"/v1/jobs/{job_id}")
    assert (gone.status_code, gone.json()["code"]) == (410, "job_gone")
    assert job_id not in [job["job_id"] for job in client.get("/v1/jobs").json()["jobs"]]


def test_a_running_decode_is_cancelled_within_a_second_and_the_worker_goes_on(
    stack: Stack, client: httpx.Client, clips: list[Clip]
) -> None:
    job_id = submit(client, FORMATS["wav 16 bit"](tone(600.0)), "?vad=false&beam_size=10")["job_id"]
    wait_until(lambda: client.get(f"/v1/jobs/{job_id}").json()["status"] == "running", "it runs")
    assert client.delete(f"/v1/jobs/{job_id}").json()["status"] == "canceled"
    numbers, seen = itertools.count(), set[str]()

    def both_work() -> bool:
        """Submit more jobs and note which workers do them. True once both have done one."""
        job = finished(client, submit(client, _unique(clips[7], next(numbers)), "?beam_size=1")["job_id"])
        assert job["status"] == "completed"
        seen.add(job["worker"])
        others = [submit(client, _unique(clips[6], next(numbers)), "?beam_size=1")["job_id"] for _ in range(3)]
        seen.update(finished(client, other)["worker"] for other in others)
        return len(seen) == 2

    wait_until(both_work, "its worker, too, goes on", 30)


def test_progress_and_partial_text_grow_while_a_long_clip_runs(client: httpx.Client, clips: list[Clip]) -> None:
    joined = next(c for c in clips if c.kind == "joined")
    job_id = submit(client, _repeated(joined, 8), "?vad=false")["job_id"]
    seen: list[float] = []

    def partly_done() -> bool:
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["status"] == "running" and job["partial_transcript"]:
            seen.append(job["progress"]["audio_seconds_done"])
        return job["status"] not in ("queued", "running")

    wait_until(partly_done, "it ends", 120)
    assert seen and seen == sorted(seen) and 0 < seen[0] < 200


def test_a_25_s_clip_has_several_segments_with_true_times(client: httpx.Client, clips: list[Clip]) -> None:
    joined = next(c for c in clips if c.kind == "joined")
    result = finished(client, submit(client, joined.content, "?language=en")["job_id"])["result"]
    assert len(result["segments"]) >= 3
    ends = [s[side] for s in result["segments"] for side in ("start", "end")]
    truth = [time for start, end, _ in joined.segments for time in (start, end)]
    near = [true for true in truth if min(abs(true - end) for end in ends) <= 0.3]
    assert len(near) >= 0.5 * len(truth), (truth, ends)
    assert all(s["start"] < s["end"] <= result["duration"] + 0.1 for s in result["segments"])
    assert [s["start"] for s in result["segments"]] == sorted(s["start"] for s in result["segments"])


def test_silence_is_no_error_and_no_words(client: httpx.Client) -> None:
    result = finished(client, submit(client, FORMATS["wav 16 bit"](tone(3.0) * 0))["job_id"])["result"]
    assert result["transcript"] == "" and result["segments"] == []


def test_the_committed_clips_are_understood(client: httpx.Client, clips: list[Clip]) -> None:
    """The model card has the word error rates of large test sets. This bound is exceeded only when something is broken."""
    short = [c for c in clips if c.kind in ("own", "everyday")]
    jobs = [submit(client, c.content, "?language=en")["job_id"] for c in short]
    heard = [finished(client, job_id)["result"]["transcript"] for job_id in jobs]
    assert jiwer.wer([c.text for c in short], heard) <= WORST_WORD_ERROR_RATE


def test_health_readiness_and_card(client: httpx.Client) -> None:
    assert client.get("/health").status_code == client.get("/ready").status_code == 200
    assert client.get("/").json()["name"] == "whisper-fleet"
    stats = client.get("/stats").json()
    assert {w["model"] for w in stats["workers"]} == {"demo"}


def _unique(clip: Clip, number: int) -> bytes:
    """The clip with a little silence after it, different for each number."""
    samples, rate_hz = soundfile.read(io.BytesIO(clip.content), dtype="float32")
    return with_soundfile(np.pad(samples, (0, 10 * number)), "WAV", "PCM_16", rate_hz)


def _repeated(clip: Clip, times: int) -> bytes:
    samples, rate_hz = soundfile.read(io.BytesIO(clip.content), dtype="float32")
    return with_soundfile(np.tile(samples, times), "WAV", "PCM_16", rate_hz)
