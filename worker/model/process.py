"""The process that holds the model. It gets requests through a pipe and sends results back. It knows no Redis, no job record."""

import gc
import os
import queue
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection

from setproctitle import setproctitle

from shared.audio.request import SAMPLE_RATE_HZ, Channels
from shared.audio.walls.decodes import Sounds
from shared.audio.walls.shared_memory import SharedFile
from shared.errors import FleetError, HarmfulAudio
from shared.logs import configure, get_logger
from shared.transcripts.pieces import WINDOW_MS, Cut, Piece
from shared.transcripts.transcript import Segment
from worker.engine_settings import EngineSettings
from worker.messages import (
    Able,
    Canary,
    CannotLoad,
    ChosenEncoder,
    CutDone,
    CutPiece,
    Done,
    Failed,
    FromModel,
    FromSupervisor,
    Moved,
    Progress,
    Ready,
    Stop,
    Stopped,
    Transcribe,
    Unable,
)
from worker.model.channels import transcribe_channels
from worker.model.cutting import flac, plan_all, stretch
from worker.model.decode import Decoder
from worker.model.engine_protocol import DecodeStopped, EngineProtocol, load_engine

#: How far decodes give way to other processes on their machine.
NICENESS = 10
#: A decode tells the supervisor this often, at most, that it moves.
MOVED_SECONDS = 1.0
#: Most pieces of long files (about 0.5 MB each) that are cut and not sent yet.
UNSENT_PIECES = 2


def serve(pipe: Connection, settings: EngineSettings) -> None:
    """Load the model, prove with a canary that it works, then decode until the pipe closes."""
    setproctitle(f"whisper-fleet model {settings.name}")
    configure(settings.log_level, settings.log_format)
    # Ctrl-C in a terminal signals the whole process group, but only the supervisor decides when the model process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Decodes use the processor time that others leave: if gateway and Redis share the machine, they must still answer.
    os.nice(NICENESS)
    decoder = Decoder()
    try:
        started = time.monotonic()
        decoder.start()
        engine = load_engine(settings)
        engine.canary()
    except Exception as error:
        pipe.send(CannotLoad(reason=f"{type(error).__name__}: {error}"))
        return
    pipe.send(
        Ready(
            model=settings.name,
            revision=engine.revision,
            device=engine.device,
            encoder=getattr(engine, "encoder", ChosenEncoder(name="", precision="")),
            load_seconds=time.monotonic() - started,
        )
    )
    # The loaded objects stay for good, so the garbage collector need not look at them again.
    gc.freeze()
    ModelProcess(pipe, engine, decoder, settings.batch_size).serve()


_LOG = get_logger(__name__)


