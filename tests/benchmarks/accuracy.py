"""Word error rate of the demo model through the whole stack: `python -m tests.benchmarks.accuracy SETS`.

SETS is a folder made by `models/demo/training/testsets.py`. Starts a Redis, a gateway and two workers, submits every clip
over HTTP, compares, prints the table and writes it to docs/accuracy.md.
"""

import argparse
import json
import platform
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jiwer

from tests.processes import ROOT, Stack, redis_server

TARGETS = {"own": 0.05, "everyday": 0.10, "held_out": 0.30}
MEANING = {
    "own": "unseen sentences of the corpus' sources, trained voices",
    "everyday": "everyday sentences by another writer, trained voices",
    "held_out": "the same writer's sentences, voices held out of training",
    "joined": "25 s clips with pauses, trained voices",
}
BOUNDARY_TOLERANCE_SECONDS = 0.3
#: British spellings of the test sets, folded as is usual for a word error rate (OpenAI's English normalizer does so).
SPELLINGS = {
    "colour": "color",
    "neighbour": "neighbor",
    "neighbours": "neighbors",
    "favourite": "favorite",
    "tyre": "tire",
    "grey": "gray",
    "centre": "center",
    "theatre": "theater",
    "programme": "program",
    "harbour": "harbor",
}


@dataclass(frozen=True, kw_only=True)
class Heard:
    """The text and segments of one clip: expected, and from the fleet."""

    kind: str
    expected: str
    got: str
    true_segments: list[tuple[float, float]]
    segments: list[tuple[float, float]]


def transcribe(client: httpx.Client, folder: Path, name: str, entry: dict[str, Any]) -> Heard:
    """Submit one clip and wait for its result."""
    job = client.post("/v1/jobs?language=en", content=(folder / name).read_bytes()).raise_for_status().json()
    while job["status"] in ("queued", "running"):
        job = client.get(f"/v1/jobs/{job['job_id']}?wait=60").raise_for_status().json()
    assert job["status"] == "completed", job
    result = client.get(f"/v1/jobs/{job['job_id']}/result").raise_for_status().json()
    return Heard(
        kind=entry["kind"],
        expected=normal(entry["text"]),
        got=normal(result["transcript"]),
        true_segments=[(s, e) for s, e, _ in entry.get("segments", [])],
        segments=[(s["start"], s["end"]) for s in result["segments"]],
    )


def normal(text: str) -> str:
    """Lower case, no punctuation except apostrophes, American spelling."""
    letters = "".join(c if c.isalpha() or c == "'" else " " for c in text.lower())
    return " ".join(SPELLINGS.get(w, w) for w in letters.split())


def boundaries_within(heard: list[Heard]) -> float:
    """Share of the true segment boundaries that have a boundary of the transcript within the tolerance."""
    hits = total = 0
    for h in heard:
        for side in (0, 1):
            for true in (s[side] for s in h.true_segments):
                total += 1
                hits += any(abs(s[side] - true) <= BOUNDARY_TOLERANCE_SECONDS for s in h.segments)
    return hits / total if total else 0.0


def measure(folder: Path) -> list[Heard]:
    """Send every clip of the folder through a fresh stack."""
    entries = json.loads((folder / "sets.json").read_text())
    with tempfile.TemporaryDirectory() as temporary, redis_server(Path(temporary)) as server:
        stack = Stack(server=server, folder=Path(temporary))
        try:
            stack.start_gateway()
            for _ in range(2):
                stack.start_worker()
            stack.wait_ready(2)
            with stack.client() as client, ThreadPoolExecutor(8) as pool:
                return list(pool.map(lambda item: transcribe(client, folder, *item), entries.items()))
        finally:
            stack.stop()


def report(heard: list[Heard]) -> str:
    """The table, in Markdown."""
    by_kind: dict[str, list[Heard]] = defaultdict(list)
    for h in heard:
        by_kind[h.kind].append(h)
    lines = ["| set | clips | words | word error rate | target |", "|---|---|---|---|---|"]
    for kind, group in by_kind.items():
        rate = jiwer.wer([h.expected for h in group], [h.got for h in group])
        target = f"<= {TARGETS[kind]:.0%}" if kind in TARGETS else ""
        words = sum(len(h.expected.split()) for h in group)
        lines.append(f"| {kind}: {MEANING[kind]} | {len(group)} | {words} | {rate:.1%} | {target} |")
    share = boundaries_within(by_kind["joined"])
    count = 2 * sum(len(h.true_segments) for h in by_kind["joined"])
    near = f"Segment boundaries of the joined clips within {BOUNDARY_TOLERANCE_SECONDS} s of the truth"
    lines += ["", f"{near}: {share:.1%} of {count} (target: 90 %)."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--errors", action="store_true", help="print every clip that was misheard")
    args = parser.parse_args()
    heard = measure(args.sets)
    if args.errors:
        for h in heard:
            if h.expected != h.got:
                print(f"{h.kind:9} {h.expected}\n{'':9} {h.got}")
    table = report(heard)
    print(table)
    how = "Measured through HTTP, queue, worker and back by `make accuracy`; beam 5, language en, VAD on."
    head = f"# Accuracy of the demo model\n\n{how}\n"
    machine = f"\n{platform.machine()}, Python {platform.python_version()}.\n"
    (ROOT / "docs" / "accuracy.md").write_text(f"{head}{machine}\n{table}\n")


if __name__ == "__main__":
    main()
