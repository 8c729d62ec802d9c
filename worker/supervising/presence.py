"""How the fleet sees this worker: its beats, its card, and its entry among RQ's workers. Also runs the recovery sweep."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from redis import RedisError

from shared.logs import get_logger
from shared.settings import WorkerSettings
from shared.transcripts.transcript import Transcript
from worker.messages import ChosenEncoder, Ready
from worker.queue.leased_job import LeasedJob
from worker.queue.register import Heard, Register
from worker.queue.routing import ServedLanes
from worker.queue.rq_worker import FleetWorker, rq_fields

#: How many beats a worker makes within a lease.
BEATS_PER_LEASE = 5
#: After this number of beats the whole card is sent again: a failover may have lost what was sent last.
WHOLE_CARD_BEATS = 10

#: Weight of the latest decode in the average of the real-time factor.
SPEED_SHARE = 0.1

_LOG = get_logger(__name__)


def worker_name() -> str:
    """A name that is unique per process, and that tells people the host and the process id."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(2).hex()}"


class Presence:
    """Announces this worker, and renews its leases, with a beat every fifth of a lease.

    A change of state makes the next beat due at once.

    `arrive`, `beat` and `leave` call Redis, and raise `RedisError` when Redis is away.
    """

    def __init__(self, settings: WorkerSettings, register: Register, lanes: ServedLanes, rq_worker: FleetWorker) -> None:
        self._settings, self._register, self._lanes, self._rq_worker = settings, register, lanes, rq_worker
        self._beat_every_seconds = settings.lease_seconds / BEATS_PER_LEASE
        self._beaten_at = float("-inf")
        self._sweeps_from = 0.0
        self.postpone_sweep()
        self._cache_revision, self._real_time_factor = "", 0.0
        #: For RQ's page of workers: how many decodes ended well, and how many did not.
        self._succeeded, self._failed = 0, 0
        #: The card as Redis has it; how many beats there were; whether the last one said that a lease had lapsed.
        self._told: dict[str, str] = {}
        self._beats, self._had_lapsed = 0, False
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
        self._beat((), {})

    def ready(self, event: Ready) -> None:
        """The model is ready: from now on the fleet counts on this worker."""
        encoder = event.encoder
        self._cache_revision = self._settings.cache_revision(event.revision, encoder.name, encoder.precision)
        self._lanes.runs_on(event.device)
        self._change(state="ready", revision=event.revision, device=event.device, **_about(encoder))

    def decoded(self, transcript: Transcript) -> None:
        """Count a decode, and add its real-time factor to the running average that the card shows."""
        self._succeeded += 1
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

    def failed(self) -> None:
        """Count a decode that failed."""
        self._failed += 1

    def beat(self, held: Sequence[LeasedJob]) -> Heard | None:
        """Say that this worker lives and holds these jobs, if it is time. Recovers the jobs of dead workers if there are any.

        None if it is not time.
        """
        now = time.monotonic()
        if now - self._beaten_at < self._beat_every_seconds:
            return None
        for_rq = rq_fields(is_busy=bool(held), succeeded=self._succeeded, failed=self._failed)
        heard = self._beat(held, for_rq)
        self._beaten_at = now
        try:
            self._follow(heard, now)
        except RedisError as error:
            # The caller must learn which jobs it has lost, whatever became of this.
            _LOG.warning("store_away", step="after_beat", error=type(error).__name__)
        return heard

    def _follow(self, heard: Heard, now: float) -> None:
        """Register anew if Redis has lost this worker, and recover the jobs of dead workers.

        A lease must have been seen as lapsed by two beats: after a stop of Redis, or a step of its clock, living workers renew
        theirs between the two: all workers beat equally often.
        """
        if not heard.is_known:
            self._told = {}
            self._rq_worker.arrive_again(self._ttl_seconds())
        had_lapsed, self._had_lapsed = self._had_lapsed, heard.has_lapsed
        if heard.has_lapsed and had_lapsed and now >= self._sweeps_from:
            self._sweep()

    def _beat(self, held: Sequence[LeasedJob], for_rq: Mapping[str, object]) -> Heard:
        """Beat, and send what has changed on the card. Now and then, and after an error, send all of it."""
        card, told = dict(self._card), self._told if self._beats % WHOLE_CARD_BEATS else {}
        self._beats, self._told = self._beats + 1, {}
        news = {field: value for field, value in card.items() if told.get(field) != value}
        is_ready = card["state"] == "ready"
        heard = self._register.beat(news, self._cache_revision, held, for_rq, is_ready=is_ready)
        self._told = card
        return heard

    def beat_soon(self) -> None:
        """The next beat is due at once."""
        self._beaten_at = float("-inf")

    def _sweep(self) -> None:
        swept = self._register.recover()
        if swept.requeued or swept.failed:
            _LOG.warning("recovered", requeued=swept.requeued, failed=swept.failed)
        if swept.broken:
            _LOG.error("broken_records", jobs=swept.broken)

    def postpone_sweep(self) -> None:
        """Wait one lease before the next sweep, so that living workers can renew their leases first.

        All leases may have lapsed while Redis was away, or before this worker started.
        """
        self._sweeps_from = time.monotonic() + self._settings.lease_seconds

    def leave(self) -> None:
        """Remove this worker's entries."""
        self._register.leave()
        self._rq_worker.leave()

    def _change(self, **fields: str) -> None:
        """Note a change. The next beat, which is now due at once, publishes it."""
        self._card |= fields
        self.beat_soon()

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
