"""The model's workers: what a claim brings, and what becomes of what they write."""

import re
from dataclasses import dataclass, field

from shared.job import JobState
from shared.keys import piece_id
from tests.properties.callers import Callers
from tests.properties.records import LONG_SECONDS, MAX_ATTEMPTS, PATIENCE, Record, lanes_of


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


class Workers(Callers):
    """Claims and fenced writes."""

    # -- claims ----------------------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> list[Record]:
        """The jobs that it brings; the same again as long as the same execution holds them."""
        again = [r for r in self.records.values() if (r.worker, r.execution) == (claim.worker, claim.execution) and r.is_noted]
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
        elif job.is_dead and job_id in self.audio:
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

    # -- writes ----------------------------------------------------------------------------------------------------

    def held(self, job_id: str, token: int, *, is_again: bool = False) -> Record | None:
        """The job that a worker may write to under its token. `is_again`: it has been written to in this way already."""
        job = self.records.get(job_id)
        if job and job.state is JobState.RUNNING and job.token == token:
            return job
        if not job or job.ended_by != token:
            self.doubtful += is_again
            self.totals["refused_writes"] += not is_again
        return None

    def asked_again(self, file_id: str, execution: str) -> Record | None:
        """The file that this execution was given to put together."""
        file = self.records.get(file_id)
        return file if file and file.state is JobState.RUNNING and file.execution == execution else None

    def ended_so(self, job_id: str, token: int, state: JobState) -> bool:
        """This token has ended the job in this way: the answer was lost."""
        job = self.records.get(job_id)
        return job is not None and job.ended_by == token and job.state is state

    def finish(
        self, job_id: str, token: int, worker: str, execution: str, transcript: str, *, is_again: bool
    ) -> tuple[str, Record | None]:
        """The verdict, and the file to put together."""
        if (part := re.fullmatch(r"(.*)_p\d+", job_id)) and (file := self.asked_again(part[1], execution)):
            return "stitch", file
        job = self.held(job_id, token, is_again=is_again)
        if job is None:
            return ("completed" if self.ended_so(job_id, token, JobState.COMPLETED) else "stale"), None
        if job.parent:
            return self._finish_piece(job, worker, execution, transcript)
        followers = self.close_flight(job)
        job.ended_by = job.token
        for one in (job, *followers):
            self.transcripts[one.id] = self.cache[one.digest] = transcript
            self.settle(one, JobState.COMPLETED)
        self.totals["decoded"] += 1
        return "completed", None

    def _finish_piece(self, piece: Record, worker: str, execution: str, transcript: str) -> tuple[str, Record | None]:
        file = self.file_of(piece)
        self.checkpoints.setdefault(file.id, {})[str(piece.piece)] = transcript
        self.totals["pieces_decoded"] += 1
        self.drop_piece(piece)
        file.pieces_left = (file.pieces_left or 0) - 1
        if file.pieces_left > 0:
            return "piece", None
        self.split.discard(file.id)
        return "stitch", self.begin_execution(file, worker, execution)

    def fail(self, job_id: str, token: int, code: str, *, retryable: bool, is_again: bool) -> str:
        job = self.held(job_id, token, is_again=is_again)
        if job is None:
            return "failed" if self.ended_so(job_id, token, JobState.FAILED) else "stale"
        job.is_suspect = job.is_suspect or code == "poison_job"
        if retryable and job.attempt < MAX_ATTEMPTS:
            self.end_execution(job)
            self.drop_pieces(job)
            self.enter(job, at_front=True)
            self.totals["retried"] += 1
            return "requeued"
        ended_by = job.token
        self.give_up(job)
        job.ended_by = ended_by
        return "failed"

    def hand_back(self, job_id: str, token: int, *, is_again: bool) -> int:
        job = self.held(job_id, token, is_again=is_again)
        if job is None:
            return 0
        self.end_execution(job)
        job.attempt -= 1
        self.enter(job, at_front=True)
        self.totals["handed_back"] += 1
        return 1

    def renew(self, job_id: str, token: int, published: int, segments: list[str]) -> str:
        """`published`: how many segments the worker knows to have arrived."""
        job = self.records.get(job_id)
        if not job or job.state is not JobState.RUNNING or job.token != token:
            return "stale"
        self.leases[job_id] = False
        job.segments = job.segments[:published] + segments
        return "ok"

    # -- long files ------------------------------------------------------------------------------------------------

    def put_piece(self, file_id: str, token: int, number: int, *, is_again: bool) -> int:
        """Number 0 drops what has been put."""
        file = self.held(file_id, token, is_again=is_again)
        if file is None:
            return 0
        if number:
            self.audio.add(piece_id(file.id, number))
            file.put = max(file.put, number)
        else:
            self.drop_pieces(file)
        return 1

    def split_file(
        self, file_id: str, token: int, worker: str, execution: str, cut: tuple[str, ...], lane: str, *, is_again: bool
    ) -> tuple[str, Record | None]:
        if file := self.asked_again(file_id, execution):
            return "stitch", file
        file = self.held(file_id, token, is_again=is_again)
        if file is None:
            return "stale", None
        done = self.checkpoints.get(file.id, {})
        todo = {piece_id(file.id, n): place for n, place in enumerate(cut, start=1) if place not in done}
        if any(one not in self.audio for one in todo):
            return "missing", None
        self.checkpoints[file.id] = {place: said for place, said in done.items() if place in cut}
        if not self.checkpoints[file.id]:
            del self.checkpoints[file.id]
        self.audio -= {piece_id(file.id, n) for n in range(1, len(cut) + 1)} - set(todo)
        self.end_execution(file)
        for one, place in reversed(todo.items()):
            self._queue_piece(file, one, place, lane)
        file.pieces, file.pieces_left, file.segments = len(cut), len(todo), []
        self.totals["files_split"] += 1
        if not todo:
            return "stitch", self.begin_execution(file, worker, execution)
        file.token = None
        self.split.add(file.id)
        return "split", None

    def _queue_piece(self, file: Record, piece: str, place: str, lane: str) -> None:
        start, end = (int(edge) for edge in place.split("-"))
        about = {"model": file.model, "lane": lane, "parent": file.id, "piece": place, "interactive": file.interactive}
        record = Record(id=piece, digest=piece, seconds=(end - start) / 1000, size=4, **about)
        self.records[piece] = record
        self.in_rq.add(piece)
        self.enter(record, at_front=True)
