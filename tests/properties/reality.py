"""What is in Redis, in the words of the model; and what the model expects there."""

from collections.abc import Iterable, Mapping
from typing import Any

import redis

from shared.job import JobState
from shared.scripting import text, text_hash
from tests.properties.clicks import Fleet
from tests.properties.records import Record
from tests.script_driver import PREFIX

Facts = dict[str, Any]
#: A record's fields that the model predicts.
FIELDS = (
    "state attempt token leader lane suspect execution ended_by audio_of parent piece pieces pieces_left put_pieces digest model"
).split()
#: Keys that may stay when the time of everything else is over. docs/redis.md says who ends them.
FLEETS_OWN = {f"{PREFIX}:{name}" for name in ("load", "totals", "token", "pace", "revisions:demo", "revisions:tiny")} | {"rq:queues"}
RQ_STATES = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "started",
    JobState.COMPLETED: "finished",
    JobState.FAILED: "failed",
    JobState.CANCELED: "canceled",
    JobState.EXPIRED: "failed",
}


def expected(fleet: Fleet) -> Facts:
    """All that the model knows."""
    noted = {(r.id, r.execution) for r in fleet.records.values() if r.is_noted}
    return {
        "records": {r.id: _fields(r) for r in fleet.records.values()},
        "order": _filled(fleet.order),
        "lists": _filled(fleet.queues),
        "passed over": {lane: times for lane, times in fleet.passed_over.items() if times},
        "load": fleet.load(),
        "leases": set(fleet.leases),
        "deadlines": set(fleet.watched),
        "split": fleet.split,
        "audio": fleet.audio,
        "transcripts": fleet.transcripts,
        "checkpoints": fleet.checkpoints,
        "flights": fleet.flights,
        "followers": _filled(fleet.followers),
        "segments": {r.id: r.segments for r in fleet.records.values() if r.segments},
        "cache": fleet.cache,
        "ended": fleet.gone,
        "token": fleet.token,
        "known to RQ": fleet.in_rq,
        "at work, for RQ": noted,
        "totals": {name: times for name, times in fleet.totals.items() if times and name != "refused_writes"},
    }


def _fields(job: Record) -> dict[str, str]:
    known = {
        "state": job.state.value,
        "attempt": job.attempt,
        "token": job.token,
        "leader": job.leader,
        "lane": job.lane,
        "suspect": 1 if job.is_suspect else None,
        "execution": job.execution,
        "ended_by": job.ended_by,
        "audio_of": job.audio_of,
        "parent": job.parent,
        "piece": job.piece,
        "pieces": job.pieces,
        "pieces_left": job.pieces_left,
        "put_pieces": job.put or None,
        "digest": job.digest,
        "model": job.model,
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def _filled(lists: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: line for name, line in lists.items() if line}


class Reality:
    """All keys of one moment, read in one step."""

    def __init__(self, client: "redis.Redis") -> None:
        names = [text(name) for name in client.keys("*")]  # type: ignore[union-attr]
        asked = client.pipeline()
        for name in names:
            self._ask(asked, name)
            asked.ttl(name)
        answers = asked.execute()
        self.values = dict(zip(names, answers[::2], strict=True))
        self.ttls = dict(zip(names, answers[1::2], strict=True))

    @staticmethod
    def _ask(asked: Any, name: str) -> None:
        """The type of a key follows from its name."""
        owner, kind = name.split(":")[:2]
        if owner == "rq":
            kind = {"job": "hash", "execution": "hash", "queue": "list", "queues": "set", "worker": "set"}.get(kind, "zset")
        elif kind in ("job", "pieces", "said", "load", "totals", "pace", "idempotency"):
            kind = "hash"
        elif kind in ("in_flight", "deadlines", "order", "followers", "jobs", "cached", "revisions", "broken"):
            kind = "zset"
        kind = {"partial": "list", "bell": "list", "split": "set"}.get(kind, kind)
        {
            "hash": lambda: asked.hgetall(name),
            "list": lambda: asked.lrange(name, 0, -1),
            "set": lambda: asked.smembers(name),
            "zset": lambda: asked.zrange(name, 0, -1),
        }.get(kind, lambda: asked.get(name))()

    def of(self, kind: str, owner: str = PREFIX) -> dict[str, Any]:
        """The keys of one kind, by what comes after it."""
        start = f"{owner}:{kind}:"
        return {name.removeprefix(start): _plain(value) for name, value in self.values.items() if name.startswith(start)}

    def one(self, name: str) -> Any:
        return _plain(self.values.get(f"{PREFIX}:{name}", []))

    def facts(self) -> Facts:
        """In the same form as what is expected."""
        load = text_hash(self.values.get(f"{PREFIX}:load", {}))
        totals = text_hash(self.values.get(f"{PREFIX}:totals", {}))
        return {
            "records": {i: {f: v for f, v in job.items() if f in FIELDS} for i, job in self.of("job").items()},
            "order": self.of("order"),
            "lists": self.of("queue", "rq"),
            "passed over": {f.removeprefix("passed:"): int(v) for f, v in load.items() if f.startswith("passed:")},
            "load": tuple(int(load.get(name, 0)) for name in ("jobs", "bytes", "audio_ms")),
            "leases": set(self.one("in_flight")),
            "deadlines": set(self.one("deadlines")),
            "split": set(self.one("split")),
            "audio": set(self.of("audio")),
            "transcripts": self.of("transcript"),
            "checkpoints": self.of("pieces"),
            "flights": self.of("flight"),
            "followers": self.of("followers"),
            "segments": self.of("partial"),
            "cache": {name.rpartition(":")[0]: value.partition("\n")[2] for name, value in self.of("cache").items()},
            "ended": set(self.of("gone")),
            "token": int(self.one("token") or 0),
            "known to RQ": set(self.of("job", "rq")),
            "at work, for RQ": {tuple(one.split(":")) for line in self.of("wip", "rq").values() for one in line},
            "totals": {name: int(v) for name, v in totals.items() if name != "refused_writes"},
        }

    @property
    def refused_writes(self) -> int:
        return int(text_hash(self.values.get(f"{PREFIX}:totals", {})).get("refused_writes", 0))

    def strays(self) -> list[str]:
        """Keys that will not end by themselves, when no job is left."""
        return sorted(name for name, ttl in self.ttls.items() if ttl < 0 and name not in FLEETS_OWN)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return text_hash(value)
    if isinstance(value, Iterable) and not isinstance(value, bytes | str):
        return [text(one) for one in value]
    return text(value)
