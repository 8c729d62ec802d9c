"""The simulation behind docs/scaling.md, compared with queueing theory."""

import math
import random
from collections.abc import Callable
from statistics import fmean

import pytest

from tests.benchmarks.scaling.__main__ import gateway_submits_per_second, service_times
from tests.benchmarks.scaling.queue_simulation import (
    QUIET,
    SPREAD,
    arrivals,
    poisson,
    quantile,
    services,
    smallest,
    waits,
    workers_needed,
)
from tests.processes import ROOT


def mean_wait(rate: float, service: Callable[[random.Random], float], workers: int = 1) -> float:
    """The mean wait of some 60,000 jobs of mean length 1."""
    chance = random.Random(3)
    came = poisson(rate, 0, 60_000 / rate, chance)
    return fmean(waits((came, [service(chance) for _ in came]), 1.0, workers))


def test_one_worker_exponential_service_times() -> None:
    """M/M/1: load / (1 - load)."""
    assert mean_wait(0.5, lambda chance: chance.expovariate(1)) == pytest.approx(1.0, rel=0.06)


def test_one_worker_constant_service_times() -> None:
    """M/D/1: half of M/M/1."""
    assert mean_wait(0.6, lambda _: 1.0) == pytest.approx(0.75, rel=0.05)


def test_several_workers() -> None:
    """M/M/c: Erlang's C formula."""
    load, workers = 4.0, 5
    last = load**workers / math.factorial(workers) * workers / (workers - load)
    must_wait = last / (sum(load**k / math.factorial(k) for k in range(workers)) + last)
    expected = must_wait / (workers - load)
    assert mean_wait(load, lambda chance: chance.expovariate(1), workers) == pytest.approx(expected, rel=0.1)


def test_first_come_first_served() -> None:
    assert waits(([0.0, 1.0, 1.5, 9.0], [2.0, 1.0, 3.0, 1.0]), 1.0, 1) == [0.0, 1.0, 1.5, 0.0]
    # Two workers: the third job goes to the worker that is free first.
    assert waits(([0.0, 0.0, 0.0], [2.0, 1.0, 1.0]), 2.0, 2) == [0.0, 0.0, 2.0]


@pytest.mark.parametrize(("answer", "at_least"), [(1, 1), (37, 1), (37, 37), (38, 37), (5000, 12)])
def test_the_smallest_count_is_found(answer: int, at_least: int) -> None:
    assert smallest(lambda count: count >= answer, at_least) == answer


def test_workers_needed_for_a_known_load() -> None:
    """One job per second, 2.5 s each: two workers fall further and further behind, three never do."""
    came = [float(n) for n in range(1_000)]
    assert workers_needed((came, [1.0] * len(came)), 2.5) == 3


def test_more_workers_never_make_anybody_wait_longer() -> None:
    chance = random.Random(5)
    came = arrivals(10, 600, chance)
    trace = came, services(len(came), chance)
    assert all(more <= few for more, few in zip(waits(trace, 1.6, 31), waits(trace, 1.6, 30), strict=True))


def test_the_page_was_written_from_the_measurements_beside_it() -> None:
    page, times = (ROOT / "docs" / "scaling.md").read_text(), service_times()
    assert f"{times['full']:.2f} s with the full encoder window, {times['trimmed']:.2f} s with the trimmed" in page
    assert f"one process takes {gateway_submits_per_second():.0f} submits/s" in page


def test_a_seed_says_the_same_again() -> None:
    assert arrivals(10, 300, random.Random(1)) == arrivals(10, 300, random.Random(1))
    assert arrivals(10, 300, random.Random(1)) != arrivals(10, 300, random.Random(2))


def test_bursts_leave_the_mean_rate_alone() -> None:
    came = arrivals(1, 100_000, random.Random(4))
    assert len(came) / 100_000 == pytest.approx(1.0, rel=0.1)
    # Most windows of 20 s have fewer arrivals than the mean; windows in bursts have far more.
    counts = [0] * 5_000
    for at in came:
        counts[int(at / 20)] += 1
    assert quantile(sorted(counts), 0.5) < 20 * (QUIET + 1) / 2
    assert quantile(sorted(counts), 0.95) > 20 * 2


def test_service_times_have_the_spread_that_the_page_states() -> None:
    times = services(50_000, random.Random(6))
    assert fmean(times) == pytest.approx(1.0, rel=0.01)
    assert math.sqrt(fmean((time - 1) ** 2 for time in times)) == pytest.approx(SPREAD, rel=0.03)
