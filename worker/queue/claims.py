"""How a worker gets its jobs: it claims what it has room for."""

from collections.abc import Sequence
from dataclasses import asdict
from uuid import uuid4

from shared.jobs import scripting
from shared.jobs.job import Job
from shared.jobs.lanes import Lane
from shared.settings import WorkerSettings
from worker.queue.leased_job import LeasedJob
from worker.queue.leases import Leases
from worker.queue.room import WINDOW_SECONDS, Kind, room_beside
from worker.queue.routing import ServedLanes
from worker.queue.script_runner import ScriptRunner

#: Of longer audio a worker decodes one at a time: four hours are a gigabyte of samples.
LONG_SECONDS = 300
#: What one claim brings at most (or one job, whatever its size): while it is fetched, no lease is renewed.
FETCH_BYTES = 32_000_000
#: Audio up to this size comes with the claim: a round trip saved costs more than a copy.
INLINE_BYTES = 256 * 1024
LIMITS = {
    "window_seconds": WINDOW_SECONDS,
    "long_seconds": LONG_SECONDS,
    "inline_bytes": INLINE_BYTES,
    "fetch_bytes": FETCH_BYTES,
}


class Claims:
    """Takes jobs for one worker. Every method raises `redis.RedisError` when Redis is away."""

    def __init__(self, scripts: ScriptRunner, settings: WorkerSettings, lanes: ServedLanes, leases: Leases) -> None:
        self._scripts, self._settings, self._lanes, self._leases = scripts, settings, lanes, leases
        self._execution = uuid4().hex

    def claim(self, room: int, in_hand: Sequence[Job]) -> list[LeasedJob]:
        """The next jobs, now under our lease: at most `room`, our share of what waits, and none that must not join `in_hand`."""
        named = {"lanes": self._served(), "fleet": self._fleet(), "limits": LIMITS, **self._company(in_hand, room)}
        answers = self._scripts.run("claim", execution=self._execution, **named, **self._scripts.lease)
        # Only an answered claim uses up the id: asking again with the same one cannot take more jobs.
        self._execution = uuid4().hex
        return [leased for flat, audio in answers if (leased := self._leases.read(scripting.text_hash(flat), audio))]

    def _served(self) -> dict[str, object]:
        """The lanes that it looks into."""
        route = self._lanes.route
        return {
            "names": self._lanes.names,
            "patience": [lane.patience for lane in route.lanes],
            "foreign": [self._lanes.name_of(lane) for lane in route.foreign],
            "urgent": self._lanes.name_of(Lane.INTERACTIVE),
        }

    def _fleet(self) -> dict[str, object]:
        """Who else serves them."""
        route = self._lanes.route
        return {
            "model": self._settings.model_name,
            "peer_devices": route.peer_devices,
            "other_device": route.other_device,
            "spill_ms": int(self._settings.route_spill_seconds * 1000),
        }

    def _company(self, in_hand: Sequence[Job], jobs: int) -> dict[str, object]:
        """The jobs that it has, and what may join them."""
        lengths = [job.audio_seconds for job in in_hand if not self._lanes.is_urgent(job)]
        urgent = len(in_hand) - len(lengths)
        has_long = any(job.audio_seconds > LONG_SECONDS for job in in_hand)
        return {
            "in_hand": {"urgent": urgent, "background": len(lengths), "has_long": has_long},
            "room": {"jobs": jobs, **asdict(room_beside(urgent, lengths, self._kind()))},
        }

    def _kind(self) -> Kind:
        return Kind(
            on_cpu=self._lanes.on_cpu,
            full_window=self._settings.whisper_encoder_window == "full",
            is_for_long=self._lanes.route.is_for_long,
            batch_size=self._settings.whisper_batch_size,
        )
