"""The model's workers: what becomes of what they write, under a token that is theirs or one that is stale."""

import re

from shared.jobs.job import JobState
from shared.jobs.keys import piece_id
from tests.properties.claims import Claims
from tests.properties.records import MAX_ATTEMPTS, Record


class Workers(Claims):
    """Fenced writes."""

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
        record = Record(
            id=piece,
            digest=piece,
            model=file.model,
            lane=lane,
            parent=file.id,
            piece=place,
            seconds=(end - start) / 1000,
            size=4,
            interactive=file.interactive,
        )
        self.records[piece] = record
        self.in_rq.add(piece)
        self.enter(record, at_front=True)
