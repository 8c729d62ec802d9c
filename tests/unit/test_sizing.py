"""The number of workers and threads for a number of cores."""

from pathlib import Path

import pytest

from deploy.local.sizing import set_sizes
from shared.cpu import threads_for, usable_cores, workers_for
from shared.settings import WorkerSettings
from worker.chosen_engine import chosen_engine


@pytest.mark.parametrize(("cores", "workers", "threads"), [(1, 1, 1), (2, 2, 1), (3, 2, 1), (4, 2, 2), (8, 2, 4), (15, 3, 5)])
def test_a_machine_is_shared_out_among_workers(cores: int, workers: int, threads: int) -> None:
    assert (workers_for(cores), threads_for(cores, workers)) == (workers, threads)


def test_more_workers_than_cores_have_a_thread_each() -> None:
    assert threads_for(2, 5) == 1


@pytest.mark.parametrize(("cores", "given", "threads"), [(2, 0, 1), (8, 0, 4), (16, 0, 4), (16, 9, 9), (1, 0, 1)])
def test_a_worker_leaves_cores_to_the_others(cores: int, given: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.chosen_engine.usable_cores", lambda: cores)
    assert chosen_engine(WorkerSettings(whisper_cpu_threads=given)).cpu_threads == threads


@pytest.mark.parametrize(
    ("cores", "threads", "given", "encoder_threads"), [(2, 1, 0, 2), (8, 8, 0, 8), (16, 4, 0, 8), (2, 1, 1, 1), (1, 4, 0, 4)]
)
def test_an_encoder_may_use_more_cores_than_its_worker(
    cores: int, threads: int, given: int, encoder_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.chosen_engine.usable_cores", lambda: cores)
    settings = WorkerSettings(whisper_cpu_threads=threads, whisper_encoder_threads=given)
    assert chosen_engine(settings).encoder_threads == encoder_threads


def test_what_the_environment_says_goes_first() -> None:
    environment = {"WORKERS": "3", "WHISPER_CPU_THREADS": "7"}
    assert set_sizes(environment) == (1, 3)
    assert environment == {"WORKERS": "3", "GATEWAYS": "1", "WHISPER_CPU_THREADS": "7"}


def test_without_a_word_the_cores_decide() -> None:
    environment: dict[str, str] = {}
    _, workers = set_sizes(environment)
    assert workers == workers_for(usable_cores())
    assert environment["WHISPER_CPU_THREADS"] == str(threads_for(usable_cores(), workers))


@pytest.mark.parametrize(("device", "workers"), [("auto", 1), ("cuda", 1), ("cpu", 8)])
def test_a_gpu_has_one_worker(device: str, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 1)
    monkeypatch.setattr("deploy.local.sizing.usable_cores", lambda: 32)
    assert set_sizes({"WHISPER_DEVICE": device})[1] == workers


@pytest.mark.parametrize("wrong", ["0", "many", "-1", "1.5"])
def test_nonsense_is_refused_with_a_sentence(wrong: str) -> None:
    with pytest.raises(ValueError, match=f"WORKERS={wrong}"):
        set_sizes({"WORKERS": wrong})


@pytest.fixture
def sixteen_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 16 cores; returns the folder in which the limits of its container are looked up."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr("shared.cpu.CGROUP_V2", tmp_path / "cpu.max")
    monkeypatch.setattr("shared.cpu.CGROUP_V1", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("max 100000", 16), ("200000 100000", 2), ("350000 100000", 3), ("50000 100000", 1), ("9900000 100000", 16)],
)
def test_a_containers_quota_counts(sixteen_cores: Path, limit: str, cores: int) -> None:
    (sixteen_cores / "cpu.max").write_text(limit + "\n")
    assert usable_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 16), ("400000", 4)])
def test_also_that_of_an_older_kernel(sixteen_cores: Path, quota: str, cores: int) -> None:
    (sixteen_cores / "cpu.cfs_quota_us").write_text(quota)
    (sixteen_cores / "cpu.cfs_period_us").write_text("100000")
    assert usable_cores() == cores


def test_without_any_limits_all_cores_are_ours(sixteen_cores: Path) -> None:
    assert not list(sixteen_cores.iterdir()) and usable_cores() == 16