class ModelProcess:
    """Takes requests from the pipe in one thread and decodes in others, so that a `Stop` is received during a decode."""

    def __init__(self, pipe: Connection, engine: EngineProtocol, decoder: Decoder, threads: int) -> None:
        self._pipe, self._engine, self._decoder, self._threads = pipe, engine, decoder, threads
        self._requests: queue.Queue[tuple[Transcribe, SharedFile] | Canary] = queue.Queue()
        self._stopped: set[str] = set()
        self._outbox: queue.SimpleQueue[FromModel] = queue.SimpleQueue()
        self._room_for_pieces = threading.Semaphore(UNSENT_PIECES)

    def serve(self) -> None:
        """Serve requests until the supervisor closes its end of the pipe or dies. Ends the process."""
        threading.Thread(target=self._send_all, name="send", daemon=True).start()
        for number in range(self._threads):
            threading.Thread(target=self._decode_all, name=f"decode-{number}", daemon=True).start()
        try:
            while True:
                self._take(self._pipe.recv())
        except (EOFError, OSError):
            # Without a supervisor no result is wanted. A decode in native code would keep running; `_exit` ends it, too.
            os._exit(0)

    def _take(self, message: FromSupervisor) -> None:
        if isinstance(message, Stop):
            self._stopped.add(message.attempt_id)
        elif isinstance(message, Transcribe):
            self._put(message)
        else:
            self._requests.put(message)

    def _put(self, message: Transcribe) -> None:
        """Put the audio into shared memory, not on the heap: one copy during the decode, which is freed completely after it."""
        try:
            file = SharedFile(message.audio)
        except OSError as error:
            text = f"There was no memory for the audio ({type(error).__name__})."
            self.send(Failed(attempt_id=message.attempt_id, code="transcription_failed", message=text, retryable=True))
        else:
            self._requests.put((replace(message, audio=b""), file))

    def _decode_all(self) -> None:
        while True:
            request = self._requests.get()
            if isinstance(request, Canary):
                self.send(self._prove())
            else:
                self.send(self._answer(*request))
                self._stopped.discard(request[0].attempt_id)
            del request
            gc.collect()

    def _prove(self) -> Able | Unable:
        try:
            self._engine.canary()
        except Exception as error:
            return Unable(reason=type(error).__name__)
        return Able()

    def _answer(self, request: Transcribe, file: SharedFile) -> FromModel:
        try:
            return self._transcribe(request, file, _Teller(self, request))
        except DecodeStopped:
            return Stopped(attempt_id=request.attempt_id)
        except HarmfulAudio as error:
            _LOG.warning("harmful_audio", attempt=request.attempt_id, cause=error.cause)
            return _failed(request, error, is_unreadable=error.will_again)
        except FleetError as error:
            return _failed(request, error)
        except Exception as error:
            # The text of a library's exception may quote content; its type does not.
            message = f"The decode failed ({type(error).__name__})."
            return Failed(attempt_id=request.attempt_id, code="transcription_failed", message=message, retryable=True)

    def _transcribe(self, request: Transcribe, file: SharedFile, teller: "_Teller") -> Done | CutDone:
        """Decode a file and transcribe it; or, if it is long, cut it into pieces."""
        started = time.perf_counter()
        options = request.options
        wanted = options.wanted(request.max_seconds)
        sounds = self._decoder.decode(file, wanted, request.expected_seconds, request.channels, teller.check)
        if options.strict:
            for warning in sounds.decoded.warnings:
                warning.refuse_if_incomplete()
        preprocess_ms = (time.perf_counter() - started) * 1000
        teller.channels, teller.seconds = len(sounds.samples), sounds.decoded.seconds
        if 0 < request.split_above_seconds < sounds.decoded.seconds:
            is_split = options.channels is Channels.SPLIT
            pieces = plan_all(sounds.samples, is_split, skip_silence=options.vad is True, listener=teller)
            if pieces:
                return self._cut(request, sounds, pieces, teller, started)
            # All of it is silence: decode one second of it instead of hours.
            sounds = replace(sounds, samples=sounds.samples[:, :SAMPLE_RATE_HZ])
        transcript = transcribe_channels(self._engine, sounds, options, preprocess_ms, teller)
        return Done(attempt_id=request.attempt_id, transcript=transcript)

    def _cut(self, request: Transcribe, sounds: Sounds, pieces: Sequence[Piece], teller: "_Teller", started: float) -> CutDone:
        """Send each piece as soon as it is cut, so that the supervisor can store it meanwhile."""
        first = pieces[0]
        beginning = Piece(first.start_ms, first.start_ms + WINDOW_MS, channel=first.channel)
        language = self._engine.language_of(stretch(sounds.samples, beginning), request.options, teller)
        for number, piece in enumerate(pieces, start=1):
            teller.check()
            message = CutPiece(attempt_id=request.attempt_id, number=number, audio=flac(stretch(sounds.samples, piece)))
            while not self._room_for_pieces.acquire(timeout=MOVED_SECONDS):
                teller.check()
            self.send(message)
        cut = Cut(
            duration=round(sounds.decoded.seconds, 3),
            preprocess_ms=round((time.perf_counter() - started) * 1000, 1),
            language=language.code,
            language_probability=language.probability,
            audio=sounds.decoded.audio,
            warnings=sounds.decoded.warnings,
        )
        return CutDone(attempt_id=request.attempt_id, cut=cut, pieces=tuple(pieces))

    def is_stopped(self, attempt_id: str) -> bool:
        """Whether the supervisor has asked to give this attempt up."""
        return attempt_id in self._stopped

    def send(self, message: FromModel) -> None:
        """Send a message to the supervisor, from any thread. Never blocks: if Redis holds the supervisor up, decodes go on."""
        self._outbox.put(message)

    def _send_all(self) -> None:
        with suppress(OSError):  # the supervisor is gone: `serve` notices that and ends the process
            while True:
                message = self._outbox.get()
                self._pipe.send(message)
                if isinstance(message, CutPiece):
                    self._room_for_pieces.release()


def _failed(request: Transcribe, error: FleetError, *, is_unreadable: bool = False) -> Failed:
    return Failed(
        attempt_id=request.attempt_id,
        code=error.code,
        message=error.message,
        # If only one reader failed over this file, the machine may have been the cause: another attempt may succeed.
        retryable=error.retryable or (isinstance(error, HarmfulAudio) and not error.will_again),
        is_unreadable=is_unreadable,
    )


class _Teller:
    """Sends a decode's progress to the supervisor, and raises `DecodeStopped` in a decode that is to stop."""

    def __init__(self, process: ModelProcess, request: Transcribe) -> None:
        self._process, self._attempt_id, self.urgent = process, request.attempt_id, request.urgent
        self._told_at = time.monotonic()
        #: Of the audio, once its samples are there.
        self.channels, self.seconds = 1, 0.0

    def on_segment(self, segment: Segment) -> None:
        self.check()
        # Channels are decoded one after the other, so each counts as an equal part of the whole.
        before = self.seconds * ((segment.channel or 1) - 1)
        done_seconds = round((before + segment.end) / self.channels, 3)
        self._process.send(Progress(attempt_id=self._attempt_id, segment=segment, done_seconds=done_seconds))

    def check(self) -> None:
        if self._process.is_stopped(self._attempt_id):
            raise DecodeStopped
        if time.monotonic() - self._told_at > MOVED_SECONDS:
            self._told_at = time.monotonic()
            self._process.send(Moved(attempt_id=self._attempt_id))
