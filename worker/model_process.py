"""The process that holds the model. It knows no Redis and no job record: requests come in by a pipe, results go out."""

import gc
import os
import queue
import signal
import threading
import time
from multiprocessing.connection import Connection

from setproctitle import setproctitle

from shared.errors import FleetError
from shared.transcript import Segment
from worker.decode import decode
from worker.engine_protocol import DecodeStopped, EngineProtocol, load_engine
from worker.engine_settings import EngineSettings
from worker.messages import (
    Able,
    Canary,
    CannotLoad,
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

#: How much the decode gives way to everything else on its machine.
NICENESS = 10
#: A decode that shows no segments yet says this often that it moves.
MOVED_SECONDS = 1.0


def serve(pipe: Connection, settings: EngineSettings) -> None:
    """Load, prove that it works, then decode until the pipe closes."""
    setproctitle(f"whisper-fleet model {settings.name}")
    # The terminal's Ctrl-C reaches the whole group; the supervisor alone decides when the model goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A decode takes what is left over: where gateway and Redis share the machine, they must answer in the meantime.
    os.nice(NICENESS)
    try:
        started = time.monotonic()
        engine = load_engine(settings)
        engine.canary()
    except Exception as error:
        pipe.send(CannotLoad(reason=f"{type(error).__name__}: {error}"))
        return
    pipe.send(Ready(model=settings.name, revision=engine.revision, device=engine.device, load_seconds=time.monotonic() - started))
    # What is loaded stays: no collection needs to look at it again.
    gc.freeze()
    ModelProcess(pipe, engine, settings.batch_size).serve()


class ModelProcess:
    """Takes requests from the pipe in one thread and decodes in others, so that a stop is heard during a decode."""

    def __init__(self, pipe: Connection, engine: EngineProtocol, threads: int) -> None:
        self._pipe, self._engine, self._threads = pipe, engine, threads
        self._requests: queue.Queue[Transcribe | Canary] = queue.Queue()
        self._stopped: set[str] = set()
        self._sending = threading.Lock()

    def serve(self) -> None:
        """Until the supervisor closes its end, or is gone."""
        for number in range(self._threads):
            threading.Thread(target=self._decode_all, name=f"decode-{number}", daemon=True).start()
        try:
            while True:
                self._take(self._pipe.recv())
        except (EOFError, OSError):
            # Without a supervisor nobody wants the result, and a decode in native code would outlive the thread.
            os._exit(0)

    def _take(self, message: FromSupervisor) -> None:
        if isinstance(message, Stop):
            self._stopped.add(message.attempt_id)
        else:
            self._requests.put(message)

    def _decode_all(self) -> None:
        while True:
            request = self._requests.get()
            if isinstance(request, Canary):
                self.send(self._prove())
            else:
                self.send(self._answer(request))
                self._stopped.discard(request.attempt_id)
            del request
            gc.collect()

    def _prove(self) -> Able | Unable:
        try:
            self._engine.canary()
        except Exception as error:
            return Unable(reason=type(error).__name__)
        return Able()

    def _answer(self, request: Transcribe) -> FromModel:
        try:
            started = time.perf_counter()
            samples = decode(request.audio, request.max_seconds)
            preprocess_ms = (time.perf_counter() - started) * 1000
            transcript = self._engine.transcribe(samples, request.options, preprocess_ms, _Teller(self, request.attempt_id))
            return Done(attempt_id=request.attempt_id, transcript=transcript)
        except DecodeStopped:
            return Stopped(attempt_id=request.attempt_id)
        except FleetError as error:
            return Failed(attempt_id=request.attempt_id, code=error.code, message=error.message, retryable=error.retryable)
        except Exception as error:
            # The text of a foreign exception may quote content; its type does not.
            message = f"The decode failed ({type(error).__name__})."
            return Failed(attempt_id=request.attempt_id, code="transcription_failed", message=message, retryable=True)

    def is_stopped(self, attempt_id: str) -> bool:
        """Whether the supervisor has asked to give this attempt up."""
        return attempt_id in self._stopped

    def send(self, message: FromModel) -> None:
        """To the supervisor, from any thread."""
        with self._sending:
            self._pipe.send(message)


class _Teller:
    """Tells the supervisor how a decode comes on, and the decode when it is to stop."""

    def __init__(self, process: ModelProcess, attempt_id: str) -> None:
        self._process, self._attempt_id = process, attempt_id
        self._told_at = time.monotonic()

    def on_segment(self, segment: Segment) -> None:
        self.check()
        self._process.send(Progress(attempt_id=self._attempt_id, segment=segment, done_seconds=segment.end))

    def check(self) -> None:
        if self._process.is_stopped(self._attempt_id):
            raise DecodeStopped
        if time.monotonic() - self._told_at > MOVED_SECONDS:
            self._told_at = time.monotonic()
            self._process.send(Moved(attempt_id=self._attempt_id))
