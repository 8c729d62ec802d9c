"""A caller begins to wait for a file of the batch lane that is cut already: its pieces leave that lane, too."""

from typing import Any

from shared.jobs import rq_transport, scripting
from tests.script_driver import BATCH_LANE, LANE, LONG_LANE, ScriptDriver

PIECES = ["0-20000", "20000-40000", "40000-60000"]
FILE: dict[str, Any] = {"audio_seconds": 60.0}
ALL_LANES: dict[str, Any] = {"lanes": [LANE, LONG_LANE, BATCH_LANE], "patience": [16, 4, 16]}


def batch_file(fleet: ScriptDriver) -> str:
    """Submit and claim a file of the batch lane. Returns its token; the file is not cut yet."""
    fleet.submit("f", digest="same", lane=BATCH_LANE, job=FILE | {"priority": "batch"})
    return fleet.claim_several(1, **ALL_LANES)[0]["token"]


def in_lane(fleet: ScriptDriver, lane: str) -> list[str]:
    return [scripting.text(job_id) for job_id in fleet.redis.lrange(rq_transport.queue_key(lane), 0, -1)]


def test_pieces_of_a_batch_file_are_in_a_hurry_once_somebody_waits_for_it(fleet: ScriptDriver) -> None:
    assert fleet.split("f", batch_file(fleet), PIECES, lane=BATCH_LANE) == "split"
    fleet.submit("other", lane=BATCH_LANE, job={"priority": "batch"})
    begun = fleet.claim_several(1, **ALL_LANES, lease_ms=0)[0]["id"]
    before = fleet.load()
    assert fleet.submit("now", digest="same", lane=LONG_LANE, job=FILE)[0] == "following"
    assert (in_lane(fleet, LONG_LANE), in_lane(fleet, BATCH_LANE)) == (["f_p2", "f_p3"], ["other"])
    assert fleet.load() == before and fleet.job("f")["lane"] == LONG_LANE
    assert fleet.redis.zrange(f"test:order:{LONG_LANE}", 0, -1) == [b"f_p2", b"f_p3"]
    # The piece whose worker is lost comes back to the batch lane. The next sweep moves it, too.
    assert fleet.recover() == [[begun], []]
    assert fleet.reconcile() == [[], [], []]
    assert (in_lane(fleet, LONG_LANE), in_lane(fleet, BATCH_LANE)) == (["f_p2", "f_p3", "f_p1"], ["other"])
    for _ in PIECES:
        piece = fleet.claim()
        verdict = fleet.finish(piece["id"], piece["token"])
    assert (verdict, fleet.finish("f", fleet.to_stitch["token"])) == ("stitch", "completed")
    assert fleet.state("now") == "completed"
    assert not list(fleet.redis.scan_iter("*f_p*")) and not fleet.redis.exists(f"rq:deferred:{BATCH_LANE}")


def test_a_batch_file_that_is_being_cut_when_somebody_waits_for_it_is_in_a_hurry(fleet: ScriptDriver) -> None:
    token = batch_file(fleet)
    fleet.submit("now", digest="same", lane=LONG_LANE, job=FILE)
    assert fleet.split("f", token, PIECES, lane=BATCH_LANE) == "split"
    assert (in_lane(fleet, LONG_LANE), in_lane(fleet, BATCH_LANE)) == (["f_p1", "f_p2", "f_p3"], [])
    assert fleet.cancel("now") == fleet.cancel("f") == "canceled"
    assert not fleet.redis.keys("*f_p*") and not fleet.redis.keys("rq:wip:*")


def test_more_pieces_than_one_call_moves_follow_with_the_next_sweeps(fleet: ScriptDriver) -> None:
    pieces = [f"{1000 * number}-{1000 * number + 1000}" for number in range(450)]
    assert fleet.split("f", batch_file(fleet), pieces, lane=BATCH_LANE) == "split"
    fleet.submit("now", digest="same", lane=LONG_LANE, job=FILE)
    assert len(in_lane(fleet, LONG_LANE)) == 200
    for moved in (400, 450):
        fleet.reconcile()
        assert len(in_lane(fleet, LONG_LANE)) == moved
    assert in_lane(fleet, LONG_LANE) == [f"f_p{number}" for number in range(1, 451)] and in_lane(fleet, BATCH_LANE) == []
    assert fleet.load()[0] == 450
