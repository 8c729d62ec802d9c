"""What is in Redis, in the words of the model; and what the model expects there."""

from collections.abc import Mapping
from typing import Any

import redis

from shared.jobs.job import JobState
from shared.jobs.scripting import text, text_hash
from tests.properties.clicks import Fleet
from tests.properties.records import Record
from tests.script_driver import PREFIX

Facts = dict[str, Any]
#: A record's fields that the model predicts.
FIELDS = (
    "state attempt token leader lane suspect execution ended_by ended_as pieces_lane audio_of parent piece pieces pieces_left "
    "put_pieces digest model"
).split()
#: Keys that may stay when the time of everything else is over. docs/redis.md says who ends them.
FLEETS_OWN = {f"{PREFIX}:{name}" for name in ("load", "totals", "token", "pace", "revisions:demo", "revisions:tiny")} | {
    "rq:queues"
}
ALL_KEYS = """
local readers = {
  hash = function(name) return redis.call('HGETALL', name) end,
  list = function(name) return redis.call('LRANGE', name, 0, -1) end,
  set = function(name) return redis.call('SMEMBERS', name) end,
  zset = function(name) return redis.call('ZRANGE', name, 0, -1) end,
  string = function(name) return redis.call('GET', name) end,
}
local all = {}
for i, name in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', name).ok
  all[i] = { name, kind, redis.call('TTL', name), readers[kind](name) }
end
return all
"""


def expected(fleet: Fleet) -> Facts:
    """All that the model knows."""
    noted = {(r.id, r.execution) for r in fleet.records.values() if r.execution}
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
        "erased": fleet.gone,
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
        "ended_as": job.ended_as,
        "pieces_lane": job.pieces_lane,
        "audio_of": job.audio_of,
        "parent": job.parent,
        "piece": job.piece,
        "pieces": job.pieces,
        "pieces_left": job.pieces_left,
        "put_pieces": job.put or None,
        "digest": job.digest if job.state is not JobState.COMPLETED else None,
        "model": job.model,
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def _filled(lists: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: line for name, line in lists.items() if line}


class Reality:
    """All keys of one moment, read in one step."""

    def __init__(self, client: "redis.Redis") -> None:
        answers: Any = client.eval(ALL_KEYS, 0)
        self.values = {text(name): (text(kind), value) for name, kind, _, value in answers}
        self.ttls = {text(name): ttl for name, _, ttl, _ in answers}

    def of(self, kind: str, owner: str = PREFIX) -> dict[str, Any]:
        """The keys of one kind, by what comes after it."""
        return {rest: self._plain(f"{owner}:{kind}:{rest}") for rest in self.names(kind, owner)}

    def names(self, kind: str, owner: str = PREFIX) -> set[str]:
        """What comes after the kind, of all keys of one kind."""
        start = f"{owner}:{kind}:"
        return {name.removeprefix(start) for name in self.values if name.startswith(start)}

    def one(self, name: str) -> Any:
        """A key of the fleet's own; nothing if it is not there."""
        return self._plain(f"{PREFIX}:{name}")

    def _plain(self, name: str) -> Any:
        kind, value = self.values.get(name, ("list", []))
        if kind == "hash":
            return text_hash(value)
        return text(value) if kind == "string" else [text(one) for one in value]

    def facts(self) -> Facts:
        """In the same form as what is expected."""
        load, totals = dict(self.one("load")), dict(self.one("totals"))
        return {
            "records": {i: {f: v for f, v in job.items() if f in FIELDS} for i, job in self.of("job").items()},
            "order": self.of("order"),
            "lists": self.of("queue", "rq"),
            "passed over": {f.removeprefix("passed:"): int(v) for f, v in load.items() if f.startswith("passed:")},
            "load": tuple(int(load.get(name, 0)) for name in ("jobs", "bytes", "audio_ms")),
            "leases": set(self.one("in_flight")),
            "deadlines": set(self.one("deadlines")),
            "split": set(self.one("split")),
            "audio": self.names("audio"),
            "transcripts": self.of("transcript"),
            "checkpoints": self.of("pieces"),
            "flights": self.of("flight"),
            "followers": self.of("followers"),
            "segments": self.of("partial"),
            "cache": {name.rpartition(":")[0]: value.partition("\n")[2] for name, value in self.of("cache").items()},
            "erased": self.names("gone"),
            "token": int(self.one("token") or 0),
            "known to RQ": self.names("job", "rq"),
            "at work, for RQ": {tuple(one.split(":")) for line in self.of("wip", "rq").values() for one in line},
            "totals": {name: int(v) for name, v in totals.items() if name != "refused_writes"},
        }

    @property
    def refused_writes(self) -> int:
        return int(dict(self.one("totals")).get("refused_writes", 0))

    def strays(self) -> list[str]:
        """Keys that will not end by themselves, when no job is left."""
        return sorted(name for name, ttl in self.ttls.items() if ttl < 0 and name not in FLEETS_OWN)
