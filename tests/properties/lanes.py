"""The model's lanes, leases and deadlines: what enters, what leaves, and what it weighs."""

from collections import Counter

from shared.jobs.job import LEGAL_MOVES, JobState
from tests.properties.records import Record


class Lanes:
    """A fleet in plain Python. The methods of this class and its heirs say what the scripts must do."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        #: By lane, what should wait; and the ids in RQ's list, which RQ's tools change without asking.
        self.order: dict[str, list[str]] = {}
        self.queues: dict[str, list[str]] = {}
        self.passed_over: dict[str, int] = {}
        #: What was weighed when it entered a lane and was removed by hand: records, bytes, milliseconds.
        self.drift = (0, 0, 0)
        #: Pieces that were removed altogether.
        self.lost: set[str] = set()
        #: Who holds a lease, and whether it has lapsed; for whom there is a deadline, and whether it has passed.
        self.leases: dict[str, bool] = {}
        self.watched: dict[str, bool] = {}
        #: By id: whose audio is there, of whom RQ has a record, who has been erased, who has ever been taken.
        self.audio: set[str] = set()
        self.in_rq: set[str] = set()
        self.gone: set[str] = set()
        self.listed: set[str] = set()
        self.split: set[str] = set()
        self.transcripts: dict[str, str] = {}
        #: By file: the transcripts of its pieces.
        self.checkpoints: dict[str, dict[str, str]] = {}
        self.flights: dict[str, str] = {}
        self.followers: dict[str, list[str]] = {}
        self.cache: dict[str, str] = {}
        self.token = 0
        self.totals: Counter[str] = Counter()
        #: Ids in the order in which they ended, since somebody last looked.
        self.ends: list[str] = []

    def load(self) -> tuple[int, int, int]:
        """How many jobs, bytes and milliseconds wait."""
        waiting = [self.records[i] for line in self.order.values() for i in line if i in self.records]
        jobs, size, audio_ms = self.drift
        return len(waiting) + jobs, sum(w.size for w in waiting) + size, sum(w.audio_ms for w in waiting) + audio_ms

    def move(self, job: Record, state: JobState) -> None:
        assert state in LEGAL_MOVES[job.state] or job.state is state is JobState.QUEUED, f"{job.id}: {job.state} -> {state}"
        job.state = state

    def enter(self, job: Record, *, at_front: bool) -> None:
        """A job waits: in the order of its lane, in RQ's list, and with a deadline."""
        self.move(job, JobState.QUEUED)
        job.token = job.leader = None
        order, queue = self.order.setdefault(job.lane, []), self.queues.setdefault(job.lane, [])
        if job.id in order:  # of a piece that was removed altogether, and is there again
            order.remove(job.id)
        for line in (order, queue):
            line.insert(0 if at_front else len(line), job.id)
        overdue = job.has_end and job.end_passed
        self.watched[job.id] = self.watched.get(job.id, False) or overdue

    def leave(self, job: Record) -> None:
        """A job waits no longer, wherever it stands."""
        if job.id in self.queues.get(job.lane, []):
            self.queues[job.lane].remove(job.id)
        self.order[job.lane].remove(job.id)

    def watch_end_only(self, job: Record) -> None:
        """It need not be started any more; it may have to end."""
        if job.has_end:
            self.watched[job.id] = job.end_passed
        else:
            self.watched.pop(job.id, None)

    def begin_execution(self, job: Record, worker: str, execution: str) -> Record:
        """A worker gets a lease and a new token."""
        self.token += 1
        job.token, job.worker, job.execution = self.token, worker, execution
        self.leases[job.id] = False
        return job

    def end_execution(self, job: Record) -> None:
        self.leases.pop(job.id, None)
        job.execution = None

    def drop_piece(self, piece: Record) -> None:
        """Nothing is left of a piece but its checkpoint."""
        if piece.state is JobState.QUEUED:
            self.leave(piece)
        self.end_execution(piece)
        self.watched.pop(piece.id, None)
        for known in (self.audio, self.in_rq):
            known.discard(piece.id)
        del self.records[piece.id]

    def drop_pieces(self, file: Record) -> None:
        self.split.discard(file.id)
        for one in file.piece_ids():
            if one in self.records:
                self.drop_piece(self.records[one])
            self.audio.discard(one)
        file.pieces, file.pieces_left, file.put = None, None, 0

    def file_of(self, job: Record) -> Record:
        """The file that a piece belongs to; of other jobs, the job."""
        return self.records[job.parent] if job.parent else job
