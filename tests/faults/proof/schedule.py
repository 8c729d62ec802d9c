"""The faults of a run and their times: a pure function of the seed."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

#: The rates below are for a run of this length; a longer run has proportionally more faults.
USUAL_SECONDS = 270.0
#: Only runs from this length on stop Redis for LONG_STOP_SECONDS: in a shorter one that would leave no time for other faults.
LONG_ENOUGH_SECONDS = 180.0
LONG_STOP_SECONDS = 60.0
#: No fault comes after this share of the run, so that the fleet can recover within the run.
LAST_BY = 0.93
#: When the processes of the last release are replaced, as shares of the run.
UPGRADES_AT = (0.6, 0.75)
WORKERS, GATEWAYS = 3, 2
#: The number of the worker that reaches Redis through a proxy.
BEHIND_PROXY = 2


class Kind(Enum):
    """The faults."""

    KILL_SUPERVISOR = "SIGKILL of a supervisor"
    KILL_MODEL = "SIGKILL of a model process"
    KILL_GATEWAY = "SIGKILL of a gateway"
    KILL_REDIS = "SIGKILL of Redis"
    ZOMBIE = "supervisor stopped past its lease"
    DRAIN = "SIGTERM of a worker"
    BLACKHOLE = "packets between a worker and Redis vanish"
    CUT = "connections between a worker and Redis cut"
    STOP_REDIS = "Redis stopped for 5 s"
    STOP_REDIS_LONG = "Redis stopped for 60 s"
    CLOCK = "Redis' clock set by an hour"
    DISK_FULL = "disk full under the AOF"
    EMPTY_QUEUE = "queue emptied by an operator"
    DELETE_JOB = "job deleted by an operator"
    RESTART_ALL = "everything killed at once"
    UPGRADE = "last release replaced"


@dataclass(frozen=True)
class Disturbance:
    """A planned fault: its time, its kind, its target, and how long it lasts (seconds)."""

    at: float
    kind: Kind
    target: str
    seconds: float = 0.0


#: By kind: how many faults a usual run has, and how long one lasts (seconds).
_RATES = {
    Kind.KILL_SUPERVISOR: (16, 0.0),
    Kind.KILL_MODEL: (18, 0.0),
    Kind.KILL_GATEWAY: (9, 0.0),
    Kind.ZOMBIE: (10, 5.0),
    Kind.DRAIN: (8, 0.0),
    Kind.BLACKHOLE: (7, 6.0),
    Kind.CUT: (8, 5.0),
    Kind.EMPTY_QUEUE: (4, 0.0),
    Kind.DELETE_JOB: (14, 0.0),
}
#: Number and duration of the faults of Redis or of all processes. They come one after another, with pauses between them.
_RATES_OF_REDIS = {
    Kind.KILL_REDIS: (6, 2.0),
    Kind.STOP_REDIS: (4, 5.0),
    Kind.CLOCK: (8, 1.0),
    Kind.DISK_FULL: (4, 4.0),
    Kind.RESTART_ALL: (2, 4.0),
}
_TARGETS: dict[Kind, Sequence[str]] = {
    Kind.KILL_GATEWAY: [f"gateway{n}" for n in range(GATEWAYS)],
    Kind.BLACKHOLE: [f"worker{BEHIND_PROXY}"],
    Kind.CUT: [f"worker{BEHIND_PROXY}"],
    Kind.EMPTY_QUEUE: ["the fullest"],
    Kind.DELETE_JOB: ["waiting", "running", "finished", "piece"],
    Kind.CLOCK: ["+3600", "-3600", "+0"],
    Kind.UPGRADE: ["gateway0", "worker0"],
}


def schedule(seed: int, seconds: float) -> list[Disturbance]:
    """The faults of a run, sorted by time."""
    chance = random.Random(f"faults {seed}")
    factor, end = seconds / USUAL_SECONDS, seconds * LAST_BY
    plans = [
        Disturbance(chance.uniform(0.02 * seconds, end), kind, chance.choice(_targets(kind)), lasts)
        for kind, (rate, lasts) in _RATES.items()
        for _ in range(_times(chance, rate * factor))
    ]
    plans += _of_redis(chance, seconds, end, factor)
    plans += [
        Disturbance(share * seconds, Kind.UPGRADE, target)
        for share, target in zip(UPGRADES_AT, _TARGETS[Kind.UPGRADE], strict=True)
    ]
    return sorted(plans, key=lambda plan: plan.at)


def _of_redis(chance: random.Random, seconds: float, end: float, factor: float) -> list[Disturbance]:
    """The faults of Redis, one after another. The time that is left is divided at random into the pauses between them."""
    row = [(kind, lasts) for kind, (rate, lasts) in _RATES_OF_REDIS.items() for _ in range(_times(chance, rate * factor))]
    if seconds >= LONG_ENOUGH_SECONDS:
        row.append((Kind.STOP_REDIS_LONG, LONG_STOP_SECONDS))
    chance.shuffle(row)
    free = max(0.0, end - sum(lasts for _, lasts in row))
    cuts = sorted(chance.uniform(0, free) for _ in row)
    plans, taken, clocks = [], 0.0, _clocks(chance)
    for cut, (kind, lasts) in zip(cuts, row, strict=True):
        target = next(clocks) if kind is Kind.CLOCK else "redis"
        plans.append(Disturbance(cut + taken, kind, target, lasts))
        taken += lasts
    return plans


def _clocks(chance: random.Random) -> Iterator[str]:
    """Offsets for the clock, each other than the one before: an equal one would be no fault."""
    last = "+0"
    while True:
        last = chance.choice([offset for offset in _TARGETS[Kind.CLOCK] if offset != last])
        yield last


def _times(chance: random.Random, expected: float) -> int:
    whole = math.floor(expected)
    return whole + (chance.random() < expected - whole)


def _targets(kind: Kind) -> Sequence[str]:
    return _TARGETS.get(kind) or [f"worker{n}" for n in range(WORKERS)]
