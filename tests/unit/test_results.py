"""The answer to a request for the result of a job that has none."""

import json

import pytest

from gateway.fleet.store import Snapshot
from gateway.following.results import result_response
from gateway.problems import problem
from shared.errors import JobFailed
from shared.jobs.job import Job, JobState
from shared.transcripts.formats import ResultFormat

FAILED = {
    "id": "j",
    "tenant": "t",
    "state": JobState.FAILED.value,
    "options": "{}",
    "model": "demo",
    "lane": "fleet.demo.interactive",
    "digest": "d",
    "sha256": "00",
    "audio_format": "wav",
    "audio_seconds": "1.0",
    "size_bytes": "4",
    "attempt": "3",
    "created_at_ms": "0",
    "error": json.dumps({"code": "transcription_failed", "message": "Raised.", "retryable": True}),
}


@pytest.mark.parametrize("is_new_job_next", [False, True])
def test_a_failed_job_is_asked_for_once_and_another_one_may_fare_better(is_new_job_next: bool) -> None:
    failed = Snapshot(Job.from_hash(FAILED), None, "", None)
    with pytest.raises(JobFailed) as raised:
        result_response(failed, ResultFormat.JSON, is_new_job_next=is_new_job_next)
    answer = problem(raised.value)
    assert (answer.status_code, json.loads(bytes(answer.body))["retryable"]) == (502, is_new_job_next)


def test_the_result_of_a_failed_job_is_final() -> None:
    with pytest.raises(JobFailed) as raised:
        result_response(Snapshot(Job.from_hash(FAILED), None, "", None), ResultFormat.JSON)
    assert not raised.value.job_retryable
