"""Rules: what callers do, and what gateways do by themselves."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from shared.jobs.job import JobState
from tests.properties.records import CLIPS, MODELS, Record, Upload
from tests.properties.stage import DEAD, OVER, UNFINISHED, Stage

PICK = st.integers(0, 1000)
SELDOM = st.sampled_from([False, False, False, True])
UPLOAD = st.builds(
    Upload,
    clip=st.sampled_from([*CLIPS, *CLIPS[-1:], *CLIPS[-1:]]),
    model=st.sampled_from([MODELS[0], *MODELS]),
    is_batch=SELDOM,
    use_cache=st.booleans(),
    has_end=st.booleans(),
    options=st.sampled_from([1, 1, 2, 3]),
)


class CallersPlay(Stage):
    """Submits, cancels, retries and the gateways' sweeps. `twice`: the first answer was lost."""

    @initialize(uploads=st.lists(UPLOAD, min_size=1, max_size=6))
    def open(self, uploads: list[Upload]) -> None:
        """Workers have been heard of, and there is something to do."""
        self.actors.greet(MODELS)
        for upload in uploads:
            self.submit_upload(upload, twice=False)

    @rule(upload=UPLOAD, twice=SELDOM)
    def submit(self, upload: Upload, twice: bool) -> None:
        self.submit_upload(upload, twice=twice)

    @rule(uploads=st.lists(UPLOAD, min_size=2, max_size=4))
    def submit_many(self, uploads: list[Upload]) -> None:
        for upload in uploads:
            self.submit_upload(upload, twice=False)

    def submit_upload(self, upload: Upload, *, twice: bool) -> None:
        job_id = self.new_name("job")
        self.clips[job_id], self.uploads[job_id] = upload.clip, upload
        for _ in range(1 + twice):
            must = self.fleet.submit(job_id, upload)
            seen = self.actors.submit_upload(job_id, upload)
            self.both(seen, must, "submit")
            if seen == "cached":
                self.judge.ends[job_id] += 1

    @precondition(lambda self: self.job(0, *UNFINISHED))
    @rule(pick=PICK, twice=SELDOM)
    def cancel(self, pick: int, twice: bool) -> None:
        """The second call erases what the first has cancelled."""
        if job := self.job(pick, *UNFINISHED):
            for _ in range(1 + twice):
                self._cancel_or_erase(job.id)

    @precondition(lambda self: self.fleet.checkpoints)
    @rule(pick=PICK)
    def cancel_in_the_middle(self, pick: int) -> None:
        """A file some pieces of which are done, and that somebody else wants, too: the heir has them."""
        job = self.fleet.records[sorted(self.fleet.checkpoints)[pick % len(self.fleet.checkpoints)]]
        if not job.is_over:
            upload = self.uploads[job.id]
            self.submit_upload(replace(upload, use_cache=False), twice=False)
            self._cancel_or_erase(job.id)

    @precondition(lambda self: self.job(0, *OVER))
    @rule(pick=PICK, twice=SELDOM)
    def erase(self, pick: int, twice: bool) -> None:
        if job := self.job(pick, *OVER):
            for _ in range(1 + twice):
                self._cancel_or_erase(job.id)

    def _cancel_or_erase(self, job_id: str) -> None:
        if self.both(self.actors.cancel(job_id), self.fleet.cancel(job_id), "cancel") == "erased":
            self.judge.forget(job_id)

    @precondition(lambda self: self.job(0, *DEAD))
    @rule(pick=PICK, twice=SELDOM, of_any_state=SELDOM)
    def retry(self, pick: int, twice: bool, of_any_state: bool) -> None:
        if job := self.job(pick) if of_any_state else self.job(pick, *DEAD):
            for _ in range(1 + twice):
                self._retry(job.id)

    def _retry(self, job_id: str) -> None:
        if self.both(self.actors.retry(job_id), self.fleet.retry(job_id), "retry") == "queued":
            self.judge.lives[job_id] += 1

    @precondition(lambda self: self.job(0, *DEAD))
    @rule()
    def retry_all(self) -> None:
        """Their owner has mended what was wrong."""
        for job in [r for r in self.fleet.records.values() if r.is_dead]:
            self._retry(job.id)

    @precondition(lambda self: self.fleet.watched)
    @rule(pick=PICK, of_the_end=st.booleans(), sweeps=st.sampled_from([0, 1, 2]))
    def deadline_passes(self, pick: int, of_the_end: bool, sweeps: int) -> None:
        """Somebody waited too long. Without a sweep a claim may notice it first."""
        if watched := self._watched(pick):
            job = watched[pick % len(watched)]
            of_the_end = of_the_end and job.has_end
            self.fleet.watched[job.id] = True
            job.end_passed = job.end_passed or of_the_end
            self.actors.pass_deadline(job.id, of_the_end=of_the_end)
        for _ in range(sweeps):
            self.expire()

    def _watched(self, pick: int) -> list[Record]:
        """For whom there is a deadline: anybody, followers of a decode that has begun, or pieces, as far as there are any."""
        watched = [self.fleet.records[i] for i in sorted(self.fleet.watched) if i in self.fleet.records]
        running = [r for r in watched if r.leader and self.fleet.records[r.leader].state is JobState.RUNNING]
        pieces = [r for r in watched if r.parent]
        return (watched, running, pieces)[pick % 3] or watched

    def expire(self) -> None:
        self.both(sorted(self.actors.expire()), sorted(self.fleet.expire()), "expire")
        assert not self.actors.broken

    @rule(twice=SELDOM)
    def reconcile(self, twice: bool) -> None:
        for _ in range(1 + twice):
            lanes = self.actors.lanes_seen()
            seen, must = [*self.actors.reconcile(), self.actors.revived], self.fleet.reconcile(lanes)
            for job_id in self.actors.revived:
                self.judge.lives[job_id] += 1
            self.both([sorted(part) for part in seen], [sorted(part) for part in must], "reconcile")
            assert not self.actors.broken
        self._lists_hold_what_waits()

    def _lists_hold_what_waits(self) -> None:
        """What a sweep of gateways has just promised."""
        for job in self.fleet.records.values():
            if job.state is JobState.QUEUED and not job.leader:
                assert job.id in self.fleet.queues[job.lane]

    @precondition(lambda self: self.fleet.cache)
    @rule()
    def clear_cache(self) -> None:
        self.both(self.actors.run("clear_cache", tenant="default"), len(self.fleet.cache), "clear_cache")
        self.fleet.cache.clear()
