"""How fast a fleet is while it has something to do, and how long a job will take by that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.jobs.keys import Keys
from shared.jobs.lanes import OWNERS, Lane


class ReadyWorker(Protocol):
    """What counts of one."""

    @property
    def model(self) -> str: ...

    @property
    def device(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of audio per second: of one worker that has something to do, and of all that are ready (0 if none is)."""

    one: float
    all: float

    def seconds_for(self, ahead: float, own: float, is_shared: bool) -> float | None:
        """Until audio is done that has so much ahead of it, in seconds both; None when nobody is there to decode it.

        `is_shared`: all workers decode parts of it.
        """
        return ahead / self.all + own / (self.all if is_shared else self.one) if self.all else None


@dataclass(frozen=True, slots=True)
class Measured:
    """What `finish.lua` notes: by lane, audio that was decoded lately and the time that busy workers took for it."""

    noted: Mapping[str, str]
    keys: Keys

    def pace(self, model: str, lane: Lane, ready: Sequence[ReadyWorker], is_routed: bool) -> Pace | None:
        """Of the audio that waits in a lane; None when none was ever decoded. A long piece costs less per second than a clip."""
        one = self._one([self.keys.lane(model, lane)])
        holders = [worker for worker in ready if worker.model == model]
        owners = [worker for worker in holders if not is_routed or worker.device == OWNERS.get(lane, worker.device)]
        return None if one is None else Pace(one, one * len(owners or holders))

    def drain_rate(self, ready: Sequence[ReadyWorker]) -> float | None:
        """Of the whole fleet, with the audio that it lately had; None when nothing was ever measured."""
        paces = [self._one([self.keys.lane(worker.model, lane) for lane in Lane]) for worker in ready]
        return round(sum(pace for pace in paces if pace), 3) if self.noted else None

    def _one(self, lanes: Sequence[str]) -> float | None:
        audio_ms, busy_ms = (sum(int(self.noted.get(f"{lane}:{what}", 0)) for lane in lanes) for what in ("audio_ms", "busy_ms"))
        return audio_ms / busy_ms if audio_ms and busy_ms else None
