"""Short clips through the whole fleet, against what people would use instead, with the same weights, clips and beam.

First each baseline alone, in a table. Then, for each window: baselines, a burst through the fleet, baselines again, and so on; a
ratio is one burst's against the mean of the two measurements around it. The speed of a shared host changes within minutes.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from shared.cpu import threads_for, usable_cores, workers_for
from tests.benchmarks.base_shape import sentence
from tests.benchmarks.baselines.process import Baseline, Clips, Warm, running, samples_of
from tests.benchmarks.baselines.roster import everything, others, sequence, whisper_cpp
from tests.benchmarks.bursts import clips_per_second, encoders, fleet, made_anew, seconds_of_one, span
from tests.benchmarks.submit_latency import clip
from tests.host import by_processor
from tests.report import Finding

#: Threads of each baseline; the fleet's workers and threads that all baselines are measured against; rounds for each window.
THREADS, SMALL, ROUNDS = 2, (2, 1), 3
#: Clips that a baseline decodes each time: enough for a batch of the one that makes batches.
CLIPS, BATCH = 4, 8
#: Threads of the process that was measured last may still spin for 0.2 s, waiting for work.
SETTLE_SECONDS = 0.5
#: Clips per burst, by encoder window.
BURSTS = {"full": 40, "trimmed": 48, "adaptive": 128}


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A baseline, and how many times its clips per second the fleet must do."""

    baseline: Baseline
    target: float


def throughput(folder: Path) -> Iterator[Finding]:
    """The table, then each window against its rivals; if `make up` would choose another size, that against the sequence."""
    samples = [samples_of(clip(n)) for n in range(BATCH)]
    ms = {b.name: _alone(b, samples) for b in everything() if not b.missing}
    yield _table(ms)
    fastest = min((b for b in others() if not b.missing), key=lambda b: ms[b.name])
    cores = usable_cores()
    chosen = (workers_for(cores), threads_for(cores, workers_for(cores)))
    for window in BURSTS:
        yield from _against(folder, SMALL, window, _rivals(window, fastest), samples, alone=chosen == SMALL)
        if chosen != SMALL:
            yield from _against(folder, chosen, window, _rivals(window, fastest)[:1], samples, alone=True)


def _rivals(window: str, fastest: Baseline) -> list[Rival]:
    """The sequence is the first. A short window is compared with a short context where a baseline has one."""
    if window == "trimmed":
        return [Rival(baseline=sequence(), target=by_processor(bf16=5.5, other=2.4))]
    full = window == "full"
    first = by_processor(bf16=3.5, other=1.9) if full else by_processor(bf16=14, other=9)
    ggml = by_processor(bf16=7, other=4) if full else by_processor(bf16=8, other=5)
    best = by_processor(bf16=1.5, other=1.3) if full else by_processor(bf16=5, other=4)
    return [
        Rival(baseline=sequence(), target=first),
        *(Rival(baseline=whisper_cpp(precision, full=full), target=ggml) for precision in ("f16", "q8_0")),
        Rival(baseline=fastest, target=best),
    ]


def _alone(baseline: Baseline, samples: Clips) -> float:
    """Milliseconds per clip."""
    with running(baseline, THREADS, samples[:1]) as warm:
        return _ms_per_clip(baseline, warm, samples)


def _ms_per_clip(baseline: Baseline, warm: Warm, samples: Clips) -> float:
    time.sleep(SETTLE_SECONDS)
    timed = warm.transcribe(samples if baseline.batches else samples[:CLIPS])
    wrong = [text for text in timed.transcripts if text != sentence()]
    assert not wrong, f"{baseline.name} says {wrong[0]!r}"
    return timed.ms_per_clip


def _table(ms: dict[str, float]) -> Finding:
    missing = [
        f"{b.name}: not measured, {b.package} is not installed (`make bench` installs it)" for b in everything() if b.missing
    ]
    return Finding(
        experiment=f"baselines alone, shape of Whisper base, 3 s clips one after another, {THREADS} threads: ms per clip",
        must="all measured, all say the model's sentence",
        seen="; ".join([*(f"{name}: {value:.0f}" for name, value in ms.items()), *missing]),
        holds=not missing,
    )


def _against(
    folder: Path, size: tuple[int, int], window: str, rivals: Sequence[Rival], samples: Clips, *, alone: bool
) -> Iterator[Finding]:
    """One row for each rival, and one for a clip alone. The fleet is idle while a baseline decodes, and the other way round."""
    present = [rival for rival in rivals if not rival.baseline.missing]
    around: list[dict[str, float]] = []
    rates, single = list[float](), list[float]()
    with ExitStack() as stack:
        warm = {r.baseline: stack.enter_context(running(r.baseline, THREADS, samples[:1])) for r in present}
        workers = stack.enter_context(fleet(folder, workers=size[0], threads=size[1], window=window))
        for number in range(ROUNDS + 1):
            around.append({b.name: _ms_per_clip(b, process, samples) for b, process in warm.items()})
            if number < ROUNDS:
                time.sleep(SETTLE_SECONDS)
                rates.append(clips_per_second(workers, BURSTS[window]))
                single.append(seconds_of_one(workers) if alone else 0.0)
        told = f"encoder {encoders(workers)}" + ("" if window == "full" else f"; {made_anew(workers)}")
    what = f"shape of Whisper base, beam 5, {window} encoder window: {size[0]} workers of {size[1]} thread{'s' * (size[1] > 1)}"
    for rival in present:
        yield _burst_row(
            f"bursts of {BURSTS[window]} 3 s clips, {what}", rival, rates, [ms[rival.baseline.name] for ms in around], told
        )
    if alone and window != "trimmed":
        yield _alone_row(
            f"one 3 s clip on an idle fleet, {what}", window, single, [ms[present[0].baseline.name] for ms in around]
        )


def _burst_row(what: str, rival: Rival, rates: Sequence[float], ms: Sequence[float], told: str) -> Finding:
    ratios = [rate * neighbours / 1000 for rate, neighbours in zip(rates, _neighbours(ms), strict=True)]
    return Finding(
        experiment=f"{what}, through HTTP and Redis; baseline, before and after each: {rival.baseline.name}, {THREADS} threads",
        must=f">= {rival.target} x clips per second",
        seen=f"{span(ratios)} x: {span(rates)} clips/s against {span(ms, 0)} ms per clip ({ROUNDS} bursts; {told})",
        holds=statistics.median(ratios) >= rival.target,
    )


def _alone_row(what: str, window: str, seconds: Sequence[float], ms: Sequence[float]) -> Finding:
    target = by_processor(bf16=0.6, other=1.0) if window == "full" else by_processor(bf16=0.35, other=0.5)
    ratios = [1000 * alone / neighbours for alone, neighbours in zip(seconds, _neighbours(ms), strict=True)]
    return Finding(
        experiment=f"{what}: from submit to transcript; baseline: faster-whisper, sequence, {THREADS} threads",
        must=f"<= {target} x",
        seen=f"{span(ratios)} x: {span([1000 * s for s in seconds], 0)} against {span(ms, 0)} ms ({ROUNDS} rounds)",
        holds=statistics.median(ratios) <= target,
    )


def _neighbours(ms: Sequence[float]) -> list[float]:
    """For each burst, the mean of the measurements before and after it."""
    return [statistics.fmean(pair) for pair in pairwise(ms)]
