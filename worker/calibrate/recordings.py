"""The operator's audio files, and what is said in them where a reference tells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.audio.request import SAMPLE_RATE_HZ
from shared.audio.sound import Samples
from shared.audio.walls.shared_memory import SharedFile
from shared.errors import FleetError
from shared.jobs.options import TranscriptionOptions
from worker.model.decode import Decoder


class UnreadableFile(Exception):
    """A file that cannot be used. The message names it and says why."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Mono samples, 16 kHz. `reference`: the text that is said; None if there is no reference."""

    name: str
    samples: Samples
    reference: str | None

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


def read_recordings(files: Sequence[Path], references: Path | None, max_seconds: float) -> list[Recording]:
    """Read each file as for a job with default options. Raises `UnreadableFile`.

    The reference of `call.wav` is `call.txt`, in the folder `references`, else beside the audio file.
    """
    decoder = Decoder()
    decoder.start()
    try:
        return list(_read_all(decoder, files, references, max_seconds))
    finally:
        decoder.close()


def _read_all(decoder: Decoder, files: Sequence[Path], references: Path | None, max_seconds: float) -> Iterator[Recording]:
    wanted = TranscriptionOptions().wanted(max_seconds)
    for path in files:
        try:
            sounds = decoder.decode(SharedFile(path.read_bytes()), wanted, max_seconds, 1, check=lambda: None)
        except (FleetError, OSError) as error:
            raise UnreadableFile(f"{path}: {error.message if isinstance(error, FleetError) else error.strerror}") from error
        text = (references or path.parent) / f"{path.stem}.txt"
        yield Recording(name=path.name, samples=sounds.samples[0], reference=_text(text) if text.is_file() else None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"{path}: no text in UTF-8 ({type(error).__name__}).") from error
