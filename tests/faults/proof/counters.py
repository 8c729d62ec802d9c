"""The rule on counters: the fleet's counters agree with the history, as far as the history can tell."""

from collections.abc import Iterator

from tests.faults.proof.case import Case, Fault
from tests.faults.proof.observations import RETRYABLE

RULE = "counters are true"
#: Fields of `/stats` that must be zero after all work is done.
NOTHING_LEFT = ("queued_jobs", "queued_bytes", "queued_audio_seconds", "in_flight")


def counters_are_true(case: Case) -> Iterator[Fault]:
    """No job waits or runs any more, each life of a job has one end, and the counted ends are those that clients saw."""
    yield from _nothing_left(case)
    yield from _lives_and_ends(case)
    yield from _seen_ends(case)


def _nothing_left(case: Case) -> Iterator[Fault]:
    for name in NOTHING_LEFT:
        if case.stats.get(name, 0) != 0:
            yield Fault("wrong", RULE, "", f"{name} is {case.stats[name]}, and all is done")
    for lane, length in case.stats.get("queues", {}).items():
        if length:
            yield Fault("wrong", RULE, "", f"{length} jobs in lane {lane}, and all is done")
    if case.totals.get("broken", 0):
        yield Fault("wrong", RULE, "", f"{case.totals['broken']} broken records")


def _lives_and_ends(case: Case) -> Iterator[Fault]:
    """Sums that must be exact, whatever the clients have seen."""
    total = case.totals.get
    lives = total("submitted", 0) + total("revived", 0)
    ends = sum(total(state, 0) for state in ("completed", "failed", "canceled", "expired"))
    if ends != lives:
        yield Fault("doubled" if ends > lives else "lost", RULE, "", f"{lives} lives have {ends} ends")
    sources = sum(total(name, 0) for name in ("cache_hits", "shared_flights", "cache_misses"))
    if sources != total("submitted", 0):
        yield Fault("wrong", RULE, "", f"{total('submitted', 0)} submitted, and {sources} of cache, flight and queue")


def _seen_ends(case: Case) -> Iterator[Fault]:
    """Compare each counter with what clients saw. It may be higher by the events that no client could see."""
    total = case.totals.get
    unheard = _submits_without_a_job(case)
    yield from _within("submitted", total("submitted", 0), len(case.acknowledged), unheard)
    retries = [retry for job in case.jobs.values() for retry in job.retries if retry.may_have_happened]
    sure = sum(retry.succeeded for retry in retries)
    yield from _within("revived", total("revived", 0), sure, len(retries) - sure)
    ends = [job.last_end for job in case.acknowledged]
    unseen = ends.count(None) + unheard
    for state in ("completed", "canceled"):
        yield from _within(state, total(state, 0), ends.count(state), unseen)
    dead = sum(total(state, 0) for state in RETRYABLE) - total("revived", 0)
    yield from _within("failed and expired for good", dead, sum(ends.count(state) for state in RETRYABLE), unseen)


def _submits_without_a_job(case: Case) -> int:
    """How many submits may have made a job whose id no client ever got."""
    answered = {op.key for op in case.operations if op.action == "submit" and op.seen is not None and op.key}
    unheard = [op for op in case.operations if op.action == "submit" and op.seen is None and op.may_have_happened]
    keys = {op.key for op in unheard if op.key and op.key not in answered}
    return len(keys) + sum(not op.key for op in unheard)


def _within(what: str, counted: int, seen: int, unseen: int) -> Iterator[Fault]:
    if not seen <= counted <= seen + unseen:
        room = f" to {seen + unseen}" if unseen else ""
        yield Fault("doubled" if counted > seen else "lost", RULE, "", f"{counted} {what} counted, {seen}{room} seen")
