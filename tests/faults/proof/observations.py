"""The part of a history that is about one job: the states that clients saw, and the requests that changed it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.faults.proof.history import Operation

UNFINISHED = ("queued", "running", "unfinished")
TERMINAL = ("completed", "failed", "canceled", "expired")
#: A job that ended in one of these states can be retried: it gets a new life.
RETRYABLE = ("failed", "expired")
#: The state of a job that a refusal of `result` tells, by error code.
_REFUSALS = {"job_not_finished": "unfinished", "job_canceled": "canceled", "job_expired": "expired", "job_gone": "gone"}


def state_in(operation: Operation) -> str | None:
    """The state of a job that an answer tells; `gone` if it was erased, `unknown` after a 404. None if it tells no state."""
    if operation.action in ("rq_empty", "rq_delete", "fault") or operation.status is None:
        return None
    if operation.seen is not None:
        return operation.seen.state
    if operation.status == 404:
        return "unknown"
    if operation.action == "delete" and operation.status == 204:
        return "gone"
    if operation.action == "result" and operation.status in (422, 502):
        return "failed"
    return _REFUSALS.get(operation.code) if operation.status in (409, 410) else None


@dataclass(frozen=True)
class Observation:
    """A job was in this state at some time between the beginning and the end of the operation."""

    operation: Operation
    state: str

    def before(self, other: "Observation") -> bool:
        """Whether this observation is surely the earlier one: its answer came before the other request was sent."""
        return self.operation.ended < other.operation.began

    @property
    def is_end(self) -> bool:
        return self.state in TERMINAL


@dataclass
class JobHistory:
    """All operations about one job, in the order in which they began."""

    id: str
    observations: list[Observation] = field(default_factory=list)
    submits: list[Operation] = field(default_factory=list)
    deletes: list[Operation] = field(default_factory=list)
    retries: list[Operation] = field(default_factory=list)

    @property
    def acknowledged(self) -> bool:
        """Whether a gateway has given the job's id to a client."""
        return any(submit.succeeded for submit in self.submits)

    @property
    def said(self) -> str | None:
        """The right transcript of its audio; None if the audio cannot be transcribed."""
        return self.submits[0].said

    @property
    def last_end(self) -> str | None:
        """The last end that a client saw.

        None if the job was erased before a client saw an end, or if it may have been retried after that end and then erased.
        """
        for seen in reversed(self.observations):
            if seen.is_end:
                is_last = seen is self.observations[-1] or not self._retried_after(seen)
                return seen.state if is_last else None
        return None

    def _retried_after(self, seen: Observation) -> bool:
        return any(retry.may_have_happened and retry.happened_by > seen.operation.began for retry in self.retries)

    @property
    def may_be_erased(self) -> bool:
        return any(delete.may_have_happened and delete.status != 200 for delete in self.deletes)

    def same_life(self, one: Observation, other: Observation) -> bool:
        """Whether surely no retry came between two observations, of which `one` is surely the earlier."""
        return not any(
            retry.may_have_happened and retry.began < other.operation.ended and retry.happened_by > one.operation.began
            for retry in self.retries
        )

    def successions(self) -> Iterator[tuple[Observation, Observation]]:
        """All pairs of observations of the same life in which the first is surely the earlier."""
        for number, one in enumerate(self.observations):
            for other in self.observations[number + 1 :]:
                if one.before(other) and self.same_life(one, other):
                    yield one, other


def job_histories(operations: Sequence[Operation]) -> dict[str, JobHistory]:
    """The histories by job id. An operation that names no job, and got no answer that does, is left out."""
    jobs: dict[str, JobHistory] = defaultdict(lambda: JobHistory(""))
    for operation in operations:
        job_id = operation.subject
        if not job_id or operation.action in ("rq_empty", "rq_delete", "fault"):
            continue
        job = jobs[job_id]
        job.id = job_id
        if (state := state_in(operation)) is not None:
            job.observations.append(Observation(operation, state))
        kept = {"submit": job.submits, "delete": job.deletes, "retry": job.retries}.get(operation.action)
        if kept is not None:
            kept.append(operation)
    return dict(jobs)
