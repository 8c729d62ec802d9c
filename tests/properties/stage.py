"""Where the play is on: the fleet and its model, and the comparison of both after each step."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import redis
from hypothesis.stateful import RuleBasedStateMachine, invariant

from shared.jobs.job import JobState
from tests.processes import RedisServer
from tests.properties.actors import Actors
from tests.properties.clicks import Fleet
from tests.properties.judge import Judge
from tests.properties.reality import Reality, expected
from tests.properties.records import Clip, Record, Upload

UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
DEAD = (JobState.FAILED, JobState.EXPIRED)
OVER = (JobState.COMPLETED, JobState.CANCELED, *DEAD)
WORKERS = {"w1": "demo", "w2": "demo", "w3": "tiny"}


@dataclass(kw_only=True)
class Hold:
    """What a worker knows of a job that it was given; it may be out of date."""

    id: str
    token: int
    worker: str
    #: Names the lease on a file that its last piece may bring.
    execution: str
    published: int = 0
    segments: list[str] = field(default_factory=list)
    #: What was answered to each kind of write that was accepted.
    answers: dict[str, Any] = field(default_factory=dict)


class Stage(RuleBasedStateMachine):
    """The state that all rules share."""

    server: ClassVar[RedisServer]

    def __init__(self) -> None:
        super().__init__()
        self.redis: redis.Redis = self.server.client()
        self.redis.flushall()
        self.actors, self.fleet, self.judge = Actors(self.redis), Fleet(), Judge()
        self.clips: dict[str, Clip] = {}
        self.uploads: dict[str, Upload] = {}
        self.holds: list[Hold] = []
        #: By worker, the execution of a claim that was not answered.
        self.unanswered: dict[str, str] = {}
        self.named = 0

    def new_name(self, kind: str) -> str:
        self.named += 1
        return f"{kind}{self.named:04}"

    # -- whom a rule is about --------------------------------------------------------------------------------------

    def current(self, worker: str | None = None) -> list[Hold]:
        """What workers hold and know of."""
        return [h for h in self.holds if (worker in (None, h.worker)) and self.is_current(h)]

    def is_current(self, hold: Hold) -> bool:
        job = self.fleet.records.get(hold.id)
        return job is not None and job.state is JobState.RUNNING and job.token == hold.token

    def picked(self, pick: int) -> Hold | None:
        holds = self.current()
        return holds[pick % len(holds)] if holds else None

    def outdated(self) -> list[Hold]:
        """What workers believe to hold; of jobs that another one holds now, if there are any."""
        outdated = [h for h in self.holds if not self.is_current(h)]
        running = [h for h in outdated if (job := self.fleet.records.get(h.id)) and job.state is JobState.RUNNING and job.token]
        return running or outdated

    def job(self, pick: int, *states: JobState) -> Record | None:
        """A job, no piece, that is in one of these states; or in any."""
        jobs = [r for r in self.fleet.records.values() if not r.parent and (not states or r.state in states)]
        return jobs[pick % len(jobs)] if jobs else None

    # -- what the fleet and the model answer -----------------------------------------------------------------------

    def both(self, seen: Any, must: Any, what: str) -> Any:
        assert seen == must, f"{what} was answered with {seen}, and must be {must}"
        return seen

    def write(
        self, hold: Hold, what: str, on_fleet: Callable[[], Any], on_model: Callable[[], Any], *, twice: bool = False
    ) -> Any:
        """A worker's write. Sent again at once, it changes nothing."""
        must, seen = on_model(), on_fleet()
        self.both(seen, must, f"{what} of {hold}")
        if seen not in (0, "stale", ("stale", None)):
            hold.answers.setdefault(what, seen)
        if twice and what in hold.answers:
            before = deepcopy(expected(self.fleet))
            self.write(hold, what, on_fleet, on_model)
            assert expected(self.fleet) == before, f"{what} of {hold}, sent twice, counts twice"
        return seen

    # -- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def fleet_and_model_agree(self) -> None:
        seen, must = Reality(self.redis), expected(self.fleet)
        facts = seen.facts()
        for name, value in must.items():
            assert facts[name] == value, f"{name}: {facts[name]} is there, and must be {value}"
        assert seen.refused_writes == self.fleet.totals["refused_writes"], "refused writes are those of zombies"
        ends = self.actors.told_ends(len(self.fleet.ends))
        assert sorted(ends) == sorted(self.fleet.ends), f"the ends of {ends} were told, and must be {self.fleet.ends}"
        self.fleet.ends.clear()
        self.judge.look(facts, ends, {job_id: upload.digest for job_id, upload in self.uploads.items()})
        self._unfinished_jobs_do_not_expire_and_all_else_does(seen)

    def _unfinished_jobs_do_not_expire_and_all_else_does(self, seen: Reality) -> None:
        for kind in ("job", "audio", "pieces", "said", "partial", "transcript", "gone"):
            for job_id in seen.of(kind):
                record = self.fleet.records.get(job_id)
                stays = kind == "job" and record is not None and not record.is_over
                assert (seen.ttls[f"test:{kind}:{job_id}"] < 0) == stays, f"{kind} of {job_id} has no end, or one too soon"
