"""The rules on jobs and answers. Each rule gets a case and yields its faults."""

import math
from collections.abc import Iterator, Mapping

from tests.faults.proof.case import Case, Fault
from tests.faults.proof.history import Operation
from tests.faults.proof.observations import UNFINISHED, JobHistory, Observation


def every_job_ends(case: Case) -> Iterator[Fault]:
    """A job whose id a client got exists until it is erased, and has ended by the end of the run."""
    for job in case.acknowledged:
        last = job.observations[-1]
        states = {seen.state for seen in job.observations}
        if "unknown" in states or ("gone" in states and not job.may_be_erased):
            yield Fault(
                "lost", "every job ends", job.id, f"is {'unknown' if 'unknown' in states else 'gone'}, and nobody erased it"
            )
        elif not last.is_end and last.state != "gone":
            yield Fault("lost", "every job ends", job.id, f"is still {last.state}")


def ends_once(case: Case) -> Iterator[Fault]:
    """Within a life of a job its end never changes, nor do its times, its worker, its attempt and its transcript."""
    for job in case.jobs.values():
        for one, other in job.successions():
            if one.is_end and other.is_end and one.state != other.state:
                yield Fault("doubled", "ends once", job.id, f"was {one.state}, then {other.state}")
            elif one.is_end and (change := _changed(one, other)):
                yield Fault("doubled", "ends once", job.id, f"{one.state}: {change}")


def only_forward(case: Case) -> Iterator[Fault]:
    """Only a retry takes a job out of an end; an erased job stays erased; the attempt never falls. Recovery may queue a job."""
    for job in case.jobs.values():
        for one, other in job.successions():
            if one.is_end and other.state in UNFINISHED:
                yield Fault("wrong", "only forward", job.id, f"was {one.state}, then {other.state}")
            if one.state == "gone" and other.state not in ("gone", "unknown"):
                yield Fault("wrong", "only forward", job.id, f"was erased, then {other.state}")
            if one.state == other.state == "running" and (_attempt(one) > _attempt(other)):
                yield Fault("wrong", "only forward", job.id, f"ran at attempt {_attempt(one)}, then at {_attempt(other)}")


def canceled_stays_canceled(case: Case) -> Iterator[Fault]:
    """A job whose cancel was answered with 200 never has a transcript, neither before nor after."""
    for job in case.jobs.values():
        is_canceled = any(delete.status == 200 for delete in job.deletes)
        if is_canceled and any(seen.state == "completed" for seen in job.observations):
            yield Fault("wrong", "canceled stays canceled", job.id, "completed, and its cancel was answered with 200")


def right_transcript(case: Case) -> Iterator[Fault]:
    """The transcript is that of the audio; a long file's holds all pieces, in order."""
    for job in case.acknowledged:
        for seen in job.observations:
            record = seen.operation.seen
            if record is None or seen.state != "completed":
                continue
            if record.transcript != job.said:
                yield Fault("wrong", "right transcript", job.id, f"said {job.said!r}, got {record.transcript!r}")
                break


def ends_have_causes(case: Case) -> Iterator[Fault]:
    """Only a cancel or an operator cancels, only audio that cannot be transcribed fails, only a deadline lets a job expire."""
    for job in case.acknowledged:
        for seen in job.observations:
            if seen.state == "canceled" and not _may_be_canceled(case, job, seen):
                yield Fault("lost", "ends have causes", job.id, "canceled by nobody")
                break
            if seen.state == "failed" and job.said is not None:
                yield Fault("lost", "ends have causes", job.id, "failed, and its audio is good")
                break
            if seen.state == "expired" and not any(submit.has_deadline for submit in job.submits):
                yield Fault("lost", "ends have causes", job.id, "expired without a deadline")
                break


def progress_grows(case: Case) -> Iterator[Fault]:
    """Progress never falls until the job starts again, and is never more than the audio. (A new start begins at zero.)"""
    for job in case.jobs.values():
        for seen in job.observations:
            record = seen.operation.seen
            if record and record.done is not None and record.seconds is not None and record.done > record.seconds:
                yield Fault("wrong", "progress grows", job.id, f"{record.done} s of {record.seconds} s are done")
        for one, other in job.successions():
            before, after = one.operation.seen, other.operation.seen
            if one.state != "running" or other.state != "running" or before is None or after is None:
                continue
            if before.started_at == after.started_at and (before.done or 0) > (after.done or 0):
                yield Fault("wrong", "progress grows", job.id, f"{before.done} s done, then {after.done} s")


