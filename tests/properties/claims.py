"""The model's claims: which jobs a worker is given."""

from dataclasses import dataclass, field

from shared.jobs.job import JobState
from tests.properties.callers import Callers
from tests.properties.records import LONG_SECONDS, PATIENCE, Record, lanes_of


@dataclass(kw_only=True)
class Claim:
    """A worker asks for jobs."""

    worker: str
    model: str
    execution: str
    room: int
    is_busy: bool
    has_long: bool
    taken: list[Record] = field(default_factory=list)
    urgent_room: int = 0
    background_room: int = 0


class Claims(Callers):
    """Jobs go out of their lanes, in their order, under leases."""

    def claim(self, claim: Claim) -> list[Record]:
        """The jobs that it brings; the same again as long as the same execution holds them."""
        again = [r for r in self.records.values() if (r.worker, r.execution) == (claim.worker, claim.execution)]
        lanes = lanes_of(claim.model)
        if again or (claim.is_busy and not claim.has_long and any(self._head_is_suspect(lane) for lane in lanes)):
            return again
        waiting = {lane: len(self.queues.get(lane, [])) for lane in lanes}
        claim.urgent_room = min(claim.room, waiting[lanes[0]])
        claim.background_room = min(claim.room, waiting[lanes[1]] + waiting[lanes[2]])
        if not any(self._take(claim, lane, 1) for lane in self._lanes_in_turn(lanes)):
            for lane in lanes:
                if waiting[lane] and self._take(claim, lane, claim.room):
                    break
        self._remember_who_waits(claim, waiting)
        return claim.taken

    def _head_is_suspect(self, lane: str) -> bool:
        line = self.queues.get(lane, [])
        return bool(line) and line[0] in self.records and self.records[line[0]].is_suspect

    def _lanes_in_turn(self, lanes: list[str]) -> list[str]:
        """Those that have been passed over often enough, the one with most reason first."""
        reasons = {lane: self.passed_over.get(lane, 0) / PATIENCE[lane.rpartition(".")[2]] for lane in lanes}
        return sorted((lane for lane in lanes if reasons[lane] >= 1), key=lambda lane: -reasons[lane])

    def _remember_who_waits(self, claim: Claim, waiting: dict[str, int]) -> None:
        for lane, jobs in waiting.items():
            if any(job.lane == lane for job in claim.taken) or not jobs:
                self.passed_over.pop(lane, None)
            elif claim.taken:
                self.passed_over[lane] = self.passed_over.get(lane, 0) + len(claim.taken)

    def _take(self, claim: Claim, lane: str, most: int) -> bool:
        """Take jobs from a lane; True when nothing more is to be taken from any."""
        is_urgent = lane.endswith(".interactive")
        queue, left, before, is_over = self.queues.setdefault(lane, []), list[str](), len(claim.taken), False
        most = min(most, claim.room - before, claim.urgent_room if is_urgent else claim.background_room)
        while queue and len(claim.taken) - before < most and not is_over:
            is_over = self._look_at(claim, queue.pop(0), left)
        queue[:0] = left
        taken = len(claim.taken) - before
        if is_urgent:
            claim.urgent_room -= taken
            is_over = is_over or (claim.urgent_room <= 0 and bool(queue))
        else:
            claim.background_room -= taken
        return is_over or len(claim.taken) >= claim.room

    def _look_at(self, claim: Claim, job_id: str, left: list[str]) -> bool:
        """What becomes of the head of a lane; True when the claim ends with it."""
        job = self.records.get(job_id)
        if job is None:
            for line in self.order.values():
                if job_id in line:
                    line.remove(job_id)
        elif job.is_dead and self.has_audio_again(job):
            if not self._must_wait(claim, job, left, is_suspect=False):
                self.revive(job)
                self._start(claim, job)
        elif job.state is JobState.QUEUED and self.watched.get(job_id):
            self.withdraw(job, JobState.EXPIRED)
        elif job.state is JobState.QUEUED:
            if self._must_wait(claim, job, left, is_suspect=job.is_suspect):
                return job.is_suspect and (claim.is_busy or bool(claim.taken)) and not claim.has_long
            self.order[job.lane].remove(job.id)
            self._start(claim, job)
            return job.is_suspect
        return False

    @staticmethod
    def _must_wait(claim: Claim, job: Record, left: list[str], *, is_suspect: bool) -> bool:
        """A suspect runs alone, and a worker has one long job at a time."""
        beside = is_suspect and (claim.is_busy or bool(claim.taken))
        if beside or (claim.has_long and job.seconds > LONG_SECONDS):
            left.append(job.id)
            return True
        return False

    def _start(self, claim: Claim, job: Record) -> None:
        self.move(job, JobState.RUNNING)
        job.attempt += 1
        job.segments = []
        self.watch_end_only(job)
        claim.taken.append(self.begin_execution(job, claim.worker, claim.execution))
        claim.has_long = claim.has_long or job.seconds > LONG_SECONDS
