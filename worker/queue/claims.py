"""How a worker gets its jobs: it claims as many as it has room for."""

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

#: A worker decodes only one job with longer audio at a time: four hours of audio are a gigabyte of samples.
LONG_SECONDS = 300
#: Most bytes of audio that one claim brings (a single job may be larger): no lease is renewed while the worker fetches them.
FETCH_BYTES = 32_000_000
#: Audio up to this size comes with the claim: to copy it costs less than another round trip.
INLINE_BYTES = 256 * 1024
LIMITS = {
    "window_seconds": WINDOW_SECONDS,
    "long_seconds": LONG_SECONDS,
    "inline_bytes": INLINE_BYTES,
    "fetch_bytes": FETCH_BYTES,
}


class Claims:
    """Claims jobs for one worker. Every method raises `redis.RedisError` when Redis is away."""

    def __init__(self, scripts: ScriptRunner, settings: WorkerSettings, lanes: ServedLanes, leases: Leases) -> None:
        self._scripts, self._settings, self._lanes, self._leases = scripts, settings, lanes, leases
        self._execution = uuid4().hex

    def claim(self, room: int, in_hand: Sequence[Job]) -> list[LeasedJob]:
        """Claim the next jobs; they are now under this worker's lease.

        At most `room` jobs, no more than this worker's share of the waiting jobs, and none that must not run beside `in_hand`.
        """
        named = {"lanes": self._served(), "fleet": self._fleet(), "limits": LIMITS, **self._company(in_hand, room)}
        answers = self._scripts.run("claim", execution=self._execution, **named, **self._scripts.lease)
        # A claim without an answer is sent again with the same id: the script then answers with the same jobs, not with more.
        self._execution = uuid4().hex
        return [leased for flat, audio in answers if (leased := self._leases.read(scripting.text_hash(flat), audio))]

    def _served(self) -> dict[str, object]:
        """The script's argument `lanes`: the lanes that this worker serves."""
        route = self._lanes.route
        return {
            "names": self._lanes.names,
            "patience": [lane.patience for lane in route.lanes],
            "foreign": [self._lanes.name_of(lane) for lane in route.foreign],
            "urgent": self._lanes.name_of(Lane.INTERACTIVE),
        }

    def _fleet(self) -> dict[str, object]:
        """The script's argument `fleet`: the other workers that serve these lanes."""
        route = self._lanes.route
        return {
            "model": self._settings.model_name,
            "peer_devices": route.peer_devices,
            "other_device": route.other_device,
            "spill_ms": int(self._settings.route_spill_seconds * 1000),
        }

    def _company(self, in_hand: Sequence[Job], jobs: int) -> dict[str, object]:
        """The script's arguments `in_hand` and `room`: the jobs that this worker has, and how many may join them."""
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
            encodes_in_full=self._settings.whisper_encoder_window != "adaptive",
            is_for_long=self._lanes.route.is_for_long,
            batch_size=self._settings.whisper_batch_size,
        )
