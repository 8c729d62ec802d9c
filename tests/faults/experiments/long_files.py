"""Long files on a fleet whose workers are killed again and again: each piece is written once, and no transcript changes."""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.audio_files import long_speech
from tests.faults.experiments.arena import Arena, arena
from tests.report import Finding

DEMO = {"WHISPER_ENGINE": "worker.model.engine:Engine", "WHISPER_MODEL": "demo", "ENABLE_CACHE": "false", "LEASE_SECONDS": "2"}
#: A piece that is hit again and again by chance must not end as a poison job: the kills are the cause.
PATIENT = {"MAX_ATTEMPTS": "50"}


def long_files(folder: Path, files: int = 3, minutes: float = 5.0, every_pieces: int = 6) -> Iterator[Finding]:
    """Transcribe the same files twice: undisturbed, then with one of two workers killed again and again.

    The kills depend on how much has been decoded, not on time, so that a fast machine has as many kills as a slow one.
    """
    wavs = [long_speech(60 * minutes, seed) for seed in range(files)]
    with arena(folder / "long", workers=2, **DEMO, **PATIENT) as fleet, fleet.kept_alive():  # type: ignore[arg-type]
        calm = _transcribed(fleet, wavs)
        decoded_calmly = fleet.totals()["pieces_decoded"]
        with _killed(fleet, every_pieces) as kills:
            killed = _transcribed(fleet, wavs)
        decoded = fleet.totals()["pieces_decoded"] - decoded_calmly
        faults = fleet.faults()
    same = sum(_text(a) == _text(b) for a, b in zip(calm, killed, strict=True))
    again = sum(len(job["attempts"]) for job in killed)
    yield Finding(
        experiment=f"{files} files of {minutes:g} min on two workers, one killed after every {every_pieces} pieces; "
        "MAX_ATTEMPTS 50; compared with the same fleet undisturbed",
        must="all complete, transcripts identical, every piece written once",
        seen=f"{same} of {files} identical; {len(kills)} kills, {decoded} pieces written ({decoded_calmly} undisturbed), "
        f"{again} attempts lost" + (f"; {faults}" if faults else ""),
        holds=same == files and len(kills) > 2 and decoded == decoded_calmly and not faults,
    )


def _transcribed(fleet: Arena, wavs: list[bytes]) -> list[dict[str, Any]]:
    ids = [
        fleet.client.post("/v1/jobs?language=en&temperature=0", content=wav).raise_for_status().json()["job_id"] for wav in wavs
    ]
    return fleet.all_end(ids, within=300)


def _text(job: dict[str, Any]) -> str:
    assert job["status"] == "completed", job["error"]
    return " ".join(f"{s['start']}-{s['end']} {s['text']}" for s in job["result"]["segments"])


@contextmanager
def _killed(fleet: Arena, every_pieces: int) -> Iterator[list[int]]:
    """Meanwhile a worker is killed after every `every_pieces` pieces. Yields the list of the killed ones, which grows."""
    kills, over, chance = list[int](), threading.Event(), random.Random(1)

    def kill() -> None:
        decoded = fleet.totals()["pieces_decoded"]
        while not over.wait(0.05):
            if fleet.totals()["pieces_decoded"] < decoded + every_pieces:
                continue
            decoded += every_pieces
            victim = chance.randrange(len(fleet.stack.workers))
            if fleet.stack.workers[victim].process.poll() is None:
                fleet.stack.workers[victim].signal(signal.SIGKILL)
                kills.append(victim)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        yield kills
    finally:
        over.set()
        killer.join(10)
