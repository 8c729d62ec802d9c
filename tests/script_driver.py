"""Drives the Lua scripts directly, as gateway and workers do, with short arguments."""

from typing import Any

import redis

from shared.jobs import rq_transport, scripting
from shared.jobs.keys import Keys, piece_id
from shared.jobs.lanes import Lane

PREFIX = "test"
KEYS = Keys(PREFIX)
LANE, LONG_LANE, BATCH_LANE = (KEYS.lane("demo", lane) for lane in Lane)
TTLS = {"result_ttl": 600, "failed_audio_ttl": 60, "gone_ttl": 6000}

#: Short names for single arguments of claim.lua: their group there, and their name within.
CLAIM_ARGUMENTS = {
    "lanes": ("lanes", "names"),
    "patience": ("lanes", "patience"),
    "foreign": ("lanes", "foreign"),
    "urgent_lane": ("lanes", "urgent"),
    "model": ("fleet", "model"),
    "peer_devices": ("fleet", "peer_devices"),
    "other_device": ("fleet", "other_device"),
    "spill_ms": ("fleet", "spill_ms"),
    "urgent_in_hand": ("in_hand", "urgent"),
    "background_in_hand": ("in_hand", "background"),
    "has_long": ("in_hand", "has_long"),
    "urgent_room": ("room", "urgent"),
    "urgent_few": ("room", "urgent_few"),
    "background_room": ("room", "background"),
    "background_few": ("room", "background_few"),
    "background_seconds": ("room", "background_seconds"),
    "window_seconds": ("limits", "window_seconds"),
    "long_seconds": ("limits", "long_seconds"),
    "inline_bytes": ("limits", "inline_bytes"),
    "max_bytes": ("limits", "fetch_bytes"),
}


