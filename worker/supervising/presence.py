"""How the fleet sees this worker: its card in Redis, and its entry among RQ's workers. Also runs the recovery sweep."""

import os
import socket
import time
from datetime import datetime, timezone

from shared.logs import get_logger
from shared.settings import WorkerSettings
from shared.transcripts.transcript import Transcript
from worker.messages import ChosenEncoder, Ready
from worker.queue.register import Register
from worker.queue.routing import ServedLanes
from worker.queue.rq_worker import FleetWorker

#: How often this worker tries the recovery sweep. A lock lets only one worker of the fleet sweep in a second.
SWEEP_SECONDS = 1.0

#: Weight of the latest decode in the average of the real-time factor.
SPEED_SHARE = 0.1

_LOG = get_logger(__name__)


def worker_name() -> str:
    """A name that is unique per process, and that tells people the host and the process id."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(2).hex()}"


class Presence:
    """Announces this worker with a beat every fifth of a lease; a change of state makes the next beat due at once.

    `arrive`, `beat`, `sweep` and `leave` call Redis, and raise `RedisError` when Redis is away.
    """

    def __init__(self, settings: WorkerSettings, register: Register, lanes: ServedLanes, rq_worker: FleetWorker) -> None:
        self._settings, self._register, self._lanes, self._rq_worker = settings, register, lanes, rq_worker
        self._beat_every_seconds = settings.lease_seconds / 5
        self._beaten_at = float("-inf")
        self._swept_at = 0.0
        self.postpone_sweep()
        self._cache_revision, self._real_time_factor = "", 0.0
        self._card = {
            "model": settings.model_name,
            "revision": "",
            "device": "",
            **_about(ChosenEncoder(name="", precision="")),
            "state": "loading",
            "host": socket.gethostname(),
            "pid": str(os.getpid()),
            "started_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }

    def arrive(self) -> None:
        """Announce this worker as loading."""
        self._rq_worker.arrive(self._ttl_seconds())
        self._register.announce(self._card, self._cache_revision)

    def ready(self, event: Ready) -> None:
        """The model is ready: from now on the fleet counts on this worker."""
        encoder = event.encoder
        self._cache_revision = self._settings.cache_revision(event.revision, encoder.name, encoder.precision)
        self._lanes.runs_on(event.device)
        self._change(state="ready", revision=event.revision, device=event.device, **_about(encoder))

    def decoded(self, transcript: Transcript) -> None:
        """Add the real-time factor of a decode to the running average that the card shows."""
        if transcript.duration > 0:
            factor = transcript.transcribe_ms / 1000 / transcript.duration
            self._real_time_factor += SPEED_SHARE * (factor - self._real_time_factor) if self._real_time_factor else factor
            self._card["real_time_factor"] = f"{self._real_time_factor:.3f}"

    def loading(self) -> None:
        """The worker cannot decode until a model is ready again."""
        self._change(state="loading")

    def draining(self) -> None:
        """The worker is draining: the fleet no longer counts on it."""
        self._change(state="draining")

    def beat(self, busy: bool) -> None:
        """Announce that this worker is alive, if it is time."""
        now = time.monotonic()
        if now - self._beaten_at < self._beat_every_seconds:
            return
        self._register.announce(self._card, self._cache_revision)
        self._rq_worker.beat(self._ttl_seconds(), busy)
        self._beaten_at = now

    def sweep(self) -> None:
        """Recover the jobs that dead workers held, if it is time and no other worker has just done so."""
        now = time.monotonic()
        if now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        swept = self._register.recover()
        if swept and (swept.requeued or swept.failed):
            _LOG.warning("recovered", requeued=swept.requeued, failed=swept.failed)
        if swept and swept.broken:
            _LOG.error("broken_records", jobs=swept.broken)

    def postpone_sweep(self) -> None:
        """Wait one lease before the next sweep, so that living workers can renew their leases first.

        All leases may have lapsed while Redis was away, or before this worker started.
        """
        self._swept_at = time.monotonic() + self._settings.lease_seconds

    def leave(self) -> None:
        """Remove this worker's entries."""
        self._register.leave()
        self._rq_worker.leave()

    def _change(self, **fields: str) -> None:
        """Note a change. The next beat, which is now due at once, publishes it."""
        self._card |= fields
        self._beaten_at = float("-inf")

    def _ttl_seconds(self) -> int:
        return int(3 * self._settings.lease_seconds)


def _about(encoder: ChosenEncoder) -> dict[str, str]:
    """The card's fields on the encoder: which, why, and the milliseconds for a window that were measured for each."""
    ms = ", ".join(f"{name} {value:.0f} ms" for name, value in encoder.ms.items())
    return {
        "encoder": encoder.name,
        "encoder_precision": encoder.precision,
        "encoder_why": f"{encoder.why}: {ms}" if ms else encoder.why,
    }
