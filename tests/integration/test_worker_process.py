"""Workers as processes: starting, failing to start, stopping, dying."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.audio_files import tone, with_soundfile
from tests.processes import Stack, model_process, redis_server, wait_until
from worker.supervising.supervisor import EXIT_CANNOT_LOAD


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Stack]:
    """A Redis and a gateway, without workers at first; leases of two seconds."""
    with redis_server(tmp_path) as server:
        stack = Stack(server=server, folder=tmp_path, environment={"LEASE_SECONDS": "2"})
        stack.start_gateway()
        yield stack
        stack.stop()


def long_job(fleet: Stack) -> str:
    """Submit ten minutes of tone with the VAD off, which takes some seconds to decode. Returns its id once it runs."""
    content = with_soundfile(tone(600.0), "WAV", "PCM_16")
    with fleet.client() as client:
        job_id: str = client.post("/v1/jobs?vad=false&beam_size=10", content=content).json()["job_id"]
    wait_until(lambda: status(fleet, job_id) == "running", "the job runs")
    return job_id


def status(fleet: Stack, job_id: str) -> str:
    with fleet.client() as client:
        return str(client.get(f"/v1/jobs/{job_id}").json()["status"])


def test_ready_means_a_worker_with_a_loaded_model(fleet: Stack) -> None:
    with fleet.client() as client:
        assert client.get("/ready").status_code == 503
        worker = fleet.start_worker()
        fleet.wait_ready()
        assert client.get("/ready").status_code == 200
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert client.get("/ready").status_code == 503


def test_a_model_that_cannot_load_is_a_clear_message_and_an_exit_code(fleet: Stack, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.bin").write_bytes(b"no weights")
    worker = fleet.start_worker(WHISPER_MODEL=str(tmp_path / "broken"))
    assert worker.wait(60) == EXIT_CANNOT_LOAD
    assert "model_cannot_load" in worker.log_text() and "WHISPER_MODEL" in worker.log_text()
    assert not fleet.server.client().keys("fleet:worker:*"), "no record of the worker is left"


def test_sigterm_hands_the_job_back_uncounted_after_the_grace_period(fleet: Stack) -> None:
    worker = fleet.start_worker(DRAIN_SECONDS="0.5")
    fleet.wait_ready()
    job_id = long_job(fleet)
    worker.signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    record = fleet.server.client().hgetall(f"fleet:job:{job_id}")
    assert (record[b"state"], record[b"attempt"]) == (b"queued", b"0")


def test_a_killed_worker_loses_its_job_to_another(fleet: Stack) -> None:
    first = fleet.start_worker()
    fleet.wait_ready()
    job_id = long_job(fleet)
    orphan = model_process(first.pid)
    first.signal(signal.SIGKILL)
    first.wait()
    wait_until(
        lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE, "the orphaned model process ends itself", 10
    )
    fleet.start_worker()
    wait_until(lambda: fleet.server.client().hget(f"fleet:job:{job_id}", "attempt") == b"2", "it runs elsewhere", 15)


def test_a_killed_model_process_is_replaced_and_the_job_tried_again(fleet: Stack) -> None:
    worker = fleet.start_worker()
    fleet.wait_ready()
    job_id = long_job(fleet)
    model_process(worker.pid).kill()
    wait_until(lambda: fleet.server.client().hget(f"fleet:job:{job_id}", "attempt") == b"2", "second attempt", 15)
    assert "SIGKILL" in worker.log_text()


def test_a_model_process_is_recycled_without_losing_a_job(fleet: Stack) -> None:
    worker = fleet.start_worker(RECYCLE_AFTER_JOBS="2")
    fleet.wait_ready()
    with fleet.client() as client:
        for number in range(6):
            content = with_soundfile(tone(1.0 + number / 10), "WAV", "PCM_16")
            assert client.post("/v1/jobs?wait=60&vad=false&beam_size=1", content=content).json()["status"] == "completed"
    wait_until(lambda: worker.log_text().count('"model_ready"') >= 2, "a successor took over", 20)
    assert "model_died" not in worker.log_text()


def test_a_decode_that_hangs_is_ended_within_the_limit_and_tried_again(fleet: Stack) -> None:
    worker = fleet.start_worker(NO_PROGRESS_TIMEOUT_SECONDS="1")
    fleet.wait_ready()
    with fleet.client() as client:
        job_id = client.post("/v1/jobs?vad=false", content=with_soundfile(tone(5.0), "WAV", "PCM_16")).json()["job_id"]
        model_process(worker.pid).suspend()
        wait_until(lambda: "no_progress" in str(client.get(f"/v1/jobs/{job_id}").json()["attempts"]), "it is given up", 6)
        assert client.get(f"/v1/jobs/{job_id}?wait=60").json()["status"] == "completed"


def test_workers_outlive_an_absence_of_redis(fleet: Stack) -> None:
    worker = fleet.start_worker()
    fleet.wait_ready()
    fleet.server.kill()
    with fleet.client() as client:
        wait_until(lambda: client.get("/ready").status_code == 503, "not ready", 10)
    fleet.server.start()
    fleet.wait_ready()
    assert worker.process.poll() is None
