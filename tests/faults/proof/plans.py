"""What clients will do: a pure function of the seed."""

import random
from dataclasses import dataclass
from enum import Enum

#: Jobs are submitted over this share of the run, so that the last ones meet faults, too.
SUBMITTED_BY = 0.92
EQUAL_JOBS = 4
#: What a zoo clip can say, with room for a long file's further pieces.
LARGEST_NUMBER = 29_000
LONG_PIECES = 3
DECODE_MS = (20, 400)


class Story(Enum):
    """What becomes of a job, as its client wants it."""

    #: Submitted, waited for, fetched.
    SHORT = "short"
    #: Looked at again and again instead.
    POLLED = "polled"
    #: Three pieces, each of which says another number.
    LONG = "long"
    BATCH = "batch"
    #: Cancelled while it waits or runs, or just too late.
    CANCELED = "canceled"
    #: Cannot be transcribed; retried once, and fails again.
    FAILING = "failing"
    #: May only wait for a second; retried until it completes.
    HASTY = "hasty"
    #: The same audio as three others, at nearly the same time.
    EQUAL = "equal"
    #: Erased when it has ended.
    ERASED = "erased"
    #: Sent twice at once, to both gateways, with one key.
    TWICE = "twice"


#: How many of a hundred jobs have each.
SHARES = {
    Story.SHORT: 30,
    Story.POLLED: 10,
    Story.LONG: 3,
    Story.BATCH: 12,
    Story.CANCELED: 14,
    Story.FAILING: 4,
    Story.HASTY: 6,
    Story.EQUAL: 12,
    Story.ERASED: 5,
    Story.TWICE: 4,
}


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """One job of one client."""

    at: float
    story: Story
    number: int
    milliseconds: int
    key: str
    #: How long its client waits before it cancels.
    patience: float

    @property
    def said(self) -> str | None:
        """What a right transcript says."""
        if self.story is Story.FAILING:
            return None
        return " ".join(str(self.number + piece) for piece in range(LONG_PIECES if self.story is Story.LONG else 1))


def job_plans(seed: int, seconds: float, jobs: int) -> list[JobPlan]:
    """In order of time."""
    chance = random.Random(f"jobs {seed}")
    plans: list[JobPlan] = []
    while len(plans) < jobs:
        (story,) = chance.choices(list(SHARES), list(SHARES.values()))
        times = min(EQUAL_JOBS if story is Story.EQUAL else 1, jobs - len(plans))
        plans += _plans(chance, story, len(plans), times, chance.uniform(0, seconds * SUBMITTED_BY))
    return sorted(plans, key=lambda plan: plan.at)


def _plans(chance: random.Random, story: Story, first: int, times: int, at: float) -> list[JobPlan]:
    number, milliseconds = chance.randrange(LARGEST_NUMBER), chance.randint(*DECODE_MS)
    return [
        JobPlan(
            at=at + chance.uniform(0, 0.3) * (times > 1),
            story=story,
            number=number,
            milliseconds=milliseconds,
            key=f"{story.value}-{first + n}",
            patience=chance.choice((0.0, 0.05, 0.2, 0.6)),
        )
        for n in range(times)
    ]
