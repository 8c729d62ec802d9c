"""Mistakes of clients: each gets the right status, a stable code and a helpful sentence, and leaves nothing in Redis."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.audio_files import FORMATS, flac_claiming, float_wav_with, tone, wav, wav_header, with_soundfile
from tests.processes import RedisServer, Stack, lasting_keys

ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def gateway(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One gateway with small limits: 1 MB uploads, 100 KB of base64 audio, 60 s of sound."""
    stack = Stack(server=server, folder=tmp_path_factory.mktemp("gateway"), environment={"FLEET_PREFIX": "bad"})
    stack.start_gateway(MAX_FILE_SIZE_MB="1", MAX_BASE64_SIZE_MB="0.1", MAX_AUDIO_LENGTH_SECONDS="60")
    with stack.client() as client:
        yield client
    stack.stop()


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A request and the expected answer."""

    name: str
    status: int
    code: str
    method: str = "POST"
    path: str = "/v1/jobs"
    content: bytes | None = None
    json: Any = None
    fields: dict[str, str] = field(default_factory=dict)
    file: tuple[str, bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def raw(name: str, content: bytes, status: int, code: str, query: str = "") -> Bad:
    return Bad(name=name, content=content, status=status, code=code, path=f"/v1/jobs{query}")


def body(name: str, json_body: Any, status: int, code: str) -> Bad:
    return Bad(name=name, json=json_body, status=status, code=code)


def text_body(name: str, content: bytes, status: int, code: str) -> Bad:
    return Bad(name=name, content=content, headers={"Content-Type": "application/json"}, status=status, code=code)


GOOD = base64.b64encode(wav()).decode()
FLAC = FORMATS["flac"](tone(5.0))
M4A = FORMATS["m4a"](tone())
ROWS = [
    raw("nothing at all", b"", 400, "empty_audio"),
    raw("html", b"<!DOCTYPE html><html><body>Not Found</body></html>", 415, "not_audio"),
    raw("plain text", b"hello, please transcribe me " * 20, 415, "not_audio"),
    raw("a png", b"\x89PNG\r\n\x1a\n" + bytes(500), 415, "not_audio"),
    raw("a zip", b"PK\x03\x04" + bytes(500), 415, "not_audio"),
    raw("a pdf", b"%PDF-1.7\n" + bytes(500), 415, "not_audio"),
    raw("random bytes", bytes(range(1, 256)) * 8, 415, "not_audio"),
    raw("zeros", bytes(4000), 415, "not_audio"),
    raw("an hls playlist", b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1/secret.ts\n", 415, "not_audio"),
    raw("an ffmpeg concat list", b"ffconcat version 1.0\nfile /etc/passwd\n", 415, "not_audio"),
    raw("four bytes of a wav", b"RIFF", 400, "malformed_audio"),
    raw("a wav header alone", wav()[:44], 400, "malformed_audio"),
    raw("a truncated wav, strictly", wav()[:-5000], 422, "audio_incomplete", "?strict=true"),
    raw("a truncated flac, strictly", FLAC[: len(FLAC) // 2], 422, "audio_incomplete", "?strict=true"),
    raw("a truncated m4a", M4A[: len(M4A) // 2], 400, "malformed_audio"),
    raw("a wav without a format", b"RIFF\x24\x00\x00\x00WAVEdata\x00\x00\x00\x00", 400, "malformed_audio"),
    raw("0 Hz", wav_header(rate_hz=0, data=bytes(32_000)), 422, "unsupported_audio"),
    raw("64 channels", wav_header(channels=64, data=bytes(32_000)), 422, "unsupported_audio"),
    raw("0 channels", wav_header(channels=0, data=bytes(32_000)), 422, "unsupported_audio"),
    raw("NaN samples", float_wav_with(float("nan")), 422, "unsupported_audio"),
    raw("infinite samples", float_wav_with(float("inf")), 422, "unsupported_audio"),
    raw(
        "a wav that promises 10 h",
        wav_header(rate_hz=8, bits=8, claimed_bytes=288_000, data=bytes(288_000)),
        422,
        "audio_too_long",
    ),
    raw("a flac that promises 10 h, strictly", flac_claiming(36_000), 422, "audio_incomplete", "?strict=true"),
    raw("1 Hz", wav_header(rate_hz=1, claimed_bytes=50, data=bytes(50)), 422, "unsupported_audio"),
    raw("61 s", with_soundfile(tone(61, 4000), "WAV", "PCM_U8", 4000), 422, "audio_too_long"),
    raw("10 ms", wav(0.01), 422, "audio_too_short"),
    raw("1.1 MB", wav_header(claimed_bytes=1_100_000, data=bytes(1_100_000)), 413, "too_large"),
    raw("an unknown language", wav(), 422, "invalid_option", "?language=klingon"),
    raw("beam size of text", wav(), 422, "invalid_option", "?beam_size=many"),
    raw("beam size 0", wav(), 422, "invalid_option", "?beam_size=0"),
    raw("beam size 1000", wav(), 422, "invalid_option", "?beam_size=1000"),
    raw("temperature -1", wav(), 422, "invalid_option", "?temperature=-1"),
    raw("temperature nan", wav(), 422, "invalid_option", "?temperature=nan"),
    raw("task sing", wav(), 422, "invalid_option", "?task=sing"),
    raw("vad perhaps", wav(), 422, "invalid_option", "?vad=perhaps"),
    raw("priority urgent", wav(), 422, "invalid_option", "?priority=urgent"),
    raw("an unknown query field", wav(), 400, "unknown_field", "?colour=blue"),
    raw("a path-like model", wav(), 422, "invalid_option", "?model=../../etc/passwd"),
    raw("an unknown model", wav(), 422, "unknown_model", "?model=large-v99"),
    raw("an absurd deadline", wav(), 422, "invalid_option", "?deadline_seconds=99999999999"),
    raw("an endless prompt", wav(), 422, "invalid_option", "?prompt=" + "word+" * 1000),
    raw("a bad wait", wav(), 422, "invalid_option", "?wait=soon"),
    text_body("no json", b"{audio: nope", 400, "invalid_json"),
    text_body("empty json body", b"", 400, "invalid_json"),
    text_body("json that is no object", b'["audio"]', 400, "invalid_json"),
    text_body("json that is not utf-8", b'{"audio": "\xff\xfe"}', 400, "invalid_json"),
    text_body("json nested too deep", b'{"audio":' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400, "invalid_json"),
    text_body("json with a key twice", b'{"audio": "AAAA", "language": "en", "language": "de"}', 400, "invalid_json"),
    text_body("huge json", b'{"audio": "' + b"A" * 400_000 + b'"}', 413, "too_large"),
    body("no audio", {}, 400, "missing_audio"),
    body("null audio", {"audio": None}, 400, "missing_audio"),
    body("empty audio", {"audio": ""}, 400, "empty_audio"),
    body("audio as a number", {"audio": 7}, 400, "invalid_base64"),
    body("invalid base64", {"audio": "this is *not* base64!"}, 400, "invalid_base64"),
    body("base64 with wrong padding", {"audio": GOOD[:-3]}, 400, "invalid_base64"),
    body("base64 of text", {"audio": base64.b64encode(b"hello").decode()}, 415, "not_audio"),
    body("an unknown field", {"audio": GOOD, "langauge": "en"}, 400, "unknown_field"),
    body("language as a number", {"audio": GOOD, "language": 5}, 422, "invalid_option"),
    body("beam size as a list", {"audio": GOOD, "beam_size": [5]}, 422, "invalid_option"),
    body("vad as a text", {"audio": GOOD, "vad": "sometimes"}, 422, "invalid_option"),
    body("metadata as a list", {"audio": GOOD, "metadata": [1]}, 422, "invalid_option"),
    body("metadata without measure", {"audio": GOOD, "metadata": {"k": "v" * 20_000}}, 422, "invalid_option"),
    Bad(name="multipart without a file", fields={"language": "en"}, status=400, code="missing_audio"),
    Bad(name="multipart with an empty file", file=("a.wav", b""), status=400, code="empty_audio"),
    Bad(name="a file named like a path that is html", file=("../../etc/passwd", b"<html></html>"), status=415, code="not_audio"),
    Bad(name="html named wav", file=("speech.wav", b"<html></html>"), status=415, code="not_audio"),
    Bad(name="multipart with an unknown field", file=("a.wav", wav()), fields={"speed": "2"}, status=400, code="unknown_field"),
    Bad(name="a large file", file=("a.wav", bytes(1_200_000)), status=413, code="too_large"),
    Bad(
        name="multipart without a boundary",
        content=b"--x\r\n",
        headers={"Content-Type": "multipart/form-data"},
        status=400,
        code="malformed_request",
    ),
    Bad(
        name="multipart that breaks off",
        content=b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF',
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        status=400,
        code="malformed_request",
    ),
    Bad(name="an unknown id", method="GET", path=f"/v1/jobs/{ID}", status=404, code="unknown_job"),
    Bad(name="an unknown id's result", method="GET", path=f"/v1/jobs/{ID}/result", status=404, code="unknown_job"),
    Bad(name="cancelling an unknown id", method="DELETE", path=f"/v1/jobs/{ID}", status=404, code="unknown_job"),
    Bad(name="an id like a path", method="GET", path="/v1/jobs/..%2F..%2Fetc", status=404, code="unknown_job"),
    Bad(name="an id of 5000 letters", method="GET", path="/v1/jobs/" + "a" * 5000, status=404, code="unknown_job"),
    Bad(name="an id with a newline", method="GET", path="/v1/jobs/a%0Ab", status=404, code="unknown_job"),
    Bad(name="an id with a glob", method="DELETE", path="/v1/jobs/*", status=404, code="unknown_job"),
    Bad(name="an unknown status filter", method="GET", path="/v1/jobs?status=lost", status=422, code="invalid_option"),
    Bad(name="a limit of -1", method="GET", path="/v1/jobs?limit=-1", status=422, code="invalid_option"),
    Bad(name="a forged cursor", method="GET", path="/v1/jobs?cursor=%00%ff", status=422, code="invalid_option"),
    Bad(name="async poll without an id", method="GET", path="/transcribe-async", status=422, code="invalid_option"),
    Bad(name="a foreign method", method="PATCH", path="/v1/jobs", status=405, code="method_not_allowed"),
    Bad(name="a foreign method on a job", method="PUT", path=f"/v1/jobs/{ID}", status=405, code="method_not_allowed"),
    Bad(name="an unknown page", method="GET", path="/v2/everything", status=404, code="not_found"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_bad_input_is_refused_early_and_leaves_nothing(gateway: httpx.Client, server: RedisServer, row: Bad) -> None:
    before = lasting_keys(server.client())
    files = {"file": row.file} if row.file else None
    if row.fields and files is None:
        files = {name: (None, value) for name, value in row.fields.items()}  # type: ignore[misc]
    answer = gateway.request(
        row.method,
        row.path,
        content=row.content,
        json=row.json,
        data=row.fields if row.file else None,
        files=files,
        headers=row.headers,
    )
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = json.loads(answer.text)
    assert (answer.status_code, problem["code"], problem["status"]) == (row.status, row.code, row.status), problem["detail"]
    assert len(problem["detail"]) > 20 and problem["detail"][-1] in ".!", "the detail is a helpful sentence"
    assert lasting_keys(server.client()) <= before, "nothing is left in Redis"


def test_there_are_many_rows_and_no_two_alike() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 40


@pytest.mark.parametrize("name", FORMATS)
def test_every_promised_format_is_taken_whatever_its_name_says(gateway: httpx.Client, server: RedisServer, name: str) -> None:
    content = FORMATS[name](tone(1.5))
    answer = gateway.post("/v1/jobs", files={"file": ("page.html", content, "text/html")})
    assert answer.status_code == 202, answer.text
    gateway.delete(f"/v1/jobs/{answer.json()['job_id']}")
    gateway.delete(f"/v1/jobs/{answer.json()['job_id']}")
    client = server.client()
    client.delete(*client.keys("bad:*"))
