"""`make bench`: run the benchmarks, print one table, write docs/performance.md."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.benchmarks.abuse import abuse
from tests.benchmarks.durability import durability
from tests.benchmarks.long_files import long_files
from tests.benchmarks.overhead import growth, overhead
from tests.benchmarks.redis_load.findings import redis_load
from tests.benchmarks.replication import replication
from tests.benchmarks.sizing import sizing
from tests.benchmarks.submit_latency import submit_latency
from tests.benchmarks.submits import submits
from tests.benchmarks.throughput import throughput
from tests.benchmarks.waiting import waiting
from tests.benchmarks.words import words
from tests.processes import ROOT
from tests.report import Finding, machine, renewed, run_parts, table

BENCHMARKS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "submit": submit_latency,
    "submits": submits,
    "durability": durability,
    "replication": replication,
    "overhead": overhead,
    "waiting": waiting,
    "growth": growth,
    "words": words,
    "throughput": throughput,
    "long": long_files,
    "sizing": sizing,
    "redis_load": redis_load,
    "abuse": abuse,
}


PAGE = ROOT / "docs" / "performance.md"


def main(chosen: list[str]) -> int:
    """Return 0 if everything holds. A partial run renews its rows if the page was written on the same machine."""
    findings = run_parts(BENCHMARKS, chosen)
    if not chosen:
        PAGE.write_text(_page(findings))
    elif _taken_on() in PAGE.read_text():
        PAGE.write_text(renewed(PAGE.read_text(), findings))
    else:
        print("docs/performance.md is of another machine and stays as it is: run all of it")
    return 0 if all(f.holds for f in findings) else 1


def _taken_on() -> str:
    packages = ("faster-whisper", "ctranslate2", "openvino", "openvino-genai", "pywhispercpp")
    return f"({machine()}; {', '.join(f'{package} {_version(package)}' for package in packages)})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _page(findings: list[Finding]) -> str:
    return f"""# Performance

Written by `make bench` {_taken_on()}.

Ratios and distributions, each row from one run; clients, gateways, Redis and workers share the machine. The host of a virtual
machine may withhold processor time for its other guests. A column says how much that was, since latencies grow with it.
`make bench ONLY=throughput` runs one part and renews its rows.

{table(findings)}

The targets of the throughput rows and of long files depend on the processor: they are higher where it has `avx512_bf16` or
`amx_bf16`. Baselines have two threads and the same weights, clips and beam as the fleet
([decision 26](decisions/026-baselines.md)).

The model of the throughput rows has the shape of Whisper `base` and random weights (`tests/benchmarks/base_shape.py`): it costs
what the real one costs, and says a fixed sentence. What an adaptive window does to real transcripts depends on model and audio.
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
