"""The end of every play: all that was begun is brought to its end, and nothing stays behind."""

import sys

from shared.jobs.job import JobState
from tests.properties.operators_play import OperatorsPlay
from tests.properties.reality import Reality
from tests.properties.stage import WORKERS

MOST_ROUNDS = 40


class JobsOfAFleet(OperatorsPlay):
    """All rules, and the end."""

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self._bring_all_to_its_end()
                self._nothing_stays_behind()
        finally:
            self.actors.close()
            self.redis.close()

    def _bring_all_to_its_end(self) -> None:
        """Workers that nobody knows of any more have died; the others take what waits and finish it."""
        known = {hold.id for hold in self.current()}
        for job_id in [i for i in self.fleet.leases if i not in known]:
            self.fleet.leases[job_id] = True
            self.actors.lapse(job_id)
        for _ in range(MOST_ROUNDS):
            self.recover()
            self.reconcile(twice=False)
            for hold in self.current():
                self.finish_job(hold)
            for worker in WORKERS:
                self.claim(worker=worker, room=100, is_lost=False)
            self.fleet_and_model_agree()
            if not self._unfinished():
                return
        raise AssertionError(f"jobs that do not end: {self._unfinished()}")

    def _unfinished(self) -> list[str]:
        return [r.id for r in self.fleet.records.values() if r.state in (JobState.QUEUED, JobState.RUNNING)]

    def _nothing_stays_behind(self) -> None:
        """Deadlines that are left are of pieces that were removed altogether: the sweep forgets them when they pass."""
        for job_id in self.fleet.watched:
            self.fleet.watched[job_id] = True
            self.actors.pass_deadline(job_id, of_the_end=False)
        self.expire()
        self.reconcile(twice=False)
        self.fleet_and_model_agree()
        self.actors.wait_out_all_ttls()
        seen = Reality(self.redis)
        assert seen.strays() == [], f"{seen.strays()} stay for ever"
        assert seen.facts()["load"] == (0, 0, 0)
