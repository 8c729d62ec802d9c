"""How many workers, of how many threads each, a machine with a given number of cores should have."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from shared.cpu import threads_for, usable_cores, workers_for
from tests.benchmarks.bursts import clips_per_second, fleet, seconds_of_one
from tests.report import Finding

#: Clips per round, by encoder window; number of rounds.
CLIPS, ROUNDS = {"full": 16, "trimmed": 16, "adaptive": 64}, 3


def sizing(folder: Path) -> Iterator[Finding]:
    """One worker with all cores, one per core, the choice of `make up`, and twice as many threads as cores."""
    cores = usable_cores()
    workers = workers_for(cores)
    chosen = (workers, threads_for(cores, workers))
    sizes = sorted({(1, cores), chosen, (cores, 1), (cores, 2)})
    for window, count in CLIPS.items():
        rates, alone = _measure(folder, sizes, window, count)
        best = max(rates.values())
        yield Finding(
            experiment=f"workers x threads on {cores} cores: 3 s clips per second of many, and seconds of one alone; shape of "
            f"Whisper base, {window} encoder window ({ROUNDS} rounds in turn)",
            must=f"what `make up` chooses ({chosen[0]} x {chosen[1]}) is within 10 % of the best",
            seen="; ".join(f"{w} x {t}: {rates[w, t]:.2f} clips/s, {alone[w, t]:.2f} s" for w, t in sizes),
            holds=rates[chosen] >= 0.9 * best,
        )


Medians = dict[tuple[int, int], float]


def _measure(folder: Path, sizes: Sequence[tuple[int, int]], window: str, count: int) -> tuple[Medians, Medians]:
    """Clips per second of many clips, and seconds of one. All fleets run at once; only the one that is measured has work."""
    rates: dict[tuple[int, int], list[float]] = {size: [] for size in sizes}
    alone: dict[tuple[int, int], list[float]] = {size: [] for size in sizes}
    with ExitStack() as stacks:
        fleets = {(w, t): stacks.enter_context(fleet(folder, workers=w, threads=t, window=window)) for w, t in sizes}
        for _ in range(ROUNDS):
            for size, running in fleets.items():
                rates[size].append(clips_per_second(running, count))
                alone[size].append(seconds_of_one(running))
    return {k: median(v) for k, v in rates.items()}, {k: median(v) for k, v in alone.items()}
