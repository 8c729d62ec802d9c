"""`make bench`: run the benchmarks, print one table, write docs/performance.md."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import ctranslate2
import faster_whisper

from tests.benchmarks.long_files import long_files
from tests.benchmarks.overhead import growth, overhead
from tests.benchmarks.sizing import sizing
from tests.benchmarks.submit_latency import submit_latency
from tests.benchmarks.submits import submits
from tests.benchmarks.throughput import agreement, throughput
from tests.benchmarks.waiting import waiting
from tests.processes import ROOT
from tests.report import Finding, machine, run_parts, table

BENCHMARKS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "submit": submit_latency,
    "submits": submits,
    "overhead": overhead,
    "waiting": waiting,
    "growth": growth,
    "agreement": agreement,
    "throughput": throughput,
    "long": long_files,
    "sizing": sizing,
}


def main(chosen: list[str]) -> int:
    """Zero if everything holds. The page is written only when everything was run."""
    findings = run_parts(BENCHMARKS, chosen)
    if not chosen:
        (ROOT / "docs" / "performance.md").write_text(_page(findings))
    return 0 if all(f.holds for f in findings) else 1


def _page(findings: list[Finding]) -> str:
    versions = f"faster-whisper {faster_whisper.__version__}, CTranslate2 {ctranslate2.__version__}, int8"
    return f"""# Performance

Written by `make bench` ({machine()}; {versions}).

Ratios and distributions of one run; clients, gateways, Redis and workers share the machine. A host with other guests withholds
processor time from a virtual machine; how much is told, since latencies grow with it. `make bench ONLY=throughput` runs one part.

{table(findings)}

The model of the throughput rows has the shape of Whisper `base` and random weights (`tests/benchmarks/base_shape.py`): it costs
what the real one costs, and says a fixed sentence. What an adaptive window does to real transcripts depends on model and audio.
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
