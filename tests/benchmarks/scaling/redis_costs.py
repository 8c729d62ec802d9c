"""The cost in Redis of each step of a job's life, measured on a real server."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import redis

from shared.audio.report import AudioReport, Level, Track
from shared.jobs.lanes import Lane
from shared.jobs.options import TranscriptionOptions
from shared.settings import WorkerSettings
from shared.transcripts.transcript import Segment, Transcript
from tests.script_driver import KEYS, PREFIX, ScriptDriver
from worker.queue.assembly import QueueSide, assemble
from worker.queue.bell import RING_SECONDS, Bell
from worker.queue.leased_job import LeasedJob
from worker.queue.rq_worker import FleetWorker, rq_fields
from worker.supervising.intake import BUSY_LOOK_SECONDS, IDLE_LOOK_SECONDS
from worker.supervising.presence import BEATS_PER_LEASE

JOBS, CLIP_SECONDS, CLIP_BYTES = 400, 3, 44 + 3 * 16_000 * 2
BEAT, BUSY_BEAT, PUBLISH, LOOK, RING, NOTHING = (
    "beat of an idle worker", "beat with a full batch, its leases renewed", "publish a segment", "look whether a job waits",
    "wait for the bell", "claim in vain",
)  # fmt: skip
JOB, IDLE, BUSY = "**a job, submit to result**", "**an idle worker, a second**", "**a busy worker, a second**"
LANES = [lane.value for lane in Lane]
TRACK = Track(track=1, codec="pcm_s16le", channels=1, sample_rate_hz=16_000, default=True)
TEXT = "and then she asked whether anybody had seen the keys"
SEGMENT = Segment(
    id=0, start=0.0, end=2.96, text=TEXT, confidence=0.8312, avg_logprob=-0.1849, no_speech_prob=0.0127,
    compression_ratio=1.1304, tokens=list(range(50_364, 50_382)),
)  # fmt: skip
TRANSCRIPT = Transcript(
    transcript=TEXT, language="en", language_probability=1, duration=3.0, segments=[SEGMENT], preprocess_ms=3.2,
    transcribe_ms=212.4, model="demo", model_revision="0" * 12, device="cpu",
    audio=AudioReport(tracks=[TRACK], level=Level(rms_dbfs=-21.4, peak_dbfs=-0.1, clipped_share=0.0)),
)  # fmt: skip


class Cost(NamedTuple):
    """A cost in Redis: commands (including those in scripts), bytes each way, microseconds of processor time."""

    commands: float = 0
    bytes_in: float = 0
    bytes_out: float = 0
    cpu_us: float = 0

    def plus(self, other: "Cost", times: float = 1) -> "Cost":
        """The sum, with `other` multiplied by `times`."""
        return Cost(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


class Probe:
    """Does the steps of gateway and workers, and reads their cost from Redis. No worker holds more than a full batch."""

    def __init__(self, client: "redis.Redis", **settings: Any) -> None:
        self.client, self.fleet = client, ScriptDriver(client)
        self.settings = WorkerSettings(fleet_prefix=PREFIX, whisper_model="demo", **settings)
        self.batch = self.settings.whisper_batch_size
        self.workers = [assemble(client, self.settings, f"w{n}") for n in range(JOBS // self.batch)]
        self.entry = FleetWorker("w0", self.workers[0].lanes.names, client)
        self.entry.arrive(60)
        for worker in self.workers:
            self.beat(worker)

    def cost(self, step: Callable[[int], object], times: int = JOBS) -> Cost:
        """The average cost of one step. The first one, which loads the scripts, is not counted."""
        step(0)
        before = self._counters()
        for number in range(1, times):
            step(number)
        return Cost().plus(self._counters().plus(before, -1), 1 / (times - 1))

    def submit(self, job_id: str, size: int = CLIP_BYTES) -> None:
        """Submit a job with a record of usual size."""
        job = {
            "audio_seconds": CLIP_SECONDS,
            "options": TranscriptionOptions(language="en").stored(),
            "audio": AudioReport(tracks=[TRACK]).model_dump_json(exclude_defaults=True),
            "sha256": uuid4().hex * 2,
            "digest": uuid4().hex * 2,
        }
        audio_ttl = self.settings.audio_ttl_seconds()
        limits: dict[str, Any] = {"max_bytes": 10**10, "max_audio_ms": 10**10, "audio_ttl": audio_ttl}
        limits |= self.settings.terminal_ttls()
        assert self.fleet.submit(job_id, audio=bytes(size), job=job, **limits) == ["queued"]

    def claim(self, number: int) -> LeasedJob:
        """Claim the next job, with its audio."""
        worker = self.workers[number // self.batch]
        (leased,) = worker.claims.claim(1, [])
        assert worker.leases.audio([leased])[0] is not None
        return leased

    def finish(self, leased: LeasedJob) -> None:
        """Finish a job with a transcript of usual size."""
        self.workers[0].leases.finish(leased, TRANSCRIPT)

    def read(self, job_id: str, done: bool) -> None:
        """Read a job as a poll does."""
        answer = self.fleet.run("read", id=job_id, tenant="default", lane_kinds=LANES)
        assert (answer[1] is not None) == done

    def beat(self, worker: QueueSide, held: Sequence[LeasedJob] = ()) -> None:
        """Announce a worker that holds these jobs as it does itself, to the fleet and to RQ's tools."""
        for_rq = rq_fields(is_busy=bool(held), succeeded=1, failed=0)
        heard = worker.register.beat({"real_time_factor": "0.1"} if held else {}, "0" * 12, held, for_rq, is_ready=True)
        assert not heard.stale

    def publish(self, leased: LeasedJob) -> None:
        """Publish one more segment of a job."""
        leased.unsent.append(SEGMENT)
        assert self.workers[0].leases.publish([leased]) == [True]

    def _counters(self) -> Cost:
        info: dict[str, Any] = self.client.info("all")
        cpu_us = 1e6 * (info["used_cpu_user"] + info["used_cpu_sys"])
        return Cost(info["total_commands_processed"], info["total_net_input_bytes"], info["total_net_output_bytes"], cpu_us)


