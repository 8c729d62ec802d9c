"""A simulated queue: first come, first served, with arrivals whose rate jumps between quiet and burst."""

import math
import random
from collections.abc import Callable, Sequence
from heapq import heapreplace

#: Bursts take up this share of the time, last this long on average, and come at this multiple of the mean rate. QUIET is the
#: multiple that is left for the time between them.
BURST_SHARE, BURST_SECONDS, BURST = 0.2, 20, 3
QUIET = (1 - BURST_SHARE * BURST) / (1 - BURST_SHARE)
#: Standard deviation over mean of clip lengths that are uniform between 2 and 5 s.
SPREAD = (3 / math.sqrt(12)) / 3.5
WAIT_SECONDS, LONG_BURST_SECONDS = 2, 60

#: When each job arrives, and how long it takes in units of the mean.
Trace = tuple[Sequence[float], Sequence[float]]


def poisson(per_second: float, begin: float, end: float, chance: random.Random) -> list[float]:
    """Arrivals at a constant rate."""
    times, now = list[float](), begin + chance.expovariate(per_second)
    while now < end:
        times.append(now)
        now += chance.expovariate(per_second)
    return times


def arrivals(per_second: float, seconds: float, chance: random.Random) -> list[float]:
    """A Poisson process whose rate jumps between quiet and burst, after exponential times."""
    times, now, bursting = list[float](), 0.0, chance.random() < BURST_SHARE
    while now < seconds:
        mean = BURST_SECONDS if bursting else BURST_SECONDS * (1 - BURST_SHARE) / BURST_SHARE
        until = min(seconds, now + chance.expovariate(1 / mean))
        times += poisson(per_second * (BURST if bursting else QUIET), now, until, chance)
        now, bursting = until, not bursting
    return times


def services(count: int, chance: random.Random) -> list[float]:
    """Lognormal service times of mean 1."""
    sigma = math.sqrt(math.log(1 + SPREAD**2))
    return [chance.lognormvariate(-(sigma**2) / 2, sigma) for _ in range(count)]


def waits(trace: Trace, mean_service: float, workers: int) -> list[float]:
    """Queue wait of each job: the next job in order goes to the worker that is free first."""
    free, waited = [0.0] * workers, list[float]()
    for came, service in zip(*trace, strict=True):
        start = max(came, free[0])
        heapreplace(free, start + service * mean_service)
        waited.append(start - came)
    return waited


def quantile(ordered: Sequence[float], q: float) -> float:
    """Quantile by nearest rank."""
    return ordered[math.ceil(q * len(ordered)) - 1]


def smallest(enough: Callable[[int], bool], at_least: int = 1) -> int:
    """The smallest count that is enough, given that any larger count is also enough."""
    short, high = at_least - 1, at_least
    while not enough(high):
        short, high = high, math.ceil(1.3 * high)
    while high - short > 1:
        middle = (short + high) // 2
        short, high = (short, middle) if enough(middle) else (middle, high)
    return high


def workers_needed(trace: Trace, mean_service: float) -> int:
    """The number of workers with which 95 % of the jobs wait no longer than the limit. Fewer than the load never catch up."""

    def enough(workers: int) -> bool:
        return sum(wait > WAIT_SECONDS for wait in waits(trace, mean_service, workers)) <= 0.05 * len(trace[0])

    return smallest(enough, max(1, int(mean_service * len(trace[0]) / trace[0][-1])))


def long_burst(per_second: float, mean_service: float, workers: int, seed: int) -> tuple[int, float]:
    """How many jobs wait when a long burst ends, and after how many seconds a new job first starts at once."""
    chance, begin, end = random.Random(seed), 60, 60 + LONG_BURST_SECONDS
    times = poisson(QUIET * per_second, 0, begin, chance) + poisson(BURST * per_second, begin, end, chance)
    times += poisson(QUIET * per_second, end, end + 3 * LONG_BURST_SECONDS, chance)
    waited = waits((times, services(len(times), chance)), mean_service, workers)
    backlog = sum(came <= end < came + wait for came, wait in zip(times, waited, strict=True))
    return backlog, next(came - end for came, wait in zip(times, waited, strict=True) if came > end and wait <= 0)
