"""How Python calls the Lua scripts of `shared/scripts`: one argument layout for the gateway's and the workers' client."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cache
from importlib import resources

from shared.jobs.rq_transport import KEY_PREFIX

#: What stands before every script, each part using those before it.
PRELUDE = ("_prelude", "_executions", "_pieces", "_access", "_endings")


@cache
def source(name: str) -> str:
    """The text of a script with the prelude before it, ready for `register_script`."""
    folder = resources.files("shared.jobs.scripts")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text() for part in (*PRELUDE, name))


def arguments(prefix: str, named: Mapping[str, object], *tail: str | bytes) -> Sequence[str | bytes]:
    """ARGV: prefixes, the time in RQ's notation, the named arguments as JSON, then whatever is no JSON."""
    return [prefix, KEY_PREFIX, rq_time(), json.dumps(named), *tail]


def rq_time() -> str:
    """Now, as RQ writes times into its hashes (rq.utils.utcformat)."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def broken_records(flat: Sequence[bytes | str]) -> dict[str, str]:
    """The records that a sweep has set aside (`guarded` in the prelude), by id, and what is wrong with each."""
    parts = [text(part) for part in flat]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def text(value: bytes | str) -> str:
    """A Redis answer as a string, whatever the client's decoding."""
    return value.decode() if isinstance(value, bytes) else value


def text_hash(flat: Mapping[bytes, bytes] | Sequence[bytes]) -> dict[str, str]:
    """A Redis hash, as HGETALL answers it from Python (a mapping) or from Lua (a flat list), as strings."""
    pairs = flat.items() if isinstance(flat, Mapping) else zip(flat[::2], flat[1::2], strict=True)
    return {text(field): text(value) for field, value in pairs}