def step_costs(probe: Probe) -> dict[str, Cost]:
    """The costs of each step of a job's life, and of a worker's other work."""
    ids, leased, worker = [str(uuid4()) for _ in range(JOBS)], list[LeasedJob](), probe.workers[0]
    costs = {"submit": probe.cost(lambda n: probe.submit(ids[n]))}
    costs["read while it waits"] = probe.cost(lambda n: probe.read(ids[n], done=False))
    costs["claim, fetch the audio"] = probe.cost(lambda n: leased.append(probe.claim(n)))
    own = leased[: probe.batch]
    costs[BUSY_BEAT] = probe.cost(lambda _: probe.beat(worker, own))
    costs[PUBLISH] = probe.cost(lambda _: probe.publish(own[0]))
    costs[LOOK] = probe.cost(lambda _: worker.claims.anything_waits())
    costs[NOTHING] = probe.cost(lambda _: worker.claims.claim(1, [leased[0].job]))
    costs["finish"] = probe.cost(lambda n: probe.finish(leased[n]))
    costs["read the result"] = probe.cost(lambda n: probe.read(ids[n], done=True))
    probe.client.lpush(KEYS.bell(worker.lanes.names[0]), *[1] * JOBS)
    bell = Bell(probe.client, probe.settings, worker.lanes)
    costs[RING] = probe.cost(lambda _: bell.wait())
    costs[BEAT] = probe.cost(lambda _: probe.beat(worker))
    return costs


def all_costs(probe: Probe, lease_seconds: float) -> dict[str, Cost]:
    """The costs of the steps in a round, and their sums."""
    costs = step_costs(probe)
    job = Cost()
    for name in costs.keys() - {BEAT, BUSY_BEAT, PUBLISH, LOOK, RING, NOTHING}:
        job = job.plus(costs[name])
    beats = BEATS_PER_LEASE / lease_seconds
    idle = Cost().plus(costs[BEAT], beats).plus(costs[RING], 1 / RING_SECONDS).plus(costs[LOOK], 1 / IDLE_LOOK_SECONDS)
    busy = Cost().plus(costs[BUSY_BEAT], beats).plus(costs[LOOK], 1 / BUSY_LOOK_SECONDS).plus(costs[PUBLISH])
    return costs | {JOB: job, IDLE: idle, BUSY: busy}


def kept_bytes(probe: Probe) -> tuple[float, float, float, float]:
    """Bytes of a job that waits; of one that has just completed; of one whose result can still be fetched when RQ's tools show
    it no more; and of one that answers 410."""
    start = _sizes(probe)
    for _ in range(JOBS):
        probe.submit(str(uuid4()))
    waiting = sum(_sizes(probe)) - sum(start)
    for number in range(JOBS):
        probe.finish(probe.claim(number))
    shown, short, long = (now - before for now, before in zip(_sizes(probe), start, strict=True))
    return waiting / JOBS, (shown + short + long) / JOBS, (short + long) / JOBS, long / JOBS


def _sizes(probe: Probe) -> tuple[int, int, int]:
    """Bytes in RQ's keys of completed jobs, in keys that are gone after RESULT_TTL_SECONDS, and in keys that stay longer."""
    shown, short, long = 0, 0, 0
    for name in list(probe.client.scan_iter("*", count=1000)):
        size = int(probe.client.memory_usage(name, samples=0) or 0)
        if name.startswith((b"rq:finished:", b"rq:job:")):
            shown += size
        elif 0 < probe.client.ttl(name) <= probe.settings.result_ttl_seconds:
            short += size
        else:
            long += size
    return shown, short, long
