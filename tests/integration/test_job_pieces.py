"""The atomic steps of a long file's life: cut, decoded in pieces by any worker, stitched by the worker of the last piece."""

import time
from typing import Any

import pytest

from shared.settings import WorkerSettings
from tests.processes import wait_until
from tests.script_driver import KEYS, LANE, LONG_LANE, PREFIX, ScriptDriver
from worker.queue.assembly import assemble
from worker.supervising.write_back import WriteBack

PIECES = ["0-20000", "20000-40000", "40000-60000"]
FILE = {"audio_seconds": 60.0}


def split_file(fleet: ScriptDriver, job_id: str = "f", **more: Any) -> None:
    """Submit a file of three pieces, which w1 claims and splits."""
    fleet.submit(job_id, lane=LONG_LANE, job=FILE, **more)
    assert fleet.split(job_id, fleet.claim()["token"], PIECES) == "split"


def nothing_left_of_pieces(fleet: ScriptDriver) -> bool:
    return not list(fleet.redis.scan_iter("*f_p*")) and fleet.load() == (0, 0, 0)


def test_pieces_are_decoded_by_anybody_and_the_last_worker_puts_the_file_together(fleet: ScriptDriver) -> None:
    split_file(fleet)
    assert fleet.state("f") == "running" and fleet.redis.zcard(KEYS.in_flight) == 0
    claimed = [fleet.claim(worker) for worker in ("w1", "w2", "w3")]
    assert [job["piece"] for job in claimed] == PIECES
    assert [job["options"] for job in claimed] == ["{}"] * 3
    verdicts = [fleet.finish(job["id"], job["token"], f'{{"n":{n}}}') for n, job in enumerate(claimed)]
    assert verdicts == ["piece", "piece", "stitch"]
    assert fleet.redis.hgetall(KEYS.pieces("f")) == {p.encode(): f'{{"n":{n}}}'.encode() for n, p in enumerate(PIECES)}
    assert fleet.to_stitch["pieces_left"] == "0" and float(fleet.to_stitch["progress_seconds"]) == 60.0
    assert fleet.finish("f", fleet.to_stitch["token"]) == "completed"
    assert fleet.state("f") == "completed" and nothing_left_of_pieces(fleet)
    assert not fleet.redis.exists(KEYS.pieces("f"))


def test_a_split_with_a_stale_token_is_refused(fleet: ScriptDriver) -> None:
    fleet.submit("f", lane=LONG_LANE, job=FILE)
    token = fleet.claim()["token"]
    assert fleet.split("f", str(int(token) + 1), PIECES) == "stale"


def test_a_split_whose_audio_is_lost_queues_nothing(fleet: ScriptDriver) -> None:
    fleet.submit("f", lane=LONG_LANE, job=FILE)
    assert fleet.split("f", fleet.claim()["token"], PIECES, put_audio=False) == "missing"
    assert fleet.state("f") == "running" and fleet.claim() == {}


@pytest.mark.parametrize("claimed", [0, 2])
def test_a_cancelled_file_leaves_nothing_and_its_decodes_are_refused(fleet: ScriptDriver, claimed: int) -> None:
    split_file(fleet)
    jobs = [fleet.claim() for _ in range(claimed)]
    assert fleet.cancel("f") == "canceled"
    assert fleet.state("f") == "canceled" and fleet.claim() == {} and nothing_left_of_pieces(fleet)
    assert [fleet.publish(job["id"], job["token"]) for job in jobs] == ["stale"] * claimed
    assert [fleet.finish(job["id"], job["token"]) for job in jobs] == ["stale"] * claimed
    assert not fleet.redis.exists(KEYS.pieces("f"), KEYS.audio("f"), "test:said:f")


def test_a_lost_worker_costs_one_piece(fleet: ScriptDriver) -> None:
    split_file(fleet)
    first = fleet.claim("w1")
    fleet.finish(first["id"], first["token"])
    lost = fleet.claim("w2", lease_ms=0)
    assert fleet.recover() == [[lost["id"]], []]
    assert fleet.claim("w1")["id"] == lost["id"]
    assert '"worker_lost"' in fleet.job("f")["history"] and "Piece 20.0-40.0 s" in fleet.job("f")["history"]


