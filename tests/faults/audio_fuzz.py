"""`python -m tests.faults.audio_fuzz [COUNT]`: sends broken audio through probe and decode, and a tenth of it over HTTP.

Every file can be made again from its number: `--only NUMBER`. Files worth a look are listed in `build/audio_fuzz/`.
"""

import argparse
import logging
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from tests.faults.fuzz_http import over_http
from tests.faults.fuzz_mutations import Mutant, mutant
from tests.faults.fuzz_reference import MOST_SECONDS, Heard, Reference
from tests.faults.fuzz_seeds import seeds
from tests.faults.fuzz_walls import Outcome, Walls
from tests.processes import ROOT
from tests.report import Finding, screen

#: How much of the sound that FFmpeg decodes a transcript may lack without a warning.
MOST_LOST_SECONDS = 0.5
SAY_EVERY = 500
KEPT = ROOT / "build" / "audio_fuzz"
#: Lists: files that do not meet the requirements; files that were refused although FFmpeg hears something in them; files that
#: broke or exhausted a reader; and files with much more sound than FFmpeg finds, most of it silence.
LISTS = ("faults.txt", "refused.txt", "harmful.txt", "longer.txt")
MUCH_LONGER_SECONDS = 10.0


@dataclass
class Seen:
    """The outcomes of all files so far."""

    kinds: Counter[str] = field(default_factory=Counter)
    unforeseen: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    #: Files without a transcript in which FFmpeg hears more than half a second.
    refused_with_sound: Counter[str] = field(default_factory=Counter)
    slowest_probe: tuple[float, int] = (0.0, 0)
    slowest_decode: tuple[float, int] = (0.0, 0)
    without_reference: int = 0
    most_memory_mb: float = 0.0


def through_walls(numbers: Sequence[int], files: Mapping[str, bytes], keep: Path | None = None) -> Seen:
    """Send all of these through probe and decode, and compare each with FFmpeg."""
    seen, walls, reference, started = Seen(), Walls(), Reference(), time.monotonic()
    try:
        for done, number in enumerate(numbers, start=1):
            broken = mutant(number, files)
            outcome = walls.take(broken.content)
            heard = reference.heard(broken.content, outcome.demuxer, outcome.track)
            _note(seen, broken, outcome, heard, keep)
            if keep and done % SAY_EVERY == 0:
                print(f"{done} of {len(numbers)}, {done / (time.monotonic() - started):.0f} a second: ", end="")
                print(f"{len(seen.unforeseen)} unforeseen, {len(seen.lost)} lost", flush=True)
        seen.without_reference = reference.deaths
    finally:
        walls.close()
        # Of all processes that have ended by now: readers, their keepers, and the FFmpeg that made the seeds.
        seen.most_memory_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        reference.close()
    return seen


def _note(seen: Seen, broken: Mutant, outcome: Outcome, heard: Heard | None, keep: Path | None) -> None:
    seen.kinds[outcome.kind] += 1
    seen.slowest_probe = max(seen.slowest_probe, (outcome.probe_took, broken.number))
    seen.slowest_decode = max(seen.slowest_decode, (outcome.decode_took, broken.number))
    most = max((heard.forced or 0.0, heard.free or 0.0)) if heard else 0.0
    if outcome.unforeseen:
        seen.unforeseen.append(_kept(keep, broken, outcome.unforeseen))
    if outcome.seconds is None and most > MOST_LOST_SECONDS:
        seen.refused_with_sound[outcome.kind] += 1
        _write(keep, "refused.txt", _told(broken, f"{outcome.kind} ({outcome.message}); FFmpeg: {heard}"))
    if outcome.seconds is not None and not outcome.is_told_incomplete and outcome.seconds < most - MOST_LOST_SECONDS:
        seen.lost.append(_kept(keep, broken, f"{outcome.kind}, {outcome.demuxer}: {outcome.seconds:.2f} s; FFmpeg: {heard}"))
    if outcome.seconds is not None and most + MUCH_LONGER_SECONDS < min(outcome.seconds, MOST_SECONDS):
        _write(keep, "longer.txt", _told(broken, f"{outcome.kind}, {outcome.demuxer}: {outcome.seconds:.2f} s; FFmpeg: {heard}"))
    if outcome.kind.startswith("harmful"):
        _write(keep, "harmful.txt", _told(broken, outcome.kind))


