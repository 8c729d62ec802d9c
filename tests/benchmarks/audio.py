"""`make audio`: measures how files are read behind their walls, and the cost of hostile files; writes docs/audio.md."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av

from tests.benchmarks.hostile import hostile
from tests.benchmarks.readers import readers
from tests.processes import ROOT
from tests.report import Finding, machine, run_parts, table

PARTS: dict[str, Callable[[Path], Iterator[Finding]]] = {"hostile": hostile, "readers": readers}
PAGE = ROOT / "docs" / "audio.md"


def main(chosen: list[str]) -> int:
    """Return 0 if everything holds. Only a complete run is written to the page."""
    findings = run_parts(PARTS, chosen)
    if not chosen:
        PAGE.write_text(_page(findings))
    return 0 if all(finding.holds for finding in findings) else 1


def _page(findings: list[Finding]) -> str:
    ffmpeg = ".".join(map(str, av.library_versions["libavformat"]))
    return f"""# Reading audio

Written by `make audio` ({machine()}; PyAV {av.__version__}, libavformat {ffmpeg}).

What readers ([decision 16](decisions/016-walls.md)) need for sound files of four hours, of every container, against their limits;
what long decodes cost; and what becomes of a normal client while fifty others send files that are made to break their reader.
`make fuzz` sends 20,000 damaged files through the same walls.

{table(findings)}
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
