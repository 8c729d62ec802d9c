"""How much sound FFmpeg makes of a file, read as its command line reads it, independently of the product's own reading.

It runs in a process of its own: it has none of the product's walls, and some of the files break it.
"""

import io
import multiprocessing
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, cast

import av
import av.container
from av.audio.stream import AudioStream

#: Sound beyond this is not counted, and no file takes longer than this.
MOST_SECONDS, PATIENCE_SECONDS = 120.0, 10.0
_MEMORY_BYTES = 2_000_000_000
_ERRORS = (av.FFmpegError, ValueError, OSError, EOFError, OverflowError, MemoryError, IndexError)


@dataclass(frozen=True)
class Heard:
    """Seconds of sound: `forced` with the given demuxer and track, `free` by FFmpeg's own choice. None: not readable."""

    forced: float | None = None
    free: float | None = None
    free_format: str = ""


class Reference:
    """The reference process. It is replaced when it dies or takes too long; the file in question then has no reference."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self.deaths = 0
        self._start()

    def heard(self, content: bytes, demuxer: str, track: int) -> Heard | None:
        """The sound of a file; None if it broke the process. Without a demuxer there is only FFmpeg's own choice."""
        with suppress(EOFError, OSError):
            self._pipe.send((content, demuxer, track))
            if self._pipe.poll(3 * PATIENCE_SECONDS):
                return cast("Heard", self._pipe.recv())
        self.close()
        self.deaths += 1
        self._start()
        return None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


def _serve(pipe: Connection) -> None:
    av.logging.set_level(None)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(EOFError, OSError):
        while True:
            pipe.send(_heard(*pipe.recv()))


def _heard(content: bytes, demuxer: str, track: int) -> Heard:
    forced = _seconds(content, demuxer, track) if demuxer else None
    found, seconds = "", None
    with suppress(*_ERRORS), _opened(content, None) as source:
        found = source.format.name
        best = cast("AudioStream | None", source.streams.best("audio"))
        is_same = best is not None and demuxer in found.split(",") and source.streams.audio.index(best) == track - 1
        if is_same and forced is not None:
            seconds = forced
        elif best is not None:
            seconds = _sum(source, best)
    return Heard(forced, seconds, found)


def _seconds(content: bytes, demuxer: str, track: int) -> float | None:
    with suppress(*_ERRORS), _opened(content, demuxer) as source:
        streams = source.streams.audio
        return _sum(source, streams[track - 1]) if len(streams) >= track else None
    return None


def _opened(content: bytes, demuxer: str | None) -> Any:
    options = {"protocol_whitelist": "none"}
    return av.open(io.BytesIO(content), "r", format=demuxer, options=options, metadata_errors="replace")


def _sum(source: av.container.InputContainer, stream: AudioStream) -> float | None:
    """Seconds of all frames. A packet that fails is skipped; where no more can be read, the file ends."""
    if getattr(stream, "codec_context", None) is None:
        return None
    seconds, until = 0.0, time.monotonic() + PATIENCE_SECONDS
    with suppress(*_ERRORS):
        for packet in source.demux(stream):
            with suppress(*_ERRORS):
                seconds += sum(frame.samples / frame.sample_rate for frame in packet.decode() if frame.sample_rate)
            if seconds > MOST_SECONDS or time.monotonic() > until:
                break
    return seconds
