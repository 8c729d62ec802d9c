"""Reads a fleet key by key from Redis: checks that each key has an owner, and that the counters are right."""

from collections.abc import Iterator

import redis

from shared.jobs.scripting import text, text_hash

PREFIX = "fleet"
#: Keys that belong to the fleet and not to a job. docs/redis.md says when they end.
FLEETS_OWN = ("load", "pace", "totals", "token", "workers", "in_flight", "deadlines", "split")
#: Kinds of keys of which each lane has one. The key is gone when its lane is empty.
LANES_KINDS = ("order",)
#: Kinds of keys that must have a TTL.
MORTAL_KINDS = (
    "revisions",
    "bell",
    "claimed",
    "worker",
    "cached",
    "cache",
    "jobs",
    "idempotency",
    "sweeping",
    "expiring",
    "reconciling",
    "unreadable",
)
RQ_KINDS = ("queues", "queue", "wip", "finished", "failed", "canceled", "deferred", "workers", "worker", "clean_registries")
UNFINISHED = ("queued", "running")
#: Redis' answer to TTL for a key that never expires.
NO_TTL = -1


class Ledger:
    """All keys at one moment. Make it while no process changes them."""

    def __init__(self, server: "redis.Redis") -> None:
        self._redis = server
        self.keys = sorted(text(key) for key in server.scan_iter("*", count=1000))
        names = [key for key in self.keys if key.startswith(f"{PREFIX}:job:")]
        self.jobs = {name.rsplit(":", 1)[1]: text_hash(server.hgetall(name)) for name in names}  # type: ignore[arg-type]

    def faults(self) -> list[str]:
        """All faults: keys without an owner, members that stand for no job, counters that are wrong."""
        return [*self._orphans(), *self._strangers(), *self._drift()]

    def _orphans(self) -> Iterator[str]:
        for key in self.keys:
            owner, kind, rest = (*key.split(":", 2), "")[:3]
            if kind in RQ_KINDS if owner == "rq" else kind in FLEETS_OWN + LANES_KINDS:
                continue
            if owner == PREFIX and kind in MORTAL_KINDS:
                if self._redis.ttl(key) == NO_TTL:
                    yield f"{key} has no end"
                continue
            if not (self._owned(kind, rest) if owner == PREFIX else self._owned_by_rq(kind, rest)):
                yield f"nobody owns {key}"

    def _owned(self, kind: str, rest: str) -> bool:
        job, state = self.jobs.get(rest, {}), self.jobs.get(rest, {}).get("state")
        mortal = self._redis.ttl(f"{PREFIX}:{kind}:{rest}") >= 0
        # A piece that was put for a file which is still to be split.
        put = "put_pieces" in self.jobs.get(rest.rsplit("_p", 1)[0], {}) and not job
        return {
            "job": state in UNFINISHED or mortal,
            "audio": mortal and (state in ("failed", "expired") or (state in UNFINISHED and "leader" not in job) or put),
            "said": mortal and state in ("running", "queued", "failed", "expired"),
            "pieces": mortal and state in ("running", "queued", "failed", "expired"),
            "transcript": mortal and state == "completed",
            "partial": mortal and state == "running",
            "gone": mortal,
            "flight": any(j.get("digest") == rest and j["state"] in UNFINISHED for j in self.jobs.values()),
            "followers": any(j.get("digest") == rest and "leader" in j for j in self.jobs.values()),
        }.get(kind, False)

    def _owned_by_rq(self, kind: str, rest: str) -> bool:
        job_id = rest.split(":", maxsplit=1)[0]
        running = self.jobs.get(job_id, {}).get("state") == "running"
        return {"job": job_id in self.jobs, "execution": running, "executions": running}.get(kind, False)

    def _strangers(self) -> Iterator[str]:
        running = {job_id for job_id, job in self.jobs.items() if job["state"] == "running"}
        leased = self._members(f"{PREFIX}:in_flight")
        split = {job_id for job_id in running if int(self.jobs[job_id].get("pieces_left", 0)) > 0}
        if leased != running - split:
            yield f"leases {sorted(leased ^ (running - split))} do not match the running jobs"
        if (noted := self._members(f"{PREFIX}:split")) != split:
            yield f"the set of split files differs by {sorted(noted ^ split)}"
        whole = {job["parent"] for job in self.jobs.values() if "parent" in job}
        if split != whole:
            yield f"pieces do not match the files that are split: {sorted(split ^ whole)}"
        unfinished = {job_id for job_id, job in self.jobs.items() if job["state"] in UNFINISHED}
        if late := self._members(f"{PREFIX}:deadlines") - unfinished:
            yield f"deadlines of {sorted(late)}"
        for key in self.keys:
            if key.startswith("rq:wip:") and (stray := {m.split(":")[0] for m in self._members(key)} - running):
                yield f"{key} holds {sorted(stray)}"
            lane = key.removeprefix(f"{PREFIX}:order:")
            if lane != key and self._members(key) != (line := set(self._list(f"rq:queue:{lane}"))):
                yield f"{key} differs from the queue by {sorted(self._members(key) ^ line)}"
            if key.startswith("rq:queue:") and (stray := set(self._list(key)) - unfinished):
                yield f"{key} holds {sorted(stray)}"

    def _drift(self) -> Iterator[str]:
        waiting = [job for job in self.jobs.values() if job["state"] == "queued" and "leader" not in job]
        seconds = sum(int(float(job["audio_seconds"]) * 1000) for job in waiting)
        truth = {"jobs": len(waiting), "bytes": sum(int(job["size_bytes"]) for job in waiting), "audio_ms": seconds}
        counted = text_hash(self._redis.hgetall(f"{PREFIX}:load"))  # type: ignore[arg-type]
        for name, value in truth.items():
            if int(counted.get(name, 0)) != value:
                yield f"load says {counted.get(name, 0)} {name}, and {value} wait"

    def _members(self, key: str) -> set[str]:
        return {text(member) for member in self._redis.zrange(key, 0, -1)}  # type: ignore[arg-type]

    def _list(self, key: str) -> list[str]:
        return [text(member) for member in self._redis.lrange(key, 0, -1)]
