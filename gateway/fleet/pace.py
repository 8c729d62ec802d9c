"""How fast a fleet decodes while it is busy, and how long a job will take at that pace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.jobs.keys import Keys
from shared.jobs.lanes import OWNERS, Lane


class ReadyWorker(Protocol):
    """The properties of a ready worker that decide the pace."""

    @property
    def model(self) -> str: ...

    @property
    def device(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of audio decoded per second: by one busy worker, and by all ready workers together (0 if none is ready)."""

    one: float
    all: float

    def seconds_for(self, ahead: float, own: float, is_shared: bool) -> float | None:
        """Seconds until a job's audio is decoded; None when no worker is ready.

        `ahead` is the audio that is decoded before it and `own` the job's audio, both in seconds. `is_shared`: all workers decode
        parts of the job.
        """
        return ahead / self.all + own / (self.all if is_shared else self.one) if self.all else None


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of `finish.lua`: for each lane, the audio decoded lately and the time that busy workers took for it."""

    noted: Mapping[str, str]
    keys: Keys

    def pace(self, model: str, lane: Lane, ready: Sequence[ReadyWorker], is_routed: bool) -> Pace | None:
        """The pace in one lane of a model; None when no audio of that lane was ever decoded.

        Lanes are measured apart, since a second of a long piece takes less time to decode than a second of a clip.
        """
        one = self._one([self.keys.lane(model, lane)])
        holders = [worker for worker in ready if worker.model == model]
        owners = [worker for worker in holders if not is_routed or worker.device == OWNERS.get(lane, worker.device)]
        return None if one is None else Pace(one, one * len(owners or holders))

    def drain_rate(self, ready: Sequence[ReadyWorker]) -> float | None:
        """Seconds of audio per second that all ready workers decode together, for the mix of audio that they lately had.

        None when nothing was ever measured.
        """
        paces = [self._one([self.keys.lane(worker.model, lane) for lane in Lane]) for worker in ready]
        return round(sum(pace for pace in paces if pace), 3) if self.noted else None

    def _one(self, lanes: Sequence[str]) -> float | None:
        audio_ms, busy_ms = (sum(int(self.noted.get(f"{lane}:{what}", 0)) for lane in lanes) for what in ("audio_ms", "busy_ms"))
        return audio_ms / busy_ms if audio_ms and busy_ms else None
