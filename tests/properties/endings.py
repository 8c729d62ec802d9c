"""The model's endings: how jobs end and come back, and what becomes of those that share their flight."""

from shared.jobs.job import JobState
from tests.properties.lanes import Lanes
from tests.properties.records import Record


class Endings(Lanes):
    """Every way out of a life, and the way into a new one."""

    def settle(self, job: Record, state: JobState, *, is_told: bool = True) -> None:
        """The job ends. With its audio, a file that may be retried keeps the pieces that are done."""
        self.end_execution(job)
        self.drop_pieces(job)
        self.move(job, state)
        job.token, job.segments = None, []
        self.watched.pop(job.id, None)
        if state is JobState.COMPLETED:
            job.ended_as = None
        if not job.is_dead:
            self.audio.discard(job.id)
            self.checkpoints.pop(job.id, None)
        self.totals[state.value] += 1
        if is_told:
            self.ends.append(job.id)

    def revive(self, job: Record) -> None:
        """A new life under the same id; it leads a flight if nobody else does."""
        job.state, job.attempt, job.leader, job.is_suspect, job.ended_by = JobState.QUEUED, 0, None, False, None
        job.ended_as, job.audio_of, job.end_passed = None, None, False
        self.flights.setdefault(job.digest, job.id)
        self.totals["revived"] += 1

    def has_audio_again(self, job: Record) -> bool:
        """Whether it can have another life. One that failed with the job that it followed gets a copy of that job's audio."""
        if job.audio_of in self.audio:
            self.audio.add(job.id)
        return job.id in self.audio

    def close_flight(self, job: Record) -> list[Record]:
        """Forget the flight that this job leads; its followers."""
        if self.flights.get(job.digest) != job.id:
            return []
        del self.flights[job.digest]
        return [self.records[i] for i in self.followers.pop(job.digest, [])]

    def promote_follower(self, job: Record) -> None:
        """The leader leaves: the first follower has its audio, its place and the pieces that are done."""
        if self.flights.get(job.digest) != job.id:
            return
        line = self.followers.get(job.digest, [])
        if line and job.id not in self.audio:
            for follower in self.close_flight(job):
                self.settle(follower, JobState.FAILED)
        elif not line:
            self.close_flight(job)
        else:
            self.hand_over(job, self.records[line.pop(0)])

    def hand_over(self, job: Record, heir: Record) -> None:
        self.audio.remove(job.id)
        self.audio.add(heir.id)
        if job.id in self.checkpoints:
            self.checkpoints[heir.id] = self.checkpoints.pop(job.id)
        self.flights[job.digest] = heir.id
        line = self.followers[job.digest]
        for other in line:
            self.records[other].leader = heir.id
        if not line:
            del self.followers[job.digest]
        self.enter(heir, at_front=True)

    def withdraw(self, job: Record, state: JobState) -> None:
        """It ends for reasons of its own, and those that follow it go on. A piece ends its file."""
        job = self.file_of(job)
        if job.leader:
            self.followers[job.digest].remove(job.id)
            if not self.followers[job.digest]:
                del self.followers[job.digest]
        else:
            if job.state is JobState.QUEUED:
                self.leave(job)
            self.promote_follower(job)
        self.settle(job, state)

    def give_up(self, job: Record) -> None:
        """It cannot be transcribed, and so cannot those that follow it. A piece fails its file."""
        file = self.file_of(job)
        followers = self.close_flight(file)
        self.settle(file, JobState.FAILED)
        for follower in followers:
            follower.audio_of = file.id
            self.settle(follower, JobState.FAILED)

    def dead(self) -> list[str]:
        """Who may be brought back to life."""
        return [job.id for job in self.records.values() if job.is_dead]

    def forget(self, job: Record) -> None:
        """Nothing is left of a job that is over: it was erased, or its time is up."""
        del self.records[job.id]
        for known in (self.audio, self.in_rq):
            known.discard(job.id)
        self.transcripts.pop(job.id, None)
        self.checkpoints.pop(job.id, None)
