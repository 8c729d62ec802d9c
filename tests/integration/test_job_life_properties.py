"""Random interleavings of everything that happens to jobs, by several actors, against what must always hold.

The model is deliberately small: it knows which moves are legal and what each state implies for audio, lanes, leases and
counters. It does not predict which job a step picks; it checks the world after every step.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from shared.jobs.job import LEGAL_MOVES, JobState
from shared.jobs.scripting import text
from tests.processes import RedisServer
from tests.script_driver import KEYS, LANE, ScriptDriver

WORKERS = ("w1", "w2")
#: One step may pass through several states: a lapsed job can be put back and claimed at once.
REACHABLE = {
    state: frozenset({state, *LEGAL_MOVES[state], *(far for near in LEGAL_MOVES[state] for far in LEGAL_MOVES[near])})
    for state in JobState
}


class JobLife(RuleBasedStateMachine):
    """Two workers, three different clips, any number of jobs."""

    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.redis: redis.Redis = self.server.client()
        self.fleet = ScriptDriver(self.redis)
        self.submitted = 0
        self.ids: list[str] = []
        self.tokens: dict[str, list[str]] = {}
        self.states: dict[str, JobState] = {}
        self.transcripts: dict[str, bytes] = {}
        self.revived: set[str] = set()

    @initialize()
    def empty(self) -> None:
        self.redis.flushall()

    def teardown(self) -> None:
        self.redis.close()

    # -- what happens ----------------------------------------------------------------------------------------------

    @rule(clip=st.sampled_from("xyz"), cached=st.booleans(), deadline_ms=st.sampled_from([None, 60_000]))
    def submit(self, clip: str, cached: bool, deadline_ms: int | None) -> None:
        self.submitted += 1
        job_id = f"job{self.submitted}"
        verdict = self.fleet.submit(job_id, digest=clip, use_cache=cached, max_bytes=40, deadline_ms=deadline_ms)
        if verdict[0] != "full":
            self.ids.append(job_id)

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        if claimed := self.fleet.claim(worker):
            tokens = self.tokens.setdefault(claimed["id"], [])
            assert not tokens or int(claimed["token"]) > int(tokens[-1]), "tokens only grow"
            tokens.append(claimed["token"])

    @rule(data=st.data(), what=st.sampled_from(["finish", "fail", "fail for good", "renew", "hand back"]))
    def write(self, data: st.DataObject, what: str) -> None:
        """A worker writes under the current token, or a stale one."""
        if not self.tokens:
            return
        job_id = data.draw(st.sampled_from(sorted(self.tokens)))
        token = data.draw(st.sampled_from(self.tokens[job_id]))
        before = self.fleet.job(job_id)
        ours = before.get("state") == "running" and before.get("token") == token
        # A worker that gets no answer writes again, and is told how it went.
        again = {"finish": "completed", "fail": "failed", "fail for good": "failed"}.get(what)
        ours = ours or (before.get("ended_by") == token and before.get("state") == again)
        accepted = {
            "finish": lambda: self.fleet.finish(job_id, token, f'{{"by":{token}}}') == "completed",
            "fail": lambda: self.fleet.fail(job_id, token, retryable=True) != "stale",
            "fail for good": lambda: self.fleet.fail(job_id, token, retryable=False) != "stale",
            "renew": lambda: self.fleet.renew(job_id, token) == "ok",
            "hand back": lambda: self.fleet.hand_back(job_id, token) == 1,
        }[what]()
        assert accepted == ours, f"{what} under a {'current' if ours else 'stale'} token"

    @rule(data=st.data())
    def lapse(self, data: st.DataObject) -> None:
        """A worker dies: its lease runs out, and somebody sweeps."""
        held = self._members(KEYS.in_flight)
        if held:
            self.redis.zadd(KEYS.in_flight, {data.draw(st.sampled_from(sorted(held))): 0})
        self.fleet.recover()

    @rule(data=st.data())
    def pass_a_deadline(self, data: st.DataObject) -> None:
        watched = self._members("test:deadlines")
        if watched:
            self.redis.zadd("test:deadlines", {data.draw(st.sampled_from(sorted(watched))): 0})
        self.fleet.expire()

    @rule(data=st.data())
    def cancel_or_erase(self, data: st.DataObject) -> None:
        if self.ids:
            job_id = data.draw(st.sampled_from(self.ids))
            if self.fleet.cancel(job_id) == "erased":
                self.ids.remove(job_id)
                for known in (self.states, self.transcripts, self.tokens):
                    known.pop(job_id, None)

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        if self.ids and self.fleet.retry(job_id := data.draw(st.sampled_from(self.ids))) == "queued":
            self.revived.add(job_id)

    # -- what must always hold -------------------------------------------------------------------------------------

    @invariant()
    def moves_are_legal_and_results_write_once(self) -> None:
        for job_id in self.ids:
            state = JobState(str(self.fleet.state(job_id)))
            before = self.states.get(job_id, JobState.QUEUED)
            assert state in REACHABLE[before], f"{job_id}: {before} -> {state}"
            if before.is_terminal and job_id not in self.revived:
                assert state is before, f"{job_id} left {before} by itself"
            self.states[job_id] = state
            transcript = self.redis.get(KEYS.transcript(job_id))
            assert (transcript is not None) == (state is JobState.COMPLETED)
            if isinstance(transcript, bytes):
                assert self.transcripts.setdefault(job_id, transcript) == transcript
        self.revived.clear()

    @invariant()
    def every_unfinished_job_is_in_exactly_one_place(self) -> None:
        lane = self.fleet.waiting()
        leased = set(self._members(KEYS.in_flight))
        wip = {i.split(":")[0] for i in self._members(f"rq:wip:{LANE}")}
        assert len(lane) == len(set(lane)) and leased == wip
        for job in self._jobs():
            state, following = job["state"], "leader" in job
            assert (job["id"] in leased) == (state == "running")
            assert (job["id"] in lane) == (state == "queued" and not following)
            if following and state == "queued":
                assert self.fleet.state(job["leader"]) in ("queued", "running"), "nobody follows the dead"

    @invariant()
    def whoever_has_a_deadline_is_watched(self) -> None:
        watched = set(self._members("test:deadlines"))
        for job in self._jobs():
            unfinished = job["state"] in ("queued", "running")
            assert unfinished or job["id"] not in watched
            if unfinished and "ends_by_ms" in job:
                assert job["id"] in watched

    @invariant()
    def the_order_of_the_lane_is_known(self) -> None:
        assert self._members(f"test:order:{LANE}") == self.fleet.waiting()

    @invariant()
    def counters_equal_the_truth(self) -> None:
        waiting = [self.fleet.job(i) for i in self.fleet.waiting()]
        truth = len(waiting), sum(int(j["size_bytes"]) for j in waiting), 2000 * len(waiting)
        assert self.fleet.load() == truth

    @invariant()
    def audio_is_there_exactly_while_it_is_needed(self) -> None:
        for job in self._jobs():
            state, there = job["state"], self.fleet.has_audio(job["id"])
            if state in ("queued", "running"):
                assert there == ("leader" not in job), job
            if state in ("completed", "canceled"):
                assert not there, job

    @invariant()
    def unfinished_jobs_do_not_expire_and_finished_ones_do(self) -> None:
        for job in self._jobs():
            assert (self.redis.ttl(KEYS.job(job["id"])) == -1) == (job["state"] in ("queued", "running"))

    def _members(self, key: str) -> list[str]:
        return [text(cast("bytes", member)) for member in self.redis.zrange(key, 0, -1)]

    def _jobs(self) -> Iterator[dict[str, Any]]:
        return (self.fleet.job(job_id) for job_id in self.ids)


@pytest.mark.parametrize("examples", [100])
def test_jobs_survive_any_interleaving(server: RedisServer, examples: int, tmp_path: Path) -> None:
    JobLife.server = server
    run_state_machine_as_test(
        JobLife,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
