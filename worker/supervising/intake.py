"""Takes jobs from the queue and sends them to the model process, as many as there is room for."""

from collections.abc import Sequence

from redis import RedisError

from shared.audio.request import MAX_CHANNELS
from shared.jobs.job import Job, JobError
from shared.jobs.options import TranscriptionOptions
from shared.logs import get_logger
from shared.settings import WorkerSettings
from worker.messages import CutDone, Transcribe
from worker.queue.assembly import Services
from worker.queue.bell import Bell
from worker.queue.leased_job import Held
from worker.supervising.in_flight import Outcome, Split, Work
from worker.supervising.model_keeper import ModelKeeper

#: How often a busy worker with room looks for more.
TOP_UP_SECONDS = 0.25

_LOG = get_logger(__name__)


class Intake:
    """An idle worker waits for the bell. One that has something to do leaves it to idle ones, and looks for what they left."""

    def __init__(self, settings: WorkerSettings, services: Services, work: Work, model: ModelKeeper, bell: Bell) -> None:
        self._settings, self._services, self._work, self._model, self._bell = settings, services, work, model, bell
        self._topped_up_at = 0.0
        self._closed = False

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    def claim(self) -> None:
        """Take jobs if there is room; then have the bell listened to, if there is nothing to do."""
        try:
            while room := self._room():
                claimed = self._services.claims.claim(room, [a.held.job for a in self._work.assignments.values()])
                self._begin(claimed)
                if self._work.assignments:
                    return
                if not claimed:
                    self._bell.listen()
                    return
        except RedisError as error:
            _LOG.warning("store_away", step="claim", error=type(error).__name__)
            self._bell.listen()

    def go_on(self) -> None:
        """A decode has ended. Whether there is more to take may be known from writing its result."""
        if not self._work.nothing_waits:
            self.claim()
        elif self._room() and not self._work.assignments:
            self._bell.listen()

    def top_up(self, now: float) -> None:
        """Take what no idle worker has taken by now, if it is time."""
        if self._work.assignments and now - self._topped_up_at > TOP_UP_SECONDS:
            self._topped_up_at = now
            self.claim()

    def _room(self) -> int:
        if self._closed or not self._model.has_room or self._work.has_suspect:
            return 0
        return self._settings.whisper_batch_size - len(self._work.assignments)

    def _begin(self, claimed: Sequence[Held]) -> None:
        """Send what was claimed to the model process. All of it is in our books before anything else can fail."""
        undecoded = [held for held in claimed if held.job.pieces_left != 0]
        for held in undecoded:
            self._work.begin(held)
        for held in claimed:
            if held not in undecoded:
                self._work.put_together(held)
        try:
            audios = self._services.store.audio(undecoded) if undecoded else []
        except RedisError:
            # Ours by their leases, yet nothing to decode: they go back as soon as Redis answers.
            for held in undecoded:
                self._work.conclude(held.attempt_id, Outcome())
            raise
        for held, audio in zip(undecoded, audios, strict=True):
            self._send(held, audio, self._settings.split_above_seconds)

    def cut(self, event: CutDone) -> None:
        """A long file has been cut: its pieces are for all. If there was no memory for them, it is decoded here, whole."""
        assignment = self._work.assignments.get(event.attempt_id)
        if assignment is None or assignment.withdrawn_at is not None:
            self._work.forget(event.attempt_id)
        elif assignment.unsplittable:
            self._decode_whole(assignment.held)
        else:
            self._work.conclude(event.attempt_id, _split(event, assignment.piece_bytes))
        self.claim()

    def _decode_whole(self, held: Held) -> None:
        _LOG.warning("decoding_whole", reason="Redis has no memory for its pieces", **held.job.log_context())
        try:
            (audio,) = self._services.store.audio([held])
        except RedisError:
            self._work.conclude(held.attempt_id, Outcome())
        else:
            self._send(held, audio, split_above_seconds=0.0)

    def _send(self, held: Held, audio: bytes | None, split_above_seconds: float) -> None:
        if audio is None:
            again = "retry the job" if held.job.parent else "submit it again"
            message = f"The stored audio is gone (it expired, or Redis lost it); {again}."
            self._work.conclude(held.attempt_id, Outcome(error=JobError(code="audio_lost", message=message)))
            return
        _LOG.info("job_started", **held.job.log_context())
        self._model.send(
            Transcribe(
                attempt_id=held.attempt_id,
                audio=audio,
                options=_options_for(held.job),
                max_seconds=self._settings.max_audio_length_seconds,
                expected_seconds=held.job.audio_seconds,
                # Of a record that an older gateway wrote nobody knows.
                channels=held.job.audio.channels if held.job.audio else MAX_CHANNELS,
                split_above_seconds=0.0 if held.job.parent else split_above_seconds,
                urgent=self._services.lanes.is_urgent(held.job),
            )
        )


def _options_for(job: Job) -> TranscriptionOptions:
    """A piece has the level of its file. Its record does not say so: older workers would not understand it."""
    return job.options.model_copy(update={"normalize": False}) if job.parent else job.options


def _split(event: CutDone, piece_bytes: Sequence[int]) -> Outcome:
    """The file in pieces; or nothing, and it goes back uncounted, when Redis was away for some of them."""
    if len(piece_bytes) != len(event.pieces):
        return Outcome()
    return Outcome(split=Split(cut=event.cut, pieces=list(zip(event.pieces, piece_bytes, strict=True))))
