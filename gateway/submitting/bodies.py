"""Reads the three forms of a submit: raw, multipart and JSON. Checks size limits while bytes arrive, and never uses the disk."""

import math
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gateway.problems import TooManyUploads, UploadStalled
from gateway.submitting.upload_budget import share_of
from gateway.submitting.uploaded import ArrivingAudio, UploadedAudio
from shared.errors import MalformedRequest, MissingAudio, RequestTooLarge, UnknownField
from shared.settings import GatewaySettings

MEGABYTE = 1_000_000
#: How much larger than the largest audio a JSON or multipart body may be: room for prompt, hotwords, metadata, boundaries.
ROOM_FOR_FIELDS_BYTES = 128 * 1024
MAX_FIELDS = 32
MAX_FIELD_BYTES = 32 * 1024
LINGER_SECONDS, LINGER_PAUSE_SECONDS = 1.0, 0.02
#: An upload is dropped if it was slower than this over a stretch of STRETCH_SECONDS. Live speech is faster, in any codec.
LEAST_BYTES_PER_SECOND, STRETCH_SECONDS = 500, 10.0
#: The part of a multipart body that holds the audio has one of these names.
_AUDIO_PARTS = frozenset({b"file", b"audio"})
#: Query parameters that control the answer and are not options of the job.
_STEERING = frozenset({"wait"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A body as it came in. Either `audio` is set, or `json_body` holds the audio together with the fields."""

    audio: UploadedAudio | None = None
    json_body: bytes | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


async def read_upload(request: Request, settings: GatewaySettings, extras: frozenset[str] = frozenset()) -> Upload:
    """Read a whole body by its Content-Type: JSON, multipart, or else the raw audio with its options in the query.

    A multipart request may have options in the query, too. A JSON request may have only `wait` and `extras` there: the fields
    that the route takes beyond a job's own. Raises `RequestTooLarge` as soon as the body passes the limit, `TooManyUploads`,
    `UploadStalled`, `MalformedRequest`, `MissingAudio`, `UnknownField`, and `ClientDisconnect` when the client has hung up.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    query = single_values(request.query_params.multi_items(), ignored=_STEERING)
    if kind not in ("application/json", "multipart/form-data"):
        return Upload(audio=await _read_audio(request, settings, int(settings.max_file_size_mb * MEGABYTE)), fields=query)
    if kind == "multipart/form-data":
        return await _read_multipart(request, settings, query)
    if strangers := sorted(set(query) - extras):
        raise UnknownField(f"The query field {strangers[0][:60]!r} is not taken beside a JSON body; options go into the body.")
    limit = int(settings.max_base64_size_mb * MEGABYTE * 4 / 3) + ROOM_FOR_FIELDS_BYTES
    return Upload(json_body=await _read(request, settings, limit), fields=query)


def single_values(items: list[tuple[str, Any]], ignored: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The fields by name. An empty text field counts as left out. Raises `MalformedRequest` when a field is given twice."""
    found: dict[str, Any] = {}
    for name, value in items:
        if name in found:
            raise MalformedRequest(f"The field {name[:60]!r} is given twice; send it once.")
        if name not in ignored and value != "":
            found[name] = value
    return found


async def _read_audio(request: Request, settings: GatewaySettings, limit_bytes: int) -> UploadedAudio:
    """Read raw audio. Large audio is written to shared memory as it arrives."""
    arriving = ArrivingAudio()
    with _patience(settings.upload_timeout_seconds) as patience:
        async for chunk in _bounded(request, limit_bytes, patience):
            arriving.write(chunk)
    return arriving.whole()


async def _read(request: Request, settings: GatewaySettings, limit_bytes: int) -> bytes:
    with _patience(settings.upload_timeout_seconds) as patience:
        return b"".join([chunk async for chunk in _bounded(request, limit_bytes, patience)])


@dataclass(slots=True)
class _Patience:
    """Limits how long the next chunk may take and how slow a body may be. Uses one timer, which each chunk postpones."""

    scope: anyio.CancelScope
    stall_seconds: float
    stretch_since: float
    stretch_bytes: int = 0

    def renew(self, size_bytes: int) -> None:
        now = anyio.current_time()
        self.scope.deadline = now + self.stall_seconds
        self.stretch_bytes += size_bytes
        seconds = now - self.stretch_since
        if seconds >= STRETCH_SECONDS:
            if self.stretch_bytes < LEAST_BYTES_PER_SECOND * seconds:
                least = f"{LEAST_BYTES_PER_SECOND} bytes per second"
                raise UploadStalled(f"The upload came in at less than {least}, so it was dropped; send it again.")
            self.stretch_since, self.stretch_bytes = now, 0

    def end(self) -> None:
        self.scope.deadline = math.inf


@contextmanager
def _patience(stall_seconds: float) -> Iterator[_Patience]:
    """Limit the time of an upload inside the `with`. Raises `UploadStalled` when no chunk comes for `stall_seconds`."""
    try:
        with anyio.fail_after(stall_seconds) as scope:
            yield _Patience(scope, stall_seconds, anyio.current_time())
    except TimeoutError as error:
        raise UploadStalled(f"No data came for {stall_seconds:g} s, so the upload was dropped; send it again.") from error


async def _bounded(request: Request, limit_bytes: int, patience: _Patience) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of the body.

    Raises `RequestTooLarge` when they are more than the limit, and `TooManyUploads` when the upload budget has no room for them.
    """
    stream = request.stream()
    budget, is_room = share_of(request), True
    received = int(request.headers.get("content-length", 0))
    if received <= limit_bytes:
        received = 0
        async for chunk in stream:
            if not chunk:  # Starlette ends each body with an empty chunk
                continue
            patience.renew(len(chunk))
            received += len(chunk)
            is_room = budget.add(len(chunk))
            if received > limit_bytes or not is_room:
                break
            yield chunk
            if budget.body.took(len(chunk)):
                # While the body waits for its turn, the sender must wait, too: that is no stall.
                patience.end()
                await budget.body.turn()
                patience.renew(0)
    if not is_room:
        patience.end()
        await _linger(request, stream)
        raise TooManyUploads("More audio is on its way in than this gateway holds at a time; try again in a moment.")
    if received > limit_bytes:
        patience.end()
        await _linger(request, stream)
        raise RequestTooLarge(f"The body is too large: at most {limit_bytes / MEGABYTE:.2f} MB are taken in this form.")


async def _linger(request: Request, stream: AsyncGenerator[bytes, None]) -> None:
    """Read and drop the rest of the body for up to LINGER_SECONDS.

    Closing at once would reset the connection before the client has read our answer.
    """
    if "expect" in request.headers:
        return
    with anyio.move_on_after(LINGER_SECONDS):
        body = share_of(request).body
        async for chunk in stream:
            # Read more slowly than the bytes arrive, so that other requests get their turn.
            await anyio.sleep(LINGER_PAUSE_SECONDS)
            if body.took(len(chunk)):
                await body.turn()


class _InMemoryParser(MultiPartParser):
    """Starlette's multipart parser, with narrower limits: one file, and few and small fields.

    The file goes to memory (shared memory if it is large), never to disk. `complete` says whether the closing boundary came. The
    audio part counts as a file even without a file name, which RFC 7578 (section 4.2) makes optional.
    """

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None]) -> None:
        super().__init__(headers, stream, max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
        self.complete = False

    def on_headers_finished(self) -> None:
        disposition = self._current_part.content_disposition or b""
        _, options = parse_options_header(disposition)
        if options.get(b"name") in _AUDIO_PARTS and b"filename" not in options:
            self._current_part.content_disposition = disposition + b'; filename="audio"'
        super().on_headers_finished()
        file = self._current_part.file
        if file is not None:
            arriving: Any = ArrivingAudio()
            self._files_to_close_on_error.append(arriving)
            self._current_part.file = UploadFile(arriving, size=0, filename=file.filename, headers=file.headers)

    def on_end(self) -> None:
        self.complete = True


async def _read_multipart(request: Request, settings: GatewaySettings, query: Mapping[str, str]) -> Upload:
    limit = int(settings.max_file_size_mb * MEGABYTE) + ROOM_FOR_FIELDS_BYTES
    try:
        with _patience(settings.upload_timeout_seconds) as patience:
            parser = _InMemoryParser(request.headers, _bounded(request, limit, patience))
            form = await parser.parse()
    except MultiPartException as error:
        raise MalformedRequest(f"The multipart body is not well-formed. {error.message.rstrip('.')}.") from error
    if not parser.complete:
        raise MalformedRequest("The multipart body breaks off before its closing boundary; send it whole.")
    fields = single_values([*query.items(), *form.multi_items()])
    part = _audio_part(fields)
    assert isinstance(part.file, ArrivingAudio)
    audio = part.file.whole()
    if audio.size_bytes > settings.max_file_size_mb * MEGABYTE:
        raise RequestTooLarge(f"The file is too large: at most {settings.max_file_size_mb:g} MB are taken.")
    return Upload(audio=audio, fields=fields)


def _audio_part(fields: dict[str, Any]) -> UploadFile:
    """Remove the part that holds the audio from the fields, and return it. Raises `MissingAudio`, which names the parts found."""
    for name in ("file", "audio"):
        part = fields.get(name)
        if isinstance(part, UploadFile):
            del fields[name]
            return part
    found = ", ".join(repr(name[:60]) for name in sorted(fields)) or "none"
    files = [name for name, value in fields.items() if isinstance(value, UploadFile)]
    advice = f"call the part {files[0][:60]!r} 'file'" if files else "send the audio as a part named 'file'"
    raise MissingAudio(f"The multipart body has no part named 'file'; its parts are: {found}. Please {advice}.")
