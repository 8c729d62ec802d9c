"""Rules: what operators remove with RQ's tools, and what Redis evicts or lets expire."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from shared.jobs.job import JobState
from shared.jobs.rq_transport import KEY_PREFIX
from tests.properties.callers_play import PICK
from tests.properties.long_files_play import LongFilesPlay
from tests.properties.stage import DEAD, OVER
from tests.script_driver import KEYS, PREFIX


class OperatorsPlay(LongFilesPlay):
    """Something is taken away from outside."""

    @rule(pick=PICK, what=st.sampled_from(["_empty_queue", "_delete_in_rq", "_fall_out", "_requeue_in_rq", "_lose_rqs_record"]))
    def click(self, pick: int, what: str) -> None:
        """An operator uses RQ's tools."""
        getattr(self, what)(pick)

    @rule(pick=PICK, what=st.sampled_from(["_lose_audio", "_lose_checkpoints", "_outlive"]))
    def lose(self, pick: int, what: str) -> None:
        """Redis evicts something, or its time is up."""
        getattr(self, what)(pick)

    @precondition(lambda self: self.fleet.split)
    @rule(pick=PICK, pieces=st.integers(1, 3))
    def lose_pieces(self, pick: int, pieces: int) -> None:
        """So many that wait are removed altogether; gateways find out."""
        for _ in range(pieces):
            self._lose_piece(pick)
        self.reconcile(twice=False)

    def _empty_queue(self, pick: int) -> None:
        """One that something stands in."""
        lanes = sorted(lane for lane, line in self.fleet.queues.items() if line)
        if not lanes:
            return
        lane = lanes[pick % len(lanes)]
        self.actors.empty_queue(lane)
        self.fleet.empty_queue(lane)

    def _fall_out(self, pick: int) -> None:
        """Out of its list, and nothing else: a worker of RQ's own took it and died."""
        waiting = [(lane, job_id) for lane, line in sorted(self.fleet.queues.items()) for job_id in line]
        if waiting:
            lane, job_id = waiting[pick % len(waiting)]
            self.actors.take_out(lane, job_id)
            self.fleet.queues[lane].remove(job_id)

    def _delete_in_rq(self, pick: int) -> None:
        """Of jobs and pieces in any state."""
        known = [r for r in self.fleet.records.values() if r.id in self.fleet.in_rq]
        if known:
            job = known[pick % len(known)]
            self.actors.delete_in_rq(job.id)
            self.fleet.delete_in_rq(job)

    def _requeue_in_rq(self, pick: int) -> None:
        job = self.job(pick, *DEAD)
        if job and job.id in self.fleet.in_rq and self.actors.is_dead_letter(job.id, job.lane):
            self.actors.requeue(job.id, job.lane)
            self.fleet.requeue(job)

    def _lose_rqs_record(self, pick: int) -> None:
        """Nothing but the record: lists and registries still name it."""
        known = sorted(self.fleet.in_rq)
        if known:
            job_id = known[pick % len(known)]
            self.actors.lose(f"{KEY_PREFIX}:job:{job_id}")
            self.fleet.in_rq.discard(job_id)

    def _lose_audio(self, pick: int) -> None:
        """Of a job in any state, or of a piece that was put."""
        audio = sorted(self.fleet.audio)
        if audio:
            job_id = audio[pick % len(audio)]
            self.actors.lose(KEYS.audio(job_id))
            self.fleet.lose_audio(job_id)

    def _lose_checkpoints(self, pick: int) -> None:
        files = sorted(self.fleet.checkpoints)
        if files:
            file_id = files[pick % len(files)]
            self.actors.lose(KEYS.pieces(file_id), f"{PREFIX}:said:{file_id}")
            self.fleet.lose_checkpoints(file_id)

    def _lose_piece(self, pick: int) -> None:
        """A waiting piece is removed altogether."""
        pieces = [r for r in self.fleet.records.values() if r.parent and r.state is JobState.QUEUED and r.id in self.fleet.in_rq]
        if pieces:
            piece = pieces[pick % len(pieces)]
            self.actors.delete_in_rq(piece.id)
            self.actors.lose(KEYS.job(piece.id), KEYS.audio(piece.id), KEYS.partial(piece.id))
            self.fleet.lose_piece(piece)

    def _outlive(self, pick: int) -> None:
        """The time of a job that is over is up."""
        if job := self.job(pick, *OVER):
            self.actors.forget(job.id)
            self.fleet.forget(job)
            self.judge.forget(job.id)
