"""Which faults come when: a pure function of the seed."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

#: The rates below are for a run of this length; a longer one has more of each.
USUAL_SECONDS = 270.0
#: In a shorter run a Redis that stands still for a minute would leave no time for anything else.
LONG_ENOUGH_SECONDS = 180.0
LONG_STOP_SECONDS = 60.0
#: No fault comes in the last part: what it breaks is to be mended within the run.
LAST_BY = 0.93
#: When the last release's processes are replaced.
UPGRADES_AT = (0.6, 0.75)
WORKERS, GATEWAYS = 3, 2
#: The worker between whom and Redis stands a proxy.
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
    """A fault to come."""

    at: float
    kind: Kind
    target: str
    seconds: float = 0.0


#: How many of each there are in a usual run, and how long one lasts.
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
#: Those that concern Redis or all come one after the other, with pauses between them.
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
    """In order of time."""
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
    """One after the other; the time that they leave is divided at random into the pauses between them."""
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
    """Another time each: to set a clock to what it shows is no fault."""
    last = "+0"
    while True:
        last = chance.choice([offset for offset in _TARGETS[Kind.CLOCK] if offset != last])
        yield last


def _times(chance: random.Random, expected: float) -> int:
    whole = math.floor(expected)
    return whole + (chance.random() < expected - whole)


def _targets(kind: Kind) -> Sequence[str]:
    return _TARGETS.get(kind) or [f"worker{n}" for n in range(WORKERS)]
