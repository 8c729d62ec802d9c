"""Claims as many jobs as there is room for, and sends them to the model process."""

from collections.abc import Sequence

from redis import RedisError

from shared.audio.request import MAX_CHANNELS
from shared.jobs.job import Job, JobError
from shared.jobs.options import TranscriptionOptions
from shared.logs import get_logger
from shared.settings import WorkerSettings
from worker.messages import CutDone, Transcribe
from worker.queue.assembly import QueueSide
from worker.queue.bell import Bell
from worker.queue.leased_job import LeasedJob
from worker.supervising.decodes import DecodeResult, Split
from worker.supervising.in_flight import InFlight
from worker.supervising.model_keeper import ModelKeeper

#: How often a busy worker with room looks whether a job waits; and an idle one, which hears the bell besides.
BUSY_LOOK_SECONDS, IDLE_LOOK_SECONDS = 0.25, 1.0

_LOG = get_logger(__name__)


class Intake:
    """An idle worker waits for the bell. A busy worker leaves the bell to idle ones, and claims jobs that they have left."""

    def __init__(self, settings: WorkerSettings, queue: QueueSide, in_flight: InFlight, model: ModelKeeper, bell: Bell) -> None:
        self._settings, self._queue, self._in_flight, self._model, self._bell = settings, queue, in_flight, model, bell
        self._looked_at = 0.0
        self._closed = False

    def close(self) -> None:
        """Claim no more jobs."""
        self._closed = True
        self._bell.ignore()

    def claim(self) -> None:
        """Claim jobs if there is room. If there is nothing to decode then, listen to the bell."""
        try:
            while room := self._room():
                claimed = self._queue.claims.claim(room, [decode.leased.job for decode in self._in_flight.decodes.values()])
                self._begin(claimed)
                if self._in_flight.decodes:
                    self._bell.ignore()
                    return
                if not claimed:
                    self._bell.listen()
                    return
        except RedisError as error:
            _LOG.warning("store_away", step="claim", error=type(error).__name__)
            self._bell.listen()

    def go_on(self) -> None:
        """Claim more jobs after a decode has ended, unless Redis said, when it took the result, that no job waits."""
        if not self._in_flight.write_back.nothing_waits:
            self.claim()
        elif self._room() and not self._in_flight.decodes:
            self._bell.listen()

    def look(self, now: float) -> None:
        """If it is time and there is room, claim jobs that no other worker has claimed by now.

        A busy worker leaves jobs to idle ones for a moment. For an idle worker, the bell may have rung unheard: the worker that
        took the ring has died, or could not take the job.
        """
        every_seconds = BUSY_LOOK_SECONDS if self._in_flight.decodes else IDLE_LOOK_SECONDS
        if now - self._looked_at <= every_seconds or not self._room():
            return
        self._looked_at = now
        try:
            anything_waits = self._queue.claims.anything_waits()
        except RedisError as error:
            _LOG.warning("store_away", step="look", error=type(error).__name__)
        else:
            if anything_waits:
                self.claim()

    def _room(self) -> int:
        if self._closed or not self._model.has_room or self._in_flight.has_suspect:
            return 0
        return self._settings.whisper_batch_size - len(self._in_flight.decodes)

    def _begin(self, claimed: Sequence[LeasedJob]) -> None:
        """Send the claimed jobs to the model process. All are in flight before any other step can fail, so that none is lost."""
        undecoded = [leased for leased in claimed if leased.job.pieces_left != 0]
        for leased in undecoded:
            self._in_flight.begin(leased)
        for leased in claimed:
            if leased not in undecoded:
                self._in_flight.write_back.add_file(leased)
        try:
            audios = self._queue.leases.audio(undecoded) if undecoded else []
        except RedisError:
            # This worker holds their leases but has no audio to decode: it hands them back as soon as Redis answers.
            for leased in undecoded:
                self._in_flight.conclude(leased.attempt_id, DecodeResult())
            raise
        for leased, audio in zip(undecoded, audios, strict=True):
            self._send(leased, audio, self._settings.split_above_seconds)

    def cut(self, event: CutDone) -> None:
        """Queue the pieces of a long file for all workers. If Redis had no memory for them, decode the file whole, here."""
        decode = self._in_flight.decodes.get(event.attempt_id)
        if decode is None or decode.withdrawn_at is not None:
            self._in_flight.forget(event.attempt_id)
        elif decode.unsplittable:
            self._decode_whole(decode.leased)
        else:
            self._in_flight.conclude(event.attempt_id, _split(event, decode.piece_bytes))
        self.claim()

    def _decode_whole(self, leased: LeasedJob) -> None:
        _LOG.warning("decoding_whole", reason="Redis does not take its pieces", **leased.job.log_context())
        try:
            (audio,) = self._queue.leases.audio([leased])
        except RedisError:
            self._in_flight.conclude(leased.attempt_id, DecodeResult())
        else:
            self._send(leased, audio, split_above_seconds=0.0)

    def _send(self, leased: LeasedJob, audio: bytes | None, split_above_seconds: float) -> None:
        if audio is None:
            again = "retry the job" if leased.job.parent else "submit it again"
            message = f"The stored audio is gone (it expired, or Redis lost it); {again}."
            self._in_flight.conclude(leased.attempt_id, DecodeResult(error=JobError(code="audio_lost", message=message)))
            return
        _LOG.info("job_started", **leased.job.log_context())
        self._model.send(
            Transcribe(
                attempt_id=leased.attempt_id,
                audio=audio,
                options=_options_for(leased.job),
                max_seconds=self._settings.max_audio_length_seconds,
                expected_seconds=leased.job.audio_seconds,
                # If an older gateway wrote the record, the number of channels is unknown.
                channels=leased.job.audio.channels if leased.job.audio else MAX_CHANNELS,
                split_above_seconds=0.0 if leased.job.parent else split_above_seconds,
                urgent=self._queue.lanes.is_urgent(leased.job),
            )
        )


def _options_for(job: Job) -> TranscriptionOptions:
    """The job's options. A piece is not normalized again, as its file was.

    The record of the piece does not say so, since older workers could not read that.
    """
    return job.options.model_copy(update={"normalize": False}) if job.parent else job.options


def _split(event: CutDone, piece_bytes: Sequence[int]) -> DecodeResult:
    """The result of a cut: the pieces. If Redis was away for some of them, an empty result: the attempt is not counted."""
    if len(piece_bytes) != len(event.pieces):
        return DecodeResult()
    return DecodeResult(split=Split(cut=event.cut, pieces=list(zip(event.pieces, piece_bytes, strict=True))))