class ScriptDriver:
    """One method per script; answers as plain strings and lists."""

    def __init__(self, client: "redis.Redis") -> None:
        self.redis = client
        self.claims, self.last_execution, self.submit_sha = 0, "", ""
        self.to_stitch: dict[str, str] = {}
        #: Of the last sweep: id, error, ... of the records that it could not handle.
        self.broken: list[str] = []
        self.revived: list[str] = []

    def run(self, name: str, *tail: str | bytes, **named: Any) -> Any:
        script = self.redis.register_script(scripting.source(name).text)
        return _plain(script(args=list(scripting.arguments(PREFIX, TTLS | named, *tail))))

    def submit(self, job_id: str, digest: str = "", audio: bytes = b"RIFF", **more: Any) -> Any:
        """Submit a job of 2 s; the verdict and its details. Its flight key is its id unless `digest` says otherwise."""
        tenant, lane = more.pop("tenant", "default"), more.pop("lane", LANE)
        job = {
            "id": job_id,
            "tenant": tenant,
            "options": "{}",
            "model": "demo",
            "priority": "interactive",
            "lane": lane,
            "digest": digest or job_id,
            "sha256": "00",
            "audio_format": "wav",
            "size_bytes": len(audio) or 4,
            "audio_seconds": 2.0,
            "attempt": 0,
            **more.pop("job", {}),
        }
        arguments = {
            "job": job,
            "use_cache": True,
            "alive_ms": 30_000,
            "idempotency": None,
            "most_followers": 250,
            "most_followed_seconds": 100_000,
            "pieces_lane": LONG_LANE,
            "max_bytes": 1000,
            "max_audio_ms": 100_000,
            "start_deadline_ms": 60_000,
            "deadline_ms": None,
            "audio_ttl": 600,
            "idempotency_ttl": 60,
            "lane_kinds": [lane.value for lane in Lane],
        }
        named = TTLS | arguments | {"has_audio": bool(audio)} | more
        fields = rq_transport.hash_fields(job_id, lane, "2.0 s wav")
        if not self.submit_sha:
            self.submit_sha = scripting.text(self.redis.script_load(scripting.source("submit").text))
        with self.redis.pipeline(transaction=True) as transaction:
            transaction.evalsha(self.submit_sha, 0, *scripting.arguments(PREFIX, named, *fields))
            if audio:
                transaction.set(KEYS.audio(job_id), audio, xx=True, keepttl=True)
            verdict, *rest = _plain(transaction.execute()[0])
        return [verdict] if verdict == "queued" else [verdict, *(part for part in rest if not isinstance(part, list))]

    def claim(self, worker: str = "w1", lease_ms: int = 10_000, again: bool = False) -> dict[str, str]:
        """The claimed job's hash, {} if nothing waits. `again`: the last claim's answer was lost."""
        return next(iter(self.claim_several(1, worker, lease_ms, again)), {})

    def claim_several(
        self, room: int, worker: str = "w1", lease_ms: int = 10_000, again: bool = False, **company: Any
    ) -> list[dict[str, str]]:
        """The hashes of the claimed jobs. `company`: arguments of claim.lua under the names of `CLAIM_ARGUMENTS`."""
        self.claims += 1
        execution = company.pop("execution", None) or (f"x{self.claims}-{worker}" if not again else self.last_execution)
        self.last_execution = execution
        named: dict[str, Any] = {
            "lanes": {"names": [LANE, LONG_LANE], "patience": [16, 4], "foreign": [], "urgent": LANE},
            "fleet": {"model": "demo", "peer_devices": ["cpu", "cuda"], "other_device": "", "spill_ms": 10_000},
            "in_hand": {"urgent": 0, "background": 0, "has_long": False},
            "room": {
                "jobs": room, "urgent": room, "urgent_few": room,
                "background": room, "background_few": room, "background_seconds": 10_000,
            },
            "limits": {"window_seconds": 30, "long_seconds": 60, "inline_bytes": 0, "fetch_bytes": 10**6},
        }  # fmt: skip
        for name, value in company.items():
            group, field = CLAIM_ARGUMENTS[name]
            named[group][field] = value
        who = {"worker": worker, "execution": execution, "lease_ms": lease_ms}
        return [_mapping(flat) for flat, _ in self.run("claim", audio_ttl=600, **who, **named)]

    def finish(self, job_id: str, token: str, transcript: str = '{"transcript":"hello"}', **more: Any) -> str:
        """The verdict; the file to stitch, if there is one, is in `to_stitch`."""
        settings: dict[str, Any] = {
            "revision": "r1",
            "cache_ttl": 600,
            "cache_entries": 100,
            "short_windows": 0,
            "window_fallbacks": 0,
            "busy_ms": 0,
            "text": "hello",
            "lanes": [LANE, LONG_LANE],
        }
        settings |= self._worker() | more
        return self._verdict(self.run("finish", transcript, id=job_id, token=int(token), **settings))

    def put_piece(self, job_id: str, token: str, number: int) -> int:
        return int(self.run("put_piece", b"fLaC", id=job_id, token=int(token), number=number, ttl=60))

    def split(self, job_id: str, token: str, pieces: list[str], put_audio: bool = True, **more: Any) -> str:
        """Split a file into pieces ("from-to") after their audio has been put."""
        rq_fields: list[str | bytes] = []
        for number, _ in enumerate(pieces, start=1):
            if put_audio:
                self.put_piece(job_id, token, number)
            fields = rq_transport.hash_fields(piece_id(job_id, number), LONG_LANE, "piece")
            rq_fields += [str(len(fields)), *fields]
        spans = [[int(edge) for edge in piece.split("-")] for piece in pieces]
        about: dict[str, Any] = {"size_bytes": 4, "options": "{}"}
        named: dict[str, Any] = {"pieces": [{"piece": f"{a}-{b}", "seconds": (b - a) / 1000, **about} for a, b in spans]}
        cut = '{"duration":60.0,"preprocess_ms":1.0,"language":"en"}'
        named |= {"lane": LONG_LANE, "cut": cut, "start_deadline_ms": 60_000, **self._worker(), **more}
        return self._verdict(self.run("split", *rq_fields, id=job_id, token=int(token), **named))

    def _worker(self) -> dict[str, Any]:
        self.claims += 1
        return {"worker": "w1", "execution": f"s{self.claims}", "lease_ms": 10_000, "audio_ttl": 600}

    def _verdict(self, answer: list[Any]) -> str:
        self.to_stitch = _mapping(answer[1]) if answer[0] == "stitch" else {}
        return str(answer[0])

    def fail(self, job_id: str, token: str, retryable: bool, code: str = "transcription_failed") -> str:
        error = f'{{"code":"{code}","message":"m","retryable":false}}'
        return str(self.run("fail", id=job_id, token=int(token), error=error, retryable=retryable, max_attempts=3))

    def hand_back(self, job_id: str, token: str) -> int:
        return int(self.run("hand_back", id=job_id, token=int(token)))

    def retry(self, job_id: str, tenant: str = "default", key: str = "") -> str:
        return str(self.run("retry", id=job_id, tenant=tenant, key=key, audio_ttl=600))

    def publish(self, job_id: str, token: str, segments: list[str] | None = None) -> str:
        jobs = [{"id": job_id, "token": int(token), "progress_seconds": 1.5, "published": 0, "segments": segments or []}]
        return str(self.run("publish", jobs=jobs, audio_ttl=600)[0])

    def beat(self, *jobs: dict[str, str], worker: str = "w1", **more: Any) -> list[Any]:
        """The verdicts on these jobs (hashes as `claim` returns them), whether a lease lapsed, whether the worker is known."""
        held = [{"id": job["id"], "token": int(job["token"]), "execution": job["execution"]} for job in jobs]
        named: dict[str, Any] = {
            "card": ["state", "ready"],
            "lease_ms": 10_000,
            "ttl_ms": 30_000,
            "model": "demo",
            "device": "cpu",
            "is_ready": True,
            "revision": "r1",
            "expected_ttl": 3600,
            "rq": {"state": "busy"},
        }
        answer: list[Any] = self.run("beat", worker=worker, jobs=held, **(named | more))
        return answer

    def recover(self) -> list[list[str]]:
        poison = '{"code":"poison_job","message":"m","retryable":false}'
        answer: list[list[str]]
        *answer, self.broken = self.run("recover", max_attempts=3, poison_error=poison, limit=50, lease_ms=10_000)
        return answer

    def expire(self) -> list[str]:
        answer: list[str]
        answer, self.broken = self.run("expire", limit=50)
        return answer

    def reconcile(self) -> list[list[str]]:
        """Ids put back, cancelled, and of files to be cut anew; those of dead letters that live again are in `revived`."""
        answer: list[list[str]]
        *answer, self.revived, self.broken = self.run("reconcile", most=1000, audio_ttl=600)
        return answer

    def cancel(self, job_id: str, tenant: str = "default", key: str = "") -> str:
        return str(self.run("cancel", id=job_id, tenant=tenant, key=key))

    def job(self, job_id: str) -> dict[str, str]:
        return scripting.text_hash(self.redis.hgetall(KEYS.job(job_id)))  # type: ignore[arg-type]

    def state(self, job_id: str) -> str | None:
        return self.job(job_id).get("state")

    def has_audio(self, job_id: str) -> bool:
        return bool(self.redis.exists(KEYS.audio(job_id)))

    def load(self) -> tuple[int, int, int]:
        """(jobs, bytes, audio ms) that the counters say are waiting."""
        values = self.redis.hmget(KEYS.load, "jobs", "bytes", "audio_ms")
        return tuple(int(v or 0) for v in values)  # type: ignore[return-value]

    def waiting(self, lane: str = LANE) -> list[str]:
        """Ids in the lane, first served first."""
        return [scripting.text(i) for i in self.redis.lrange(rq_transport.queue_key(lane), 0, -1)]


def _mapping(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _plain(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_plain(item) for item in answer]
    return answer.decode() if isinstance(answer, bytes) else answer
