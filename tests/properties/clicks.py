"""The model's operators and clock: what is taken away from outside, and what time takes."""

from tests.properties.records import Record
from tests.properties.workers import Workers


class Fleet(Workers):
    """The whole model."""

    def empty_queue(self, lane: str) -> None:
        """*Empty queue*: the list, and RQ's records of all that stand in it."""
        self.in_rq -= set(self.queues.pop(lane, []))

    def delete_in_rq(self, job: Record) -> None:
        """*Delete*: out of its list and its registries, with its record. A job at work stays a started one until it ends."""
        line = self.queues.get(job.lane, [])
        if job.id in line:
            line.remove(job.id)
        self.in_rq.discard(job.id)

    def requeue(self, job: Record) -> None:
        """*Requeue* of a dead letter: into its list; a claim brings it back to life."""
        self.queues.setdefault(job.lane, []).append(job.id)

    def lose_piece(self, piece: Record) -> None:
        """A waiting piece is removed altogether, and nobody knows what it weighed."""
        self.delete_in_rq(piece)
        self.audio.discard(piece.id)
        jobs, size, audio_ms = self.drift
        self.drift = (jobs + 1, size + piece.size, audio_ms + piece.audio_ms)
        self.lost.add(piece.id)
        del self.records[piece.id]

    def lose_audio(self, job_id: str) -> None:
        self.audio.discard(job_id)

    def lose_checkpoints(self, file_id: str) -> None:
        self.checkpoints.pop(file_id, None)
