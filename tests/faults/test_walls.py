"""Files that break or exhaust their reader, and readers that are killed: only the sender of such a file notices."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.audio_files import tone, with_av, with_soundfile
from tests.faults.experiments.arena import Arena, arena
from tests.faults.zoo import Animal
from tests.hostile_files import HOSTILE, varied
from tests.processes import model_process, wait_until

#: A file that costs its reader more processor time than allowed.
EXHAUSTING = "mp4: stts of 4 billion entries"
#: Length of a file of noise: decoding it takes a while.
LONG_SECONDS = 15 * 60


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """A fleet shared by the tests after which gateway and worker are still there."""
    with arena(tmp_path_factory.mktemp("walls") / "fleet", ENABLE_CACHE="false", SPLIT_ABOVE_SECONDS="0") as made:
        yield made


@pytest.fixture(scope="module")
def long_file() -> bytes:
    """A clip for the zoo that takes long to decode. Its first samples are the model's instructions."""
    samples = np.random.default_rng(0).integers(-20_000, 20_000, LONG_SECONDS * 16_000, np.int16)
    samples[:5] = Animal.GOOD, 77, 0, 0, -32768
    return with_soundfile((samples / np.float32(32768)).astype(np.float32), "FLAC", "PCM_16")


def test_a_file_that_exhausts_its_reader_is_refused_and_nobody_else_is(fleet: Arena) -> None:
    hostile = varied(HOSTILE[EXHAUSTING]())
    gateway = fleet.stack.gateways[0].pid
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(_post, fleet, _webm(1))
        answer = _post(fleet, hostile)
        assert beside.result().status_code == 202
    assert psutil.pid_exists(gateway)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_audio")
    (key,) = fleet.redis.keys("fleet:unreadable:*")
    assert fleet.redis.ttl(key) > 0 and len(key) == len("fleet:unreadable:") + 64
    started = time.perf_counter()
    again = _post(fleet, hostile)
    assert (again.status_code, again.json()["code"]) == (400, "malformed_audio")
    assert time.perf_counter() - started < 0.5


def test_no_hostile_file_is_the_fleets_fault(fleet: Arena) -> None:
    """Each file is sent alone: it is refused, or becomes a job. The gateway keeps running."""
    gateway = fleet.stack.gateways[0].pid
    files = {name: make for name, make in HOSTILE.items() if name != EXHAUSTING}
    statuses = {name: _post(fleet, make()).status_code for name, make in files.items()}
    assert {name: status for name, status in statuses.items() if status not in (202, 400, 415, 422)} == {}
    assert _post(fleet, _webm(2)).status_code == 202
    assert psutil.pid_exists(gateway) and "internal_error" not in fleet.stack.gateways[0].log_text()


def test_readers_that_are_killed_are_replaced(fleet: Arena) -> None:
    gateway = fleet.stack.gateways[0].pid
    for _ in range(3):
        for reader in _readers(gateway).children():
            reader.kill()
        assert _post(fleet, _webm(3)).status_code == 202


def test_a_gateway_whose_readers_are_gone_has_others_within_seconds(fleet: Arena) -> None:
    gateway = fleet.stack.gateways[0].pid
    kept = _readers(gateway)
    kept.kill()
    started = time.perf_counter()
    assert _post(fleet, _webm(4)).status_code == 202
    assert time.perf_counter() - started < 3
    assert fleet.stack.gateways[0].pid == gateway and _readers(gateway).pid != kept.pid


def test_a_decode_whose_readers_are_gone_is_done_by_others(fleet: Arena, long_file: bytes) -> None:
    model = model_process(fleet.stack.workers[0].pid)
    job_id = _post(fleet, long_file).json()["job_id"]
    kept = _readers(model.pid)
    wait_until(lambda: _busy(model.pid), "it is being decoded", 20, 0.005)
    kept.kill()
    job = fleet.ended(job_id)
    assert (job["status"], job["attempt"], job["attempts"]) == ("completed", 1, []), job["error"]
    assert model_process(fleet.stack.workers[0].pid).pid == model.pid and _readers(model.pid).pid != kept.pid


