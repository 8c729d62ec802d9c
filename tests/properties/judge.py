"""What must hold whatever the model says: judged from what was in Redis after each step."""

from collections import Counter
from collections.abc import Mapping

from shared.jobs.job import LEGAL_MOVES, JobState
from tests.properties.reality import Facts

#: One step may pass through several states: a lapsed job can be put back and claimed at once.
REACHABLE = {
    state: frozenset({state, *LEGAL_MOVES[state], *(far for near in LEGAL_MOVES[state] for far in LEGAL_MOVES[near])})
    for state in JobState
}


class Judge:
    """Remembers how every job went."""

    def __init__(self) -> None:
        self.states: dict[str, JobState] = {}
        self.transcripts: dict[str, str] = {}
        self.tokens: dict[str, int] = {}
        #: How many lives each job was given, and how many ends of it were told.
        self.lives: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self._lives_seen: Counter[str] = Counter()

    def forget(self, job_id: str) -> None:
        for known in (self.states, self.transcripts, self.tokens, self.lives, self.ends, self._lives_seen):
            known.pop(job_id, None)

    def claimed(self, job_id: str, token: int) -> None:
        """A claim, or the last piece of a file, has brought this token."""
        assert token > self.tokens.get(job_id, 0), "tokens only grow"
        self.tokens[job_id] = token

    def look(self, facts: Facts, ends: list[str], digests: Mapping[str, str]) -> None:
        """Judge one moment, and the ends that were told since the last. `digests`: by job, that of its upload."""
        jobs = facts["records"]
        self.ends.update(ends)
        for job_id, job in jobs.items():
            if "parent" not in job:
                self._judge_move(job_id, JobState(job["state"]))
            assert self._is_reachable(job_id, facts), f"nobody will ever come for {job_id}: {job}"
        for job_id, transcript in facts["transcripts"].items():
            assert self.transcripts.setdefault(job_id, transcript) == transcript, f"{job_id} was written twice"
            assert transcript.startswith(digests[job_id] + " "), f"{job_id} has the transcript of another"
        for job_id, state in self.states.items():
            assert (state is JobState.COMPLETED) == (job_id in facts["transcripts"]), f"{job_id} is {state}"

    def _judge_move(self, job_id: str, state: JobState) -> None:
        before = self.states.get(job_id, JobState.QUEUED)
        lives = 1 + self.lives[job_id]
        assert state in REACHABLE[before], f"{job_id}: {before} -> {state}"
        assert self.ends[job_id] <= lives, f"{job_id} ended {self.ends[job_id]} times in {lives} lives"
        if before.is_terminal and lives == self._lives_seen[job_id]:
            assert state is before, f"{job_id} left {before} by itself"
        self.states[job_id], self._lives_seen[job_id] = state, lives
        if state is not JobState.COMPLETED:
            self.transcripts.pop(job_id, None)

    @staticmethod
    def _is_reachable(job_id: str, facts: Facts) -> bool:
        """A job that is not over stands in a lane, is held, follows one that is not over, or waits for its pieces."""
        job = facts["records"][job_id]
        state = JobState(job["state"])
        if state is JobState.QUEUED and "leader" in job:
            leads = facts["records"].get(job["leader"], {}).get("state")
            return leads in ("queued", "running") and job_id in facts["followers"].get(job["digest"], [])
        if state is JobState.QUEUED:
            return job_id in facts["order"].get(job["lane"], []) and job_id in facts["deadlines"]
        if state is JobState.RUNNING:
            return (job_id in facts["leases"]) != (job_id in facts["split"])
        return True
