"""Turns the fields of a request into a checked submission, and pydantic's errors into one helpful sentence."""

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from shared.errors import InvalidBase64, InvalidJson, InvalidOption, MissingAudio, RequestTooLarge, UnknownField
from shared.jobs.options import Submission, VadOptions

MAX_METADATA_BYTES = 16_384
MAX_METADATA_DEPTH = 16
#: The most that a JSON body may hold beside its audio. It has room for a prompt or metadata somewhat beyond their own limits, so
#: that these are refused with a more exact error.
MOST_JSON_BYTES = 256 * 1024
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_TOLERATED = str.maketrans("-_", "+/", " \t\r\n")
_PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?\s*(?:$|[,;])", re.IGNORECASE)

Choice = TypeVar("Choice", bound=Enum)


def json_fields(body: bytes) -> tuple[bytes, dict[str, Any]]:
    """A JSON body's audio, and its other fields. Raises `InvalidJson`, `MissingAudio`, `InvalidBase64`, `RequestTooLarge`."""
    _check_size(body)
    fields = _parsed(body)
    if not isinstance(fields, dict):
        raise InvalidJson('The JSON body must be an object such as {"audio": "<base64>"}.')
    audio = fields.pop("audio", None)
    if audio is None:
        raise MissingAudio('The JSON body has no "audio"; put the base64 of the audio file there.')
    return _from_base64(audio), fields


#: A long JSON string that may be base64, also with line breaks or as a data URL. Only such strings may make a body large.
_LONG_STRING = re.compile(rb'"[A-Za-z0-9+/=_\-\\:;,.]{1000,}"')


def _check_size(body: bytes) -> None:
    """Raises `RequestTooLarge` if the body is large without its base64.

    This check comes before the parser, since millions of small fields would take a gigabyte as Python objects.
    """
    if len(body) > MOST_JSON_BYTES and len(_LONG_STRING.sub(b'""', body)) > MOST_JSON_BYTES:
        raise RequestTooLarge(f"Beside the audio the JSON body is larger than {MOST_JSON_BYTES} bytes; send less of it.")


