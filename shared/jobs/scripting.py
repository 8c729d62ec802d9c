"""How Python calls the Lua scripts of `scripts/`. Gateways and workers use the same argument layout."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from importlib import resources

from redis.exceptions import ResponseError

from shared.jobs.rq_transport import KEY_PREFIX

_USES = re.compile(r"^-- uses: (.+)$", re.MULTILINE)
#: How Redis names a line of a script in its errors.
_LINE = re.compile(r"@?user_script:(\d+)")


@dataclass(frozen=True, slots=True)
class Source:
    """A script as Redis gets it: the parts that it uses, each once and before the parts that use it, then the script itself."""

    text: str
    #: For each file that is part of the script: the line of `text` at which the file begins (from 1), and its name.
    files: Sequence[tuple[int, str]]

    def located(self, message: str) -> str:
        """An error message of Redis, with `user_script:123` replaced by the file's name and the line in that file."""
        return _LINE.sub(lambda found: self._place(int(found[1])), message)

    def _place(self, line: int) -> str:
        first, name = max(start for start in self.files if start[0] <= line)
        return f"{name}:{line - first + 1}"


@cache
def source(name: str) -> Source:
    """The script `name`, ready for `SCRIPT LOAD`. A Lua file names the parts that it needs in a line `-- uses: ...`."""
    text, files, line = "", list[tuple[int, str]](), 1
    for path in _in_order(f"{name}.lua"):
        written = _read(path)
        files.append((line, path))
        text += written
        line += written.count("\n")
    return Source(text, files)


def _in_order(path: str, before: Sequence[str] = ()) -> list[str]:
    """The files `before`, then the further files of a script in this order: the parts of its parts, its parts, the script."""
    order = [*before]
    uses = _USES.search(_read(path))
    for part in uses[1].split() if uses else ():
        order = _in_order(f"parts/{part}.lua", order)
    return order if path in order else [*order, path]


def _read(path: str) -> str:
    return resources.files("shared.jobs.scripts").joinpath(path).read_text()


def arguments(prefix: str, named: Mapping[str, object], *tail: str | bytes) -> Sequence[str | bytes]:
    """ARGV: both prefixes, the time as RQ writes it, the named arguments as JSON, then the bytes that JSON cannot hold."""
    return [prefix, KEY_PREFIX, rq_time(), json.dumps(named), *tail]


def rq_time() -> str:
    """The current time, as RQ writes times into its hashes (rq.utils.utcformat)."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def broken_records(script: str, flat: Sequence[bytes | str]) -> dict[str, str]:
    """By id: the records that a sweep has set aside (`guarded` in parts/sweeping.lua), and what is wrong with each."""
    parts = [text(part) for part in flat]
    return {record: source(script).located(problem) for record, problem in zip(parts[::2], parts[1::2], strict=True)}


def located(script: str, error: ResponseError) -> ResponseError:
    """The same error, of the same class. If it comes from within the script, its message names the Lua file and line."""
    return type(error)(source(script).located(str(error)))


def text(value: bytes | str) -> str:
    """A Redis answer as a string, whether the client decodes answers or not."""
    return value.decode() if isinstance(value, bytes) else value


def text_hash(flat: Mapping[bytes, bytes] | Sequence[bytes]) -> dict[str, str]:
    """A Redis hash as a dict of strings. HGETALL answers a mapping to Python, and a flat list to Lua."""
    pairs = flat.items() if isinstance(flat, Mapping) else zip(flat[::2], flat[1::2], strict=True)
    return {text(field): text(value) for field, value in pairs}
