"""The plans of the clients: a pure function of the seed."""

import random
from dataclasses import dataclass
from enum import Enum

#: Jobs are submitted during this share of the run, so that faults hit the last ones, too.
SUBMITTED_BY = 0.92
EQUAL_JOBS = 4
#: The largest number that a zoo clip can hold, less room for the further pieces of a long file.
LARGEST_NUMBER = 29_000
LONG_PIECES = 3
DECODE_MS = (20, 400)


class Story(Enum):
    """What a client does with its job."""

    #: Submitted, waited for with long-polls, fetched.
    SHORT = "short"
    #: As SHORT, but polled without waiting.
    POLLED = "polled"
    #: A long file of three pieces, each with another number.
    LONG = "long"
    BATCH = "batch"
    #: Cancelled while it waits or runs, or just after it has ended.
    CANCELED = "canceled"
    #: Cannot be transcribed; retried once, and fails again.
    FAILING = "failing"
    #: Must start within a second; retried until it completes.
    HASTY = "hasty"
    #: The same audio as three other jobs, submitted at nearly the same time.
    EQUAL = "equal"
    #: Erased after it has ended.
    ERASED = "erased"
    #: Submitted twice at once with one key.
    TWICE = "twice"


#: How many of a hundred draws choose each story.
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
        """The right transcript; None if the audio cannot be transcribed."""
        if self.story is Story.FAILING:
            return None
        return " ".join(str(self.number + piece) for piece in range(LONG_PIECES if self.story is Story.LONG else 1))


def job_plans(seed: int, seconds: float, jobs: int) -> list[JobPlan]:
    """The plans for `jobs` jobs, sorted by time."""
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