def test_a_worker_that_dies_with_the_last_piece_done_leaves_the_stitching_to_another(fleet: ScriptDriver) -> None:
    split_file(fleet)
    for _ in PIECES:
        job = fleet.claim()
        fleet.finish(job["id"], job["token"], lease_ms=0)
    assert fleet.recover() == [["f"], []]
    again = fleet.claim("w2")
    assert (again["id"], again["pieces_left"]) == ("f", "0")
    assert fleet.finish("f", fleet.to_stitch["token"]) == "stale"
    assert fleet.finish("f", again["token"]) == "completed"


def test_a_piece_that_cannot_be_decoded_fails_its_file_and_a_retry_goes_on_from_there(fleet: ScriptDriver) -> None:
    split_file(fleet)
    done, bad = fleet.claim(), fleet.claim()
    fleet.finish(done["id"], done["token"], '{"n":0}')
    assert fleet.fail(bad["id"], bad["token"], retryable=False) == "failed"
    assert fleet.state("f") == "failed" and "Piece 20.0-40.0 s" in fleet.job("f")["error"]
    assert nothing_left_of_pieces(fleet) and fleet.claim() == {}
    assert fleet.retry("f") == "queued"
    assert fleet.split("f", fleet.claim()["token"], PIECES) == "split"
    assert float(fleet.job("f")["progress_seconds"]) == 20.0
    left = [fleet.claim(), fleet.claim()]
    assert [job["piece"] for job in left] == PIECES[1:] and fleet.claim() == {}
    assert [fleet.finish(job["id"], job["token"]) for job in left] == ["piece", "stitch"]


def test_a_retry_that_is_cut_elsewhere_takes_no_checkpoint_that_does_not_fit(fleet: ScriptDriver) -> None:
    split_file(fleet)
    done, bad = fleet.claim(), fleet.claim()
    fleet.finish(done["id"], done["token"])
    fleet.fail(bad["id"], bad["token"], retryable=False)
    fleet.retry("f")
    fleet.split("f", fleet.claim()["token"], ["0-30000", "30000-60000"])
    assert not fleet.redis.exists(KEYS.pieces("f"))
    assert [fleet.claim()["piece"], fleet.claim()["piece"]] == ["0-30000", "30000-60000"]


def test_a_follower_that_takes_over_goes_on_from_the_pieces_that_are_done(fleet: ScriptDriver) -> None:
    split_file(fleet, digest="same")
    fleet.submit("heir", digest="same", lane=LONG_LANE, job=FILE)
    done = fleet.claim()
    fleet.finish(done["id"], done["token"])
    fleet.cancel("f")
    heir = fleet.claim()
    assert heir["id"] == "heir"
    fleet.split("heir", heir["token"], PIECES)
    assert [fleet.claim()["piece"], fleet.claim()["piece"]] == PIECES[1:]


@pytest.mark.parametrize("late", ["f", "f_p2"])
def test_a_file_that_is_late_expires_with_its_pieces(fleet: ScriptDriver, late: str) -> None:
    """Either the file's own deadline passes, or one of its pieces was not started in time."""
    split_file(fleet, deadline_ms=60_000)
    fleet.redis.zadd("test:deadlines", {late: 1})
    assert fleet.expire() == ["f"]
    assert fleet.state("f") == "expired" and fleet.claim() == {} and nothing_left_of_pieces(fleet)


def test_a_file_that_was_started_in_time_is_not_late_because_its_pieces_wait(fleet: ScriptDriver) -> None:
    fleet.submit("f", lane=LONG_LANE, job=FILE, start_deadline_ms=200)
    assert fleet.split("f", fleet.claim()["token"], PIECES) == "split"
    started = time.monotonic()
    wait_until(lambda: time.monotonic() - started > 0.3, "its own deadline for the start has passed", 1)
    assert fleet.expire() == [] and fleet.claim()["piece"] == PIECES[0]