def _kept(keep: Path | None, broken: Mutant, what: str) -> str:
    told = _told(broken, what)
    _write(keep, "faults.txt", told)
    if keep:
        (keep / f"{broken.number}.bin").write_bytes(broken.content)
    return told


def _told(broken: Mutant, what: str) -> str:
    return f"{broken.number} ({broken.seed}; {'; '.join(broken.steps)}): {what}"


def _write(keep: Path | None, name: str, line: str) -> None:
    if keep:
        with (keep / name).open("a") as lines:
            lines.write(f"{line}\n")


def findings(count: int, seeds_count: int, seen: Seen) -> list[Finding]:
    """The requirements of the walls."""
    done = f"{count} mutations of {seeds_count} files, through probe and decode"
    lost = f"{len(seen.lost)}; no reference for {seen.without_reference}, which broke FFmpeg"
    return [
        Finding(
            experiment=done,
            must="0 errors that nobody foresaw, 0 deaths of a process that keeps readers",
            seen=f"{len(seen.unforeseen)}; slowest probe {seen.slowest_probe[0]:.1f} s, decode {seen.slowest_decode[0]:.1f} s",
            holds=not seen.unforeseen,
        ),
        Finding(
            experiment=f"sound that lacks more than {MOST_LOST_SECONDS:g} s of what FFmpeg decodes, without a warning",
            must="0 files",
            seen=lost,
            holds=not seen.lost,
        ),
    ]


def _outcomes(seen: Seen) -> Table:
    drawn = Table("outcome", "files", "of which FFmpeg hears over 0.5 s", title="Through the walls")
    for kind, count in sorted(seen.kinds.items(), key=lambda one: -one[1]):
        drawn.add_row(kind, str(count), str(seen.refused_with_sound[kind] or ""))
    return drawn


def main(words: Sequence[str]) -> int:
    """Return 0 if everything holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.audio_fuzz", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=20_000, help="files through probe and decode")
    parser.add_argument("--http", type=int, help="files over HTTP (a tenth of them)")
    parser.add_argument("--start", type=int, default=0, help="the first number")
    parser.add_argument("--only", type=int, nargs="+", help="these numbers, and what FFmpeg hears of them")
    asked = parser.parse_args(words)
    # Dying readers are counted here, not logged.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    files = seeds()
    if asked.only:
        return _only(asked.only, files)
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in LISTS:
        (KEPT / name).unlink(missing_ok=True)
    console, seen = Console(), through_walls(range(asked.start, asked.start + asked.count), files, KEPT)
    console.print(_outcomes(seen))
    print(f"slowest probe and decode, and of which numbers: {seen.slowest_probe}, {seen.slowest_decode}")
    print(f"the largest of all processes took {seen.most_memory_mb:.0f} MB; lists are in {KEPT}")
    found = findings(asked.count, len(files), seen)
    over = asked.count // 10 if asked.http is None else asked.http
    if over:
        with tempfile.TemporaryDirectory() as folder:
            found += over_http(Path(folder), range(asked.start, asked.start + over), files)
    console.print(screen(found))
    return 0 if all(finding.holds for finding in found) else 1


def _only(numbers: Sequence[int], files: Mapping[str, bytes]) -> int:
    walls, reference = Walls(), Reference()
    KEPT.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        broken = mutant(number, files)
        (KEPT / f"{number}.bin").write_bytes(broken.content)
        outcome = walls.take(broken.content)
        print(number, broken.seed, *broken.steps, outcome, sep="\n    ")
        print("   ", reference.heard(broken.content, outcome.demuxer, outcome.track))
    walls.close()
    reference.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
