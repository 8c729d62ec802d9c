"""`GET /metrics`, parsed as Prometheus parses it."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.audio_files import tone, with_soundfile
from tests.conftest import Clip
from tests.processes import Stack


def scrape(stack: Stack) -> dict[str, list[Any]]:
    with stack.client() as client:
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family.samples for family in text_string_to_metric_families(answer.text)}


def test_it_counts_what_stats_counts_and_names_nobody(stack: Stack, clips: list[Clip]) -> None:
    earlier = scrape(stack).get("whisper_fleet_submitted")
    before = earlier[0].value if earlier else 0
    with stack.client() as client:
        query = '/v1/jobs?wait=30&metadata={"who":"somebody"}'
        job = client.post(query, content=clips[0].content).raise_for_status().json()
    found = scrape(stack)
    assert found["whisper_fleet_submitted"][0].value == before + 1
    assert len(found["whisper_fleet_worker_info"]) == 2
    assert {s.labels["state"] for s in found["whisper_fleet_worker_info"]} == {"ready"}
    assert found["whisper_fleet_in_flight_jobs"][0].value == 0
    text = str(found)
    assert job["job_id"] not in text and "somebody" not in text and job["result"]["transcript"] not in text


def test_lanes_that_wait_are_gauges_of_their_own(stack: Stack) -> None:
    with stack.client() as client:
        client.post("/v1/jobs?priority=batch&wait=30", content=with_soundfile(tone(1.0), "WAV", "PCM_16")).raise_for_status()
    lanes = {sample.labels["lane"]: sample.value for sample in scrape(stack)["whisper_fleet_queued_jobs"]}
    assert lanes["demo.batch"] == 0
