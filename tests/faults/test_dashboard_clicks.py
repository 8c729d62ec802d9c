"""An operator empties a queue and deletes jobs with RQ's own calls, as rq-dashboard does: every job ends or keeps running."""

from pathlib import Path
from typing import Any

from rq import Queue
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from tests.faults.experiments.arena import arena
from tests.faults.zoo import Animal
from tests.processes import wait_until

WITHIN_SECONDS = 15


def test_clicks_in_the_dashboard_leave_no_job_hanging(tmp_path: Path) -> None:
    with arena(tmp_path / "clicks", WHISPER_BATCH_SIZE="1") as fleet:
        finished = fleet.submit(Animal.GOOD, 1)
        fleet.ended(finished)
        running = fleet.submit(Animal.GOOD, 2, milliseconds=6000)
        fleet.runs(running)
        waiting = [fleet.submit(Animal.GOOD, number) for number in range(3, 9)]
        lane = fleet.redis.hget(f"fleet:job:{waiting[0]}", "lane")
        assert isinstance(lane, bytes)
        for job_id in (finished, running, waiting[0]):
            RqJob.fetch(job_id, connection=fleet.redis, serializer=JSONSerializer).delete()
        queue: Any = Queue(lane.decode(), connection=fleet.redis, serializer=JSONSerializer)
        queue.empty()
        wait_until(
            lambda: {fleet.job(one)["status"] for one in waiting} == {"canceled"}, "what waited is cancelled", WITHIN_SECONDS
        )
        assert fleet.ended(running)["result"]["transcript"] == "2"
        assert fleet.job(finished)["result"]["transcript"] == "1"
        stats = fleet.client.get("/stats").json()
        assert (stats["queued_jobs"], stats["queued_bytes"], stats["queued_audio_seconds"]) == (0, 0, 0)
        assert fleet.ended(fleet.submit(Animal.GOOD, 10))["result"]["transcript"] == "10"
        assert fleet.faults() == []