def test_what_was_put_goes_with_a_file_that_ends_while_it_is_cut(fleet: ScriptDriver) -> None:
    fleet.submit("f", lane=LONG_LANE, job=FILE)
    token = fleet.claim()["token"]
    assert [fleet.put_piece("f", token, number) for number in (1, 2)] == [1, 1]
    fleet.cancel("f")
    assert nothing_left_of_pieces(fleet)
    assert fleet.put_piece("f", token, 3) == 0 and nothing_left_of_pieces(fleet)


def test_a_worker_that_lost_a_file_cannot_touch_its_pieces(fleet: ScriptDriver) -> None:
    fleet.submit("f", lane=LONG_LANE, job=FILE)
    old = fleet.claim(lease_ms=0)["token"]
    fleet.recover()
    assert fleet.split("f", fleet.claim("w2")["token"], PIECES) == "split"
    assert fleet.put_piece("f", old, 1) == 0
    assert fleet.run("put_piece", b"", id="f", token=int(old), number=0, ttl=0) == 0
    assert fleet.has_audio("f_p1") and fleet.redis.ttl(KEYS.audio("f_p1")) > 60


@pytest.mark.parametrize("where", ["finish", "split"])
def test_a_file_to_stitch_is_handed_out_again_when_the_answer_was_lost(fleet: ScriptDriver, where: str) -> None:
    split_file(fleet)
    jobs = [fleet.claim() for _ in PIECES]
    for job in jobs[:-1]:
        fleet.finish(job["id"], job["token"])
    if where == "finish":
        twice = [fleet.finish(jobs[-1]["id"], jobs[-1]["token"], execution="same") for _ in range(2)]
    else:
        fleet.fail(jobs[-1]["id"], jobs[-1]["token"], retryable=False)
        fleet.redis.hset(KEYS.pieces("f"), PIECES[-1], "{}")
        fleet.retry("f")
        token = fleet.claim()["token"]
        twice = [fleet.split("f", token, PIECES, execution="same") for _ in range(2)]
    assert twice == ["stitch", "stitch"]
    assert fleet.finish("f", fleet.to_stitch["token"]) == "completed"


def test_a_file_that_cannot_be_put_together_is_cut_anew(fleet: ScriptDriver) -> None:
    split_file(fleet)
    for _ in PIECES:
        job = fleet.claim()
        fleet.finish(job["id"], job["token"])
    fleet.redis.hdel(KEYS.pieces("f"), PIECES[1])
    assert fleet.fail("f", fleet.to_stitch["token"], retryable=True, code="pieces_lost") == "requeued"
    again = fleet.claim()
    assert again["id"] == "f" and "pieces_left" not in again
    assert fleet.split("f", again["token"], PIECES) == "split"
    assert fleet.claim()["piece"] == PIECES[1] and fleet.claim() == {}


def test_short_audio_overtakes_pieces_and_pieces_have_their_turns(fleet: ScriptDriver) -> None:
    split_file(fleet)
    for number in range(9):
        fleet.submit(f"s{number}")
    order = [fleet.claim()["id"] for _ in range(12)]
    assert order == ["s0", "s1", "s2", "s3", "f_p1", "s4", "s5", "s6", "s7", "f_p2", "s8", "f_p3"]


def test_part_of_a_worker_is_left_to_short_audio(fleet: ScriptDriver) -> None:
    split_file(fleet)
    taken = fleet.claim_several(8, background_room=2)
    assert [job["id"] for job in taken] == ["f_p1", "f_p2"]
    assert fleet.claim_several(6, background_room=0, background_in_hand=1) == []
    fleet.submit("s")
    assert [job["id"] for job in fleet.claim_several(6, background_room=0, background_in_hand=1)] == ["s"]


