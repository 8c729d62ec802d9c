"""Calls that a caller sends twice, because the answer to the first one was lost."""

from collections.abc import Iterator

import httpx
import pytest

from tests.audio_files import wav
from tests.processes import RedisServer, Stack
from tests.script_driver import ScriptDriver


@pytest.fixture
def gateway(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    stack = Stack(server=server, folder=tmp_path_factory.mktemp("repeated"), environment={"FLEET_PREFIX": "repeated"})
    stack.start_gateway()
    with stack.client() as client:
        yield client
    stack.stop()


def test_a_cancel_that_is_sent_again_with_its_key_erases_nothing(gateway: httpx.Client) -> None:
    job_id = gateway.post("/v1/jobs", content=wav(1.0)).json()["job_id"]
    for _ in range(2):
        answer = gateway.delete(f"/v1/jobs/{job_id}", headers={"Idempotency-Key": "once"})
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert gateway.delete(f"/v1/jobs/{job_id}", headers={"Idempotency-Key": "another"}).status_code == 204
    assert gateway.get(f"/v1/jobs/{job_id}").status_code == 410


def test_a_key_that_is_too_long_is_refused(gateway: httpx.Client) -> None:
    job_id = gateway.post("/v1/jobs", content=wav(1.1)).json()["job_id"]
    assert gateway.delete(f"/v1/jobs/{job_id}", headers={"Idempotency-Key": "x" * 256}).status_code == 422
    assert gateway.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"


def test_a_retry_that_is_sent_again_with_its_key_is_the_same_retry(fleet: ScriptDriver) -> None:
    fleet.submit("a")
    fleet.fail("a", fleet.claim()["token"], retryable=False)
    assert [fleet.retry("a", key="k") for _ in range(2)] == ["queued", "queued"]
    assert fleet.waiting() == ["a"] and fleet.load()[0] == 1
    assert fleet.retry("a", key="another") == "not_retryable"
