"""Rules: what workers do, those that live and those that are believed dead."""

from enum import Enum

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.properties.callers_play import PICK, SELDOM, CallersPlay
from tests.properties.claims import Claim
from tests.properties.records import LONG_SECONDS, Record
from tests.properties.stage import WORKERS, Hold
from tests.script_driver import KEYS


class Deed(Enum):
    """What a worker may do with a job."""

    FINISH = "finish"
    FINISH_TWICE = "finish, and do not hear the answer"
    FAIL = "fail for good"
    TRY_AGAIN = "fail, as it may once in a while"
    HAND_BACK = "hand back"
    PUBLISH = "publish segments, twice without an answer, each time with more of them"
    #: What is no long file is finished instead.
    CUT = "cut"
    CUT_ELSEWHERE = "cut at other places"


WORKER, ROOM = st.sampled_from(["w1", "w1", "w2", "w3"]), st.integers(1, 4)
DEED = st.sampled_from([*Deed, Deed.CUT, Deed.CUT, Deed.CUT_ELSEWHERE, Deed.FINISH])
DEEDS = st.lists(DEED, min_size=1, max_size=4)


class WorkersPlay(CallersPlay):
    """Claims and writes. `is_lost`: the worker does not learn the answer."""

    @rule(worker=WORKER, room=ROOM, is_lost=SELDOM)
    def claim(self, worker: str, room: int, is_lost: bool) -> None:
        """A claim that was not answered is sent again with the same execution, now or later."""
        execution = self.unanswered.pop(worker, None) or self.new_name("x")
        lengths = [self.fleet.records[h.id].seconds for h in self.current(worker)]
        has_long, is_busy = any(seconds > LONG_SECONDS for seconds in lengths), bool(lengths)
        claim = Claim(worker=worker, model=WORKERS[worker], execution=execution, room=room, is_busy=is_busy, has_long=has_long)
        seen = self.actors.claim_jobs(claim)
        revived = set(self.fleet.dead())
        must = [(job.id, int(job.token or 0)) for job in self.fleet.claim(claim)]
        self.both(sorted(seen), sorted(must), "claim")
        self.judge.lives.update(job_id for job_id, _ in seen if job_id in revived)
        if is_lost:
            self.unanswered[worker] = execution
            return
        for job_id, token in seen:
            self.judge.claimed(job_id, token)
            self.hold(job_id, token, worker)

    @rule(worker=WORKER, room=ROOM, deeds=DEEDS)
    def shift(self, worker: str, room: int, deeds: list[Deed]) -> None:
        """A worker claims, and does something with each job that it holds."""
        self.claim(worker=worker, room=room, is_lost=False)
        for hold, deed in zip(self.current(worker)[::-1], deeds, strict=False):
            self.do(hold, deed)

    @rule(shifts=st.lists(st.tuples(WORKER, ROOM, DEEDS), min_size=2, max_size=6))
    def busy_day(self, shifts: list[tuple[str, int, list[Deed]]]) -> None:
        """Many shifts, with nothing between them."""
        for worker, room, deeds in shifts:
            self.shift(worker=worker, room=room, deeds=deeds)

    @rule(worker=WORKER, deaths=st.lists(st.booleans(), min_size=2, max_size=4))
    def a_job_that_kills(self, worker: str, deaths: list[bool]) -> None:
        """Again and again a worker takes a job, and dies or fails; in the end the job is given up."""
        for dies in deaths:
            self.claim(worker=worker, room=1, is_lost=False)
            if dies:
                self.die(worker=worker, sweeps=1)
            elif holds := self.current(worker):
                self.fail_job(holds[-1], retryable=True, code="transcription_failed")

    @precondition(lambda self: self.outdated())
    @rule(pick=PICK, deeds=st.lists(DEED, min_size=1, max_size=4))
    def zombie(self, pick: int, deeds: list[Deed]) -> None:
        """A worker that was believed dead, or that did not hear an answer, goes on with a job that it holds no longer."""
        outdated = self.outdated()
        hold = outdated[pick % len(outdated)]
        self._publish(hold, 0, is_lost=False)
        for deed in deeds:
            self.do(hold, deed)

    def do(self, hold: Hold, deed: Deed) -> None:
        """One of the things that can become of a job."""
        if deed in (Deed.FINISH, Deed.FINISH_TWICE):
            self.finish_job(hold, twice=deed is Deed.FINISH_TWICE)
        elif deed is Deed.PUBLISH:
            for more in (1, 0, 2):
                self._publish(hold, more, is_lost=more < 2)
        elif deed is Deed.HAND_BACK:
            self._hand_back(hold)
        else:
            self.fail_job(hold, retryable=deed is Deed.TRY_AGAIN, code="transcription_failed")

    def hold(self, job_id: str, token: int, worker: str) -> None:
        self.holds.append(Hold(id=job_id, token=token, worker=worker, execution=self.new_name("s")))

    @precondition(lambda self: self.current())
    @rule(pick=PICK, twice=SELDOM, is_lost=SELDOM)
    def finish(self, pick: int, twice: bool, is_lost: bool) -> None:
        if hold := self.picked(pick):
            self.finish_job(hold, twice=twice, is_lost=is_lost)

    def finish_job(self, hold: Hold, *, twice: bool = False, is_lost: bool = False) -> None:
        job = self.fleet.records.get(hold.id)
        if job is not None and self.is_current(hold) and job.pieces_left == 0 and not self._has_all_pieces(job):
            self.fail_job(hold, retryable=True, code="pieces_lost")
            return
        transcript = f"{self._digest(hold)} by {hold.token}"
        verdict, token = self.write(
            hold,
            "finish",
            lambda: self.actors.finish_as(hold.id, hold.token, hold.worker, hold.execution, transcript),
            lambda: answer_of(self.fleet.finish(hold.id, hold.token, hold.worker, hold.execution, transcript)),
            twice=twice,
        )
        self._take_over(hold, verdict, token, is_lost=is_lost)

    def _digest(self, hold: Hold) -> str:
        job = self.fleet.records.get(hold.id)
        return job.digest if job else hold.id

    def _has_all_pieces(self, file: Record) -> bool:
        return self.redis.hlen(KEYS.pieces(file.id)) == file.pieces

    def _take_over(self, hold: Hold, verdict: str, token: int | None, *, is_lost: bool) -> None:
        """The file is this worker's to put together, if it learns of it."""
        file_id = hold.id.partition("_p")[0]
        if token is None or is_lost or any((h.id, h.token) == (file_id, token) for h in self.holds):
            return
        assert verdict == "stitch"
        self.judge.claimed(file_id, token)
        self.hold(file_id, token, hold.worker)

    @precondition(lambda self: self.current())
    @rule(pick=PICK, twice=SELDOM, retryable=st.booleans(), is_poison=SELDOM)
    def fail(self, pick: int, twice: bool, retryable: bool, is_poison: bool) -> None:
        if hold := self.picked(pick):
            code = "poison_job" if is_poison else "transcription_failed"
            self.fail_job(hold, retryable=retryable, code=code, twice=twice)

    def fail_job(self, hold: Hold, *, retryable: bool, code: str, twice: bool = False) -> None:
        self.write(
            hold,
            "fail",
            lambda: self.actors.fail(hold.id, str(hold.token), retryable, code),
            lambda: self.fleet.fail(hold.id, hold.token, code, retryable=retryable),
            twice=twice,
        )

    @precondition(lambda self: self.current())
    @rule(pick=PICK, twice=SELDOM)
    def hand_back(self, pick: int, twice: bool) -> None:
        if hold := self.picked(pick):
            self._hand_back(hold, twice=twice)

    def _hand_back(self, hold: Hold, *, twice: bool = False) -> None:
        self.write(
            hold,
            "hand back",
            lambda: self.actors.hand_back(hold.id, str(hold.token)),
            lambda: self.fleet.hand_back(hold.id, hold.token),
            twice=twice,
        )

    @precondition(lambda self: self.fleet.leases)
    @rule(worker=WORKER)
    def drain(self, worker: str) -> None:
        """It gives back all that it holds, and leaves."""
        for hold in self.current(worker):
            self._hand_back(hold)
        self.unanswered.pop(worker, None)

    @precondition(lambda self: self.fleet.leases)
    @rule(worker=WORKER, sweeps=st.sampled_from([0, 1, 1, 2]))
    def die(self, worker: str, sweeps: int) -> None:
        """Its leases lapse, and somebody sweeps; what it knew of is a zombie's from now on."""
        self.unanswered.pop(worker, None)
        for job_id in [i for i in self.fleet.leases if self._holder(i) == worker]:
            self.fleet.leases[job_id] = True
            self.actors.lapse(job_id)
        for _ in range(sweeps):
            self.recover()

    def _holder(self, job_id: str) -> str | None:
        return self.fleet.records[job_id].worker if job_id in self.fleet.records else None

    def recover(self) -> None:
        self.both([sorted(p) for p in self.actors.recover()], [sorted(p) for p in self.fleet.recover()], "recover")
        assert not self.actors.broken

    @rule(worker=WORKER)
    def beat(self, worker: str) -> None:
        """A worker beats with all that it believes to hold."""
        holds = [h for h in self.holds if h.worker == worker]
        held = [{"id": h.id, "token": str(h.token), "execution": h.execution} for h in holds]
        self.both(self.actors.beat_as(worker, held), [self.fleet.renew(h.id, h.token) for h in holds], "beat")

    @precondition(lambda self: self.current())
    @rule(pick=PICK, news=st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=3))
    def publish(self, pick: int, news: list[tuple[int, bool]]) -> None:
        """Calls in a row. `news`: for each call, how many new segments it has, and whether its answer is lost."""
        if hold := self.picked(pick):
            for more, is_lost in news:
                self._publish(hold, more, is_lost=is_lost)

    def _publish(self, hold: Hold, more: int, *, is_lost: bool) -> None:
        """Segments whose call was not answered are sent again, before those that have come since."""
        hold.segments += [f"{hold.token}:{len(hold.segments) + n}" for n in range(more)]
        unsent = hold.segments[hold.published :]
        must = self.fleet.publish(hold.id, hold.token, hold.published, unsent)
        self.both(self.actors.publish_as(hold.id, hold.token, hold.published, unsent), must, "publish")
        if not is_lost:
            hold.published = len(hold.segments)


def answer_of(answer: tuple[str, Record | None]) -> tuple[str, int | None]:
    verdict, file = answer
    return verdict, file.token if file else None
