"""The model's workers: what becomes of what they write, under a token that is theirs or one that is stale."""

import re

from shared.jobs.job import JobState
from shared.jobs.keys import piece_id
from tests.properties.claims import Claims
from tests.properties.records import MAX_ATTEMPTS, Record


class Workers(Claims):
    """Fenced writes."""

    def held(self, job_id: str, token: int, *answers: str) -> tuple[Record | None, str | None]:
        """The job that a worker may write to under its token; or what this call, one of `answers`, was answered before."""
        job = self.records.get(job_id)
        if job and job.state is JobState.RUNNING and job.token == token:
            return job, None
        if job and job.ended_by == token and (answer := job.ended_as or job.state.value) in answers:
            return None, answer
        # A piece that is done has no record: it is not known who asks.
        self.totals["refused_writes"] += job is not None or not re.search(r"_p\d+$", job_id)
        return None, None

    def put_down(self, job: Record, answer: str) -> None:
        """Its worker has done with it."""
        job.ended_by, job.ended_as = job.token, answer
        self.end_execution(job)

    def begun_before(self, worker: str, execution: str) -> Record | None:
        """The file that this execution was given to put together."""
        begun = [r for r in self.records.values() if (r.worker, r.execution) == (worker, execution)]
        return begun[0] if begun else None

    def finish(self, job_id: str, token: int, worker: str, execution: str, transcript: str) -> tuple[str, Record | None]:
        """The verdict, and the file to put together."""
        if file := self.begun_before(worker, execution):
            return "stitch", file
        job, before = self.held(job_id, token, "completed")
        if job is None:
            return before or "stale", None
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

    def fail(self, job_id: str, token: int, code: str, *, retryable: bool) -> str:
        job, before = self.held(job_id, token, "requeued", "failed")
        if job is None:
            return before or "stale"
        job.is_suspect = job.is_suspect or code == "poison_job"
        if retryable and job.attempt < MAX_ATTEMPTS:
            self.put_down(job, "requeued")
            self.drop_pieces(job)
            self.enter(job, at_front=True)
            self.totals["retried"] += 1
            return "requeued"
        ended_by = job.token
        self.give_up(job)
        job.ended_by, job.ended_as = ended_by, "failed"
        return "failed"

    def hand_back(self, job_id: str, token: int) -> int:
        job, before = self.held(job_id, token, "handed_back")
        if job is None:
            return int(before is not None)
        self.put_down(job, "handed_back")
        job.attempt -= 1
        self.enter(job, at_front=True)
        self.totals["handed_back"] += 1
        return 1

    def renew(self, job_id: str, token: int) -> str:
        """What a beat does to one of the worker's jobs."""
        job = self.records.get(job_id)
        if not job or job.state is not JobState.RUNNING or job.token != token:
            return "stale"
        self.leases[job_id] = False
        return "ok"

    def publish(self, job_id: str, token: int, published: int, segments: list[str]) -> str:
        """`published`: how many segments the worker knows to have arrived."""
        job = self.records.get(job_id)
        if not job or job.state is not JobState.RUNNING or job.token != token:
            return "stale"
        job.segments = job.segments[:published] + segments
        return "ok"

    # -- long files ------------------------------------------------------------------------------------------------

    def put_piece(self, file_id: str, token: int, number: int) -> int:
        """Number 0 drops what has been put."""
        file, _ = self.held(file_id, token)
        if file is None:
            return 0
        if number:
            self.audio.add(piece_id(file.id, number))
            file.put = max(file.put, number)
        else:
            self.drop_pieces(file)
        return 1

    def split_file(
        self, file_id: str, token: int, worker: str, execution: str, cut: tuple[str, ...], lane: str
    ) -> tuple[str, Record | None]:
        if file := self.begun_before(worker, execution):
            return "stitch", file
        file, before = self.held(file_id, token, "split")
        if file is None:
            return before or "stale", None
        done = self.checkpoints.get(file.id, {})
        todo = {piece_id(file.id, n): place for n, place in enumerate(cut, start=1) if place not in done}
        if any(one not in self.audio for one in todo):
            return "missing", None
        self.checkpoints[file.id] = {place: said for place, said in done.items() if place in cut}
        if not self.checkpoints[file.id]:
            del self.checkpoints[file.id]
        self.audio -= {piece_id(file.id, n) for n in range(1, len(cut) + 1)} - set(todo)
        self.put_down(file, "split")
        for one, place in reversed(todo.items()):
            self._queue_piece(file, one, place, file.pieces_lane or lane)
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
