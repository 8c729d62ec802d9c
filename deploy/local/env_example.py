"""`make env-example`: writes `.env.example` from the settings classes, so that the file lists every setting in the code."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from deploy.local.processes import ROOT
from shared.settings import FleetSettings, GatewaySettings, WorkerSettings

HEAD = """\
# Every setting with its default, as the code declares it (written by `make env-example`).
# Copy to .env and uncomment what you change. `make up` reads .env; what is set in the environment comes first.
"""
LOCAL = """
# `make up` and `make demo` also read GATEWAYS (how many, on consecutive ports from API_PORT; default 1) and WORKERS (default: one
# for every four cores, at least two where there are two cores; one on a GPU). Compose reads WORKERS, too (default: 2).
# `make up` and Compose read DASHBOARD_PORT (of rq-dashboard, on loopback; default 9181).
# `make up` keeps its Redis' data in DATA_DIR (default: var). `make up` and Compose read REDIS_APPENDFSYNC (always, or everysec: a
# single client's submits are a little faster, and a power cut may take the last second of acknowledged jobs along).
# Compose reads API_BIND (the address on which API_PORT is published; default 127.0.0.1).
"""


def main() -> None:
    """Write the file."""
    ROOT.joinpath(".env.example").write_text(text(), encoding="utf-8")


def text() -> str:
    """The content of the file."""
    common = FleetSettings.model_fields
    parts = [HEAD, *_group("Gateway and workers: must be equal for all", common)]
    parts += _group("Gateway", {k: v for k, v in GatewaySettings.model_fields.items() if k not in common})
    parts += _group("Worker", {k: v for k, v in WorkerSettings.model_fields.items() if k not in common})
    return "".join(parts) + LOCAL


def _group(title: str, fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    yield f"\n# --- {title} ---\n"
    for name, field in fields.items():
        yield f"\n# {field.description}\n#{name.upper()}={_plain(field.default)}\n"


def _plain(value: Any) -> str:
    """A default as an environment variable would hold it; empty for None."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