def test_floats_beyond_all_measure_fail_one_job_at_most(fleet: Arena) -> None:
    samples = (tone() * np.float32(1e25)).astype(np.float32)
    job_id = _post(fleet, with_soundfile(samples, "WAV", "FLOAT")).json().get("job_id")
    others = [_post(fleet, _flac(number)).json()["job_id"] for number in range(5)]
    assert [fleet.ended(other, within=20)["result"]["transcript"] for other in others] == [str(n) for n in range(5)]
    assert job_id is None or fleet.ended(job_id, within=10)["status"] in ("completed", "failed")


def test_what_a_file_says_of_itself_may_be_long(fleet: Arena) -> None:
    for name in ("mkv: a language of 150 KB", "mkv: a language of 300 KB"):
        assert _post(fleet, HOSTILE[name]()).status_code in (202, 400)
        assert _post(fleet, _webm(5)).status_code == 202


def test_no_parser_is_loaded_in_the_gateway(fleet: Arena) -> None:
    assert _post(fleet, _webm(6)).status_code == 202
    maps = Path(f"/proc/{fleet.stack.gateways[0].pid}/maps").read_text()
    assert "libav" not in maps and "/av/" not in maps and "libsndfile" not in maps


def test_no_file_stays_open_in_the_gateway(fleet: Arena) -> None:
    gateway = psutil.Process(fleet.stack.gateways[0].pid)
    contents = [_webm(7), b"RIFF" + bytes(100), _webm(8)[:300], HOSTILE["mkv: nested tags"]()]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: _post(fleet, contents[n % 4]), range(20)))
        before = gateway.num_fds()
        list(pool.map(lambda n: _post(fleet, contents[n % 4]), range(100)))
    # It may keep a few more connections to Redis. A leak would be 25 files: each content was sent so often.
    wait_until(lambda: gateway.num_fds() < before + 25, "it has about as many files open as before", 10)


def test_no_reader_outlives_those_it_works_for(tmp_path: Path) -> None:
    """Readers end even if all are busy and do not hear the end of their socket. Suspended readers stand for busy ones."""
    with arena(tmp_path / "fleet") as alone:
        gateway, worker = alone.stack.gateways[0], alone.stack.workers[0]
        model = model_process(worker.pid)
        left = [*psutil.Process(gateway.pid).children(recursive=True), *model.children(recursive=True)]
        assert len(left) >= 4
        for keeper in (_readers(gateway.pid), _readers(model.pid)):
            for reader in keeper.children():
                reader.suspend()
        for process in (gateway.process, worker.process, model):
            process.send_signal(signal.SIGKILL)
        try:
            wait_until(lambda: not any(_lives(process) for process in left), "all readers are gone", 5)
        finally:
            for process in filter(_lives, left):
                process.kill()


def _lives(process: psutil.Process) -> bool:
    """Whether a process still runs. An ended one may stay in the process table for a while."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _post(fleet: Arena, content: bytes) -> httpx.Response:
    return fleet.client.post("/v1/jobs", content=content, headers={"Content-Type": "audio/x"})


def _webm(number: int) -> bytes:
    samples = tone()
    samples[100 + number] += 0.1
    return with_av(samples, "webm", "libopus")


def _flac(number: int) -> bytes:
    """A clip for the zoo that must go through a reader."""
    samples = np.full(16_000, 100, np.int16)
    samples[:5] = Animal.GOOD, number, 0, 0, -32768
    return with_soundfile((samples / np.float32(32768)).astype(np.float32), "FLAC", "PCM_16")


def _readers(pid: int) -> psutil.Process:
    """The process beside a gateway or model process that keeps readers, once it has forked them."""
    found: list[psutil.Process] = []

    def there() -> bool:
        found[:] = [child for child in psutil.Process(pid).children() if len(child.children()) >= 2]
        return bool(found)

    wait_until(there, "it has its readers", 10)
    return found[0]


def _busy(pid: int) -> bool:
    """Whether one of the readers has used more than 0.1 s of processor time."""
    return any(sum(reader.cpu_times()[:2]) > 0.1 for reader in _readers(pid).children())