def same_key_same_job(case: Case) -> Iterator[Fault]:
    """All submits with the same Idempotency-Key are one job."""
    first: dict[str, str] = {}
    for operation in case.operations:
        if operation.action != "submit" or operation.seen is None or not operation.key:
            continue
        known = first.setdefault(operation.key, operation.seen.job)
        if known != operation.seen.job:
            yield Fault("doubled", "same key, same job", operation.seen.job, f"was {known} before, under {operation.key}")


def failed_jobs_can_be_retried(case: Case) -> Iterator[Fault]:
    """A retry is not refused if the job has surely failed or expired, and no other retry or delete can have changed it since."""
    for job in case.jobs.values():
        for retry in (one for one in job.retries if one.status == 409):
            before = [seen for seen in job.observations if seen.operation.ended < retry.began]
            others = [one for one in (*job.retries, *job.deletes) if one is not retry and one.may_have_happened]
            is_dead = bool(before) and before[-1].state in ("failed", "expired")
            if is_dead and all(one.happened_by < before[-1].operation.began for one in others):
                yield Fault("lost", "failed jobs can be retried", job.id, f"was {before[-1].state}, and a retry is refused")


#: The allowed statuses of each call. Of the 5xx, 503 is a refusal for now, and 502 tells that the job failed; all others are
#: faults of the fleet.
_ALLOWED: Mapping[str, frozenset[int]] = {
    "submit": frozenset({200, 202, 429, 503}),
    "poll": frozenset({200, 404, 410, 503}),
    "result": frozenset({200, 404, 409, 410, 422, 502, 503}),
    "delete": frozenset({200, 204, 404, 410, 503}),
    "retry": frozenset({202, 404, 409, 410, 503}),
}


def answers_are_allowed(case: Case) -> Iterator[Fault]:
    """Good requests are served, or refused for now: 429 and 503 tell when to come again."""
    for operation in case.operations:
        if operation.status is None or operation.action not in _ALLOWED:
            continue
        told = f"{operation.action} at {operation.began:.1f} s by {operation.asked}: {operation.status} {operation.code}"
        if operation.status not in _ALLOWED[operation.action]:
            yield Fault("wrong", "answers are allowed", operation.subject, told)
        elif operation.action in ("submit", "poll", "retry") and operation.succeeded and operation.seen is None:
            yield Fault("wrong", "answers are allowed", operation.subject, f"{told} without a record")
        elif operation.status in (429, 503) and not operation.has_retry_after:
            yield Fault("wrong", "answers are allowed", operation.subject, f"{told} without Retry-After")


def _changed(one: Observation, other: Observation) -> str:
    """The first field that both records of an end tell, and tell differently, as a sentence; empty if there is none."""
    before, after = one.operation.seen, other.operation.seen
    if before is None or after is None:
        return ""
    for name in ("finished_at", "started_at", "attempt", "worker", "transcript"):
        was, now = getattr(before, name), getattr(after, name)
        if was is not None and now is not None and was != now:
            return f"{name} was {was!r}, then {now!r}"
    return ""


def _attempt(seen: Observation) -> int:
    return (seen.operation.seen.attempt or 0) if seen.operation.seen else 0


def _may_be_canceled(case: Case, job: JobHistory, seen: Observation) -> bool:
    if any(delete.may_have_happened and delete.began < seen.operation.ended for delete in job.deletes):
        return True
    return any(_hits(operation, job) and operation.began < seen.operation.ended for operation in case.operations)


def _hits(operation: Operation, job: JobHistory) -> bool:
    """Whether an operator has deleted the job or a piece of it, or emptied a queue in which it may have waited."""
    if operation.action == "rq_empty":
        emptied_by = math.inf if operation.lost else operation.ended
        return any(submit.began < emptied_by for submit in job.submits)
    return operation.action == "rq_delete" and operation.target.split("_p", maxsplit=1)[0] == job.id
