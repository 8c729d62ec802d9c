"""The Python client and the command line against the real stack."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from client.errors import ClientError
from client.fleet import FleetClient
from tests.audio_files import FORMATS, tone
from tests.conftest import Clip
from tests.processes import ROOT, Stack


@pytest.fixture
def client(stack: Stack) -> Iterator[FleetClient]:
    with FleetClient(stack.urls[0]) as opened:
        yield opened


def command_line(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`whisper-fleet ...` as a user runs it."""
    environment = os.environ | {"WHISPER_FLEET_URL": stack.urls[1], "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "client", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_transcribe_in_one_call(client: FleetClient, clips: list[Clip]) -> None:
    result = client.transcribe(clips[0].path, language="en", metadata={"from": "test"})
    assert result["transcript"] and result["model"] == "demo"
    assert client.transcribe(clips[0].content, format="srt").startswith("1\n00:00:")


def test_submit_wait_list_cancel(client: FleetClient, clips: list[Clip]) -> None:
    record = client.wait(client.submit(clips[1].path), timeout=60)
    assert record.status == "completed"
    assert record.job_id in [job.job_id for job in client.jobs(status="completed", limit=50)]
    client.cancel(record.job_id)
    with pytest.raises(ClientError) as gone:
        client.job(record.job_id)
    assert gone.value.code == "job_gone"


def test_errors_carry_the_fleets_code_and_sentence(client: FleetClient) -> None:
    with pytest.raises(ClientError) as refused:
        client.submit(b"<html></html>")
    assert (refused.value.code, refused.value.status) == ("not_audio", 415)
    long = client.submit(FORMATS["wav 16 bit"](tone(60.0)), vad="false").job_id
    with pytest.raises(ClientError) as early:
        client.result(long)
    assert early.value.code == "job_not_finished"
    client.cancel(long)


def test_nobody_there_is_an_error_after_a_few_tries() -> None:
    waits: list[float] = []
    with FleetClient("http://127.0.0.1:9", retries=2, sleep=waits.append) as lonely, pytest.raises(ClientError):
        lonely.stats()
    assert len(waits) == 2


@pytest.mark.parametrize(("said", "calls"), [({"retryable": False}, 1), ({"retryable": True}, 3), ({}, 3)])
def test_what_an_answer_says_about_trying_again_wins_over_its_status(said: dict[str, bool], calls: int) -> None:
    asked, waits = list[str](), list[float]()

    def failed(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(502, json={"status": 502, "code": "transcription_failed", "detail": "The decode failed."} | said)

    with (
        FleetClient(transport=httpx.MockTransport(failed), retries=2, sleep=waits.append) as client,
        pytest.raises(ClientError) as raised,
    ):
        client.result("a")
    assert (raised.value.code, raised.value.status) == ("transcription_failed", 502)
    assert (len(asked), len(waits)) == (calls, calls - 1)


def test_the_command_line_transcribes_files(stack: Stack, clips: list[Clip]) -> None:
    done = command_line(stack, "transcribe", str(clips[0].path), str(clips[1].path))
    assert done.returncode == 0, done.stderr
    assert clips[0].name in done.stdout and clips[1].name in done.stdout


def test_the_command_line_says_what_is_wrong(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "page.wav").write_text("<html></html>")
    failed = command_line(stack, "transcribe", str(tmp_path / "page.wav"))
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr and "audio" in failed.stdout + failed.stderr
    assert command_line(stack, "status", "0" * 32).returncode != 0


def test_the_command_line_follows_and_ends_a_job(stack: Stack, clips: list[Clip]) -> None:
    submitted = command_line(stack, "submit", str(clips[2].path))
    job_id = submitted.stdout.strip().split()[-1]
    assert submitted.returncode == 0 and len(job_id) >= 32
    assert job_id in command_line(stack, "status", job_id).stdout
    assert "demo" in command_line(stack, "stats").stdout
    assert command_line(stack, "cancel", job_id).returncode == 0
