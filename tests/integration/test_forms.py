"""Bodies as clients really send them: parts without a file name or under another name, base64 in all its variants."""

import base64
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.audio.containers import FORMS
from tests.conftest import CLIPS
from tests.processes import ROOT, RedisServer, Stack

CLIP = (CLIPS / "everyday_000.wav").read_bytes()
BOUNDARY = "a-boundary"


@pytest.fixture(scope="module")
def gateway(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A gateway without a worker: submitted jobs stay queued."""
    stack = Stack(server=server, folder=tmp_path_factory.mktemp("forms"), environment={"FLEET_PREFIX": "forms"})
    stack.start_gateway()
    try:
        with stack.client() as client:
            yield client
    finally:
        stack.stop()


def multipart(*parts: tuple[str, bytes]) -> bytes:
    """Parts with these Content-Dispositions, as a client without a library writes them."""
    lines = [f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\n\r\n".encode() + body + b"\r\n" for head, body in parts]
    return b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()


def post(gateway: httpx.Client, *parts: tuple[str, bytes]) -> httpx.Response:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return gateway.post("/v1/jobs", content=multipart(*parts), headers=headers)


@pytest.mark.parametrize(
    "head",
    ['form-data; name="file"', 'form-data; name="audio"', "form-data; name=file", 'form-data; name="audio"; filename="a.wav"'],
)
def test_the_file_part_needs_no_file_name(gateway: httpx.Client, head: str) -> None:
    answer = post(gateway, (head, CLIP), ('form-data; name="language"', b"en-GB"))
    assert answer.status_code == 202, answer.text
    assert answer.json()["audio"]["size_bytes"] == len(CLIP) and answer.json()["options"]["language"] == "en"


def test_an_error_says_which_parts_were_found(gateway: httpx.Client) -> None:
    answer = post(gateway, ('form-data; name="recording"; filename="a.wav"', CLIP), ('form-data; name="language"', b"en"))
    assert (answer.status_code, answer.json()["code"]) == (400, "missing_audio")
    assert "'recording'" in answer.json()["detail"] and "'file'" in answer.json()["detail"]


def spellings() -> dict[str, str]:
    standard, safe = base64.b64encode(CLIP).decode(), base64.urlsafe_b64encode(CLIP).decode()
    return {
        "standard": standard,
        "url-safe": safe,
        "without padding": safe.rstrip("="),
        "in lines of 76": "\r\n".join(textwrap.wrap(standard, 76)),
        "with a last line break": standard + "\n",
        "as a data url": "data:audio/wav;base64," + standard,
        "as a data url in lines": "data:audio/wav;base64,\n" + "\n".join(textwrap.wrap(safe, 64)),
    }


@pytest.mark.parametrize("spelling", spellings())
def test_base64_is_taken_as_it_is_written(gateway: httpx.Client, spelling: str) -> None:
    answer = gateway.post("/v1/jobs", json={"audio": spellings()[spelling], "language": "english"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["audio"]["size_bytes"] == len(CLIP)


def test_the_documentation_lists_what_is_taken() -> None:
    page = Path(ROOT / "docs" / "api.md").read_text()
    for container, form in FORMS.items():
        assert f"| `{container.value}` | {form.describes} |" in page