def _parsed(text: bytes | str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise InvalidJson("The JSON is nested too deep.") from error
    except ValueError as error:
        raise InvalidJson("The body is no valid JSON (UTF-8, no NaN).") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict. Raises `InvalidJson` for a key with two values, since either may be the one that was meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise InvalidJson(f"The JSON has the key {twice[:60]!r} twice; send it once.")
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError("not in RFC 8259")


def _from_base64(audio: object) -> bytes:
    """Decode base64: standard or url-safe, padded or not, in one line or many, or as a data URL. Raises `InvalidBase64`."""
    if not isinstance(audio, str):
        raise InvalidBase64('"audio" must be a string: the base64 of the audio file.')
    prefix = _DATA_URL.match(audio)
    written = audio[prefix.end() :] if prefix else audio
    try:
        return base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        pass
    try:
        plain = written.translate(_TOLERATED).rstrip("=")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidBase64('"audio" is no valid base64; encode the bytes of the audio file.') from error


def submission(fields: Mapping[str, Any], *, typed: bool) -> Submission:
    """Check the fields of a job. With `typed`, they come from JSON and must have their JSON types; otherwise they are text.

    Raises `UnknownField` or `InvalidOption`, which name the field and the allowed values, and `InvalidJson`.
    """
    fields = dict(fields)
    if not typed and isinstance(fields.get("metadata"), str):
        fields["metadata"] = _metadata_from_text(fields["metadata"])
    if not typed and str(fields.get("vad", "")).lstrip().startswith("{"):
        fields["vad"] = _vad_from_text(fields["vad"])
    # `channels` has two meanings: mix or split, or as a number how many channels raw PCM has. The latter becomes `channel_count`.
    if str(fields.get("channels", "")).isdigit() and not isinstance(fields["channels"], bool):
        if "channel_count" in fields:
            raise InvalidOption("channels: must be mix or split beside channel_count, which already says how many there are.")
        fields["channel_count"] = fields.pop("channels")
    metadata = fields.pop("metadata", None)
    _check_metadata(metadata)
    try:
        plain = Submission.model_validate_json(json.dumps(fields), strict=True) if typed else Submission.model_validate(fields)
    except ValidationError as error:
        _complain(error)
    except RecursionError as error:
        raise InvalidJson("The JSON body is nested too deep.") from error
    return plain.model_copy(update={"metadata": metadata})


def _metadata_from_text(text: str) -> Any:
    try:
        return _parsed(text)
    except InvalidJson as error:
        raise InvalidOption('metadata: must be a JSON object such as {"user": 17}.') from error


def _vad_from_text(text: str) -> Any:
    try:
        return _parsed(text)
    except InvalidJson as error:
        raise InvalidOption('vad: must be true, false, or a JSON object such as {"threshold": 0.6}.') from error


def _check_metadata(metadata: Any) -> None:
    """Raises `InvalidOption` for metadata that could not be stored and sent back unchanged, or that is too large or deep."""
    if metadata is None:
        return
    if not isinstance(metadata, dict) or _depth_exceeds(metadata, MAX_METADATA_DEPTH):
        raise InvalidOption(f"metadata: must be a JSON object, nested at most {MAX_METADATA_DEPTH} deep.")
    try:
        size = len(json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode())
    except ValueError as error:
        raise InvalidOption("metadata: must be made of valid Unicode text and finite numbers.") from error
    if size > MAX_METADATA_BYTES:
        raise InvalidOption(f"metadata: must take at most {MAX_METADATA_BYTES} bytes as JSON; it takes {size}.")


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _complain(error: ValidationError) -> NoReturn:
    complaints = error.errors(include_input=False, include_url=False, include_context=False)
    for complaint in complaints:
        if complaint["type"] == "extra_forbidden" and len(complaint["loc"]) > 1:
            where, known = ".".join(map(str, complaint["loc"]))[:60], ", ".join(VadOptions.model_fields)
            raise UnknownField(f"There is no field {where!r}; known are {known}.") from None
        if complaint["type"] == "extra_forbidden":
            known = ", ".join(Submission.model_fields)
            raise UnknownField(
                f"There is no field {str(complaint['loc'][0])[:60]!r}; known are audio (or file), {known}."
            ) from None
    if complaints[0]["type"] == "json_invalid":
        is_deep = "recursion" in complaints[0]["msg"]
        raise InvalidJson(
            "The JSON is nested too deep." if is_deep else "The JSON holds text that is no valid Unicode."
        ) from None
    # For a field of several possible types, the complaint about the innermost value helps the caller most.
    raise InvalidOption(_sentence(max(complaints, key=lambda complaint: len(complaint["loc"])))) from None


def _sentence(complaint: ErrorDetails) -> str:
    said = complaint["msg"].removeprefix("Value error, ").rstrip(".")
    where = ".".join(str(part) for part in complaint["loc"] if part != VadOptions.__name__) or "the fields"
    return f"{where}: {said[:1].lower()}{said[1:]}."


def choice(kind: type[Choice], name: str, value: str) -> Choice:
    """The enum's member with this value. Raises `InvalidOption`."""
    try:
        return kind(value)
    except ValueError as error:
        raise InvalidOption(f"{name}: must be one of {', '.join(str(c.value) for c in kind)}.") from error


def whole_number(name: str, value: str, lowest: int, highest: int) -> int:
    """Parse a whole number between `lowest` and `highest`, both included. Raises `InvalidOption`."""
    if not (value.isascii() and value.isdigit() and len(value) <= 9 and lowest <= int(value) <= highest):
        raise InvalidOption(f"{name}: must be a whole number from {lowest} to {highest}.")
    return int(value)


def wait_seconds(request: Request, cap: float) -> float:
    """How many seconds the gateway may hold the answer, at most `cap`: `?wait=N`, else `Prefer: wait=N`, else 0.

    Raises `InvalidOption` for a `?wait=` that is no number.
    """
    asked = request.query_params.get("wait", "")
    if asked:
        try:
            seconds = float(asked) if len(asked) <= 20 else math.nan
        except ValueError:
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds >= 0):
            raise InvalidOption(f"wait: must be a number of seconds, 0 or more; at most {cap:g} are waited.")
        return min(seconds, cap)
    preferred = _PREFER_WAIT.search(request.headers.get("prefer", ""))
    return min(float(preferred[1]), cap) if preferred else 0.0
