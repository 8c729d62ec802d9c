"""Rules: what operators remove with RQ's tools, and what Redis evicts or lets expire."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from shared.jobs.job import JobState
from shared.jobs.rq_transport import KEY_PREFIX
from tests.properties.callers_play import PICK
from tests.properties.long_files_play import LongFilesPlay
from tests.properties.records import MODELS, PATIENCE, lane_name
from tests.properties.stage import DEAD, OVER
from tests.script_driver import KEYS, PREFIX


class OperatorsPlay(LongFilesPlay):
    """The rules that take something away from outside."""

    @precondition(lambda self: any(self.fleet.queues.values()))
    @rule(model=st.sampled_from(MODELS), kind=st.sampled_from(sorted(PATIENCE)))
    def empty_queue(self, model: str, kind: str) -> None:
        lane = lane_name(model, kind)
        self.actors.empty_queue(lane)
        self.fleet.empty_queue(lane)

    @precondition(lambda self: self.fleet.in_rq)
    @rule(pick=PICK)
    def delete_in_rq(self, pick: int) -> None:
        """Of jobs and pieces in any state."""
        known = [r for r in self.fleet.records.values() if r.id in self.fleet.in_rq]
        if known:
            job = known[pick % len(known)]
            self.actors.delete_in_rq(job.id)
            self.fleet.delete_in_rq(job)

    @precondition(lambda self: self.job(0, *DEAD))
    @rule(pick=PICK)
    def requeue_in_rq(self, pick: int) -> None:
        job = self.job(pick, *DEAD)
        if job and job.id in self.fleet.in_rq and self.actors.is_dead_letter(job.id, job.lane):
            self.actors.requeue(job.id, job.lane)
            self.fleet.requeue(job)

    @precondition(lambda self: self.fleet.in_rq)
    @rule(pick=PICK)
    def lose_rqs_record(self, pick: int) -> None:
        """Nothing but the record: lists and registries still name it."""
        known = sorted(self.fleet.in_rq)
        if known:
            job_id = known[pick % len(known)]
            self.actors.lose(f"{KEY_PREFIX}:job:{job_id}")
            self.fleet.in_rq.discard(job_id)

    @precondition(lambda self: self.fleet.audio)
    @rule(pick=PICK)
    def lose_audio(self, pick: int) -> None:
        """Of a job in any state, or of a piece that was put."""
        audio = sorted(self.fleet.audio)
        if audio:
            job_id = audio[pick % len(audio)]
            self.actors.lose(KEYS.audio(job_id))
            self.fleet.lose_audio(job_id)

    @precondition(lambda self: self.fleet.checkpoints)
    @rule(pick=PICK)
    def lose_checkpoints(self, pick: int) -> None:
        files = sorted(self.fleet.checkpoints)
        if files:
            file_id = files[pick % len(files)]
            self.actors.lose(KEYS.pieces(file_id), f"{PREFIX}:said:{file_id}")
            self.fleet.lose_checkpoints(file_id)

    @precondition(lambda self: self.fleet.split)
    @rule(pick=PICK)
    def lose_piece(self, pick: int) -> None:
        """A waiting piece is removed altogether."""
        pieces = [r for r in self.fleet.records.values() if r.parent and r.state is JobState.QUEUED and r.id in self.fleet.in_rq]
        if pieces:
            piece = pieces[pick % len(pieces)]
            self.actors.delete_in_rq(piece.id)
            self.actors.lose(KEYS.job(piece.id), KEYS.audio(piece.id))
            self.fleet.lose_piece(piece)

    @precondition(lambda self: self.job(0, *OVER))
    @rule(pick=PICK)
    def outlive(self, pick: int) -> None:
        """The time of a job that is over is up."""
        if job := self.job(pick, *OVER):
            self.actors.forget(job.id)
            self.fleet.forget(job)
            self.judge.forget(job.id)
