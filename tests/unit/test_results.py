"""The answer to a request for a result: of a job that has none, and of one whose record is older than this release."""

import json

import pytest

from gateway.fleet.store import Snapshot
from gateway.following.results import canonical, result_response
from gateway.problems import problem
from shared.errors import JobFailed
from shared.jobs.job import Job, JobState
from shared.transcripts.formats import ResultFormat
from shared.transcripts.transcript import Transcript

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


#: A transcript as release 0.3.0 stored it.
EARLIER = """{"transcript":"yes","task":"transcribe","language":"en","language_probability":1.0,"duration":1.0,"segments":[],
"preprocess_ms":1.0,"transcribe_ms":2.0,"model":"demo","model_revision":"r","device":"cpu","encoder_window":"full",
"short_windows":0,"window_fallbacks":0,"decoded_as":"r-1","audio":null,"warnings":[]}"""


def test_a_transcript_of_the_last_release_does_not_tell_its_encoder() -> None:
    completed = Job.from_hash({k: v for k, v in FAILED.items() if k != "error"} | {"state": JobState.COMPLETED.value})
    body = canonical(completed, Transcript.model_validate_json(EARLIER))
    assert (body["transcript"], body["encoder"], body["encoder_precision"]) == ("yes", None, None)