def test_short_audio_waits_for_no_more_than_so_many_seconds_of_background_work(fleet: ScriptDriver) -> None:
    split_file(fleet)
    taken = fleet.claim_several(8, background_seconds=50)
    assert [job["id"] for job in taken] == ["f_p1", "f_p2"]
    fleet.submit("s")
    assert [job["id"] for job in fleet.claim_several(6, background_seconds=10, background_in_hand=1)] == ["s"]
    assert [job["id"] for job in fleet.claim_several(6, background_seconds=20, background_in_hand=1)] == ["f_p3"]


ALL_LANES: dict[str, Any] = {"lanes": [LANE, LONG_LANE, "batch"], "patience": [16, 4, 16]}


def test_room_that_a_piece_waits_for_goes_to_no_smaller_job(fleet: ScriptDriver) -> None:
    split_file(fleet)
    fleet.submit("b", lane="batch")
    assert fleet.claim_several(8, background_seconds=10, background_in_hand=1, **ALL_LANES) == []
    assert [job["id"] for job in fleet.claim_several(8, background_seconds=22, **ALL_LANES)] == ["f_p1"]


def test_no_room_is_kept_for_a_long_file_that_waits_for_another_long_one(fleet: ScriptDriver) -> None:
    fleet.submit("f", lane=LONG_LANE, job={"audio_seconds": 90.0})
    fleet.submit("b", lane="batch")
    taken = fleet.claim_several(8, background_seconds=10, background_in_hand=1, has_long=True, **ALL_LANES)
    assert [job["id"] for job in taken] == ["b"]


def test_short_audio_is_served_while_a_piece_that_has_its_turn_waits_for_room(fleet: ScriptDriver) -> None:
    split_file(fleet)
    for number in range(5):
        fleet.submit(f"s{number}")
    for _ in range(4):
        fleet.claim_several(1, background_seconds=10)
    assert [job["id"] for job in fleet.claim_several(8, background_seconds=10)] == ["s4"]


def test_of_two_lanes_that_were_passed_over_the_one_with_more_reason_has_its_turn(fleet: ScriptDriver) -> None:
    split_file(fleet)
    fleet.submit("b", lane="batch")

    def pass_over(times: int) -> None:
        for number in range(times):
            fleet.submit(f"{fleet.claims}-{number}")
            assert len(fleet.claim_several(1, background_seconds=0, **ALL_LANES)) == 1

    pass_over(17)
    assert [job["id"] for job in fleet.claim_several(1, **ALL_LANES)] == ["f_p1"]
    pass_over(4)
    assert [job["id"] for job in fleet.claim_several(1, **ALL_LANES)] == ["b"]


def test_a_file_to_be_cut_counts_as_one_window(fleet: ScriptDriver) -> None:
    fleet.submit("f", lane=LONG_LANE, job={"audio_seconds": 90.0})
    assert fleet.claim_several(8, background_seconds=29) == []
    assert [job["id"] for job in fleet.claim_several(8, background_seconds=30)] == ["f"]


def test_the_reader_sees_the_pieces_that_are_done(fleet: ScriptDriver) -> None:
    split_file(fleet)
    job = fleet.claim()
    fleet.finish(job["id"], job["token"], "{}")
    answer = fleet.run("read", id="f", tenant="default", lane_kinds=["interactive", "long"])
    assert answer[4] == ["0-20000", "hello"]


def test_a_worker_survives_a_file_whose_pieces_are_lost(fleet: ScriptDriver) -> None:
    split_file(fleet)
    for _ in PIECES:
        job = fleet.claim()
        fleet.finish(job["id"], job["token"], lease_ms=0)
    fleet.redis.delete(KEYS.pieces("f"))
    fleet.recover()
    worker = assemble(fleet.redis, WorkerSettings(fleet_prefix=PREFIX, whisper_model="demo"), "w2")
    (held,) = worker.claims.claim(1, [])
    WriteBack(worker.leases).add_file(held)
    assert fleet.state("f") == "queued" and "pieces_left" not in fleet.job("f")
    assert '"pieces_lost"' in fleet.job("f")["history"]
